"""What ruff and mypy say of the examples."""

from tests.checked import check

__all__ = ["check"]
