"""What ruff and mypy say of the project that `lamson gen` makes."""

from tests.checked import check

__all__ = ["check"]
