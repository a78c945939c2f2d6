"""The real Postfix of the stories, for the pages that say how to configure one, and what ruff and
mypy say of the projects that pages make."""

from tests.checked import check
from tests.postfix.conftest import make_postfix, sink

__all__ = ["check", "make_postfix", "sink"]
