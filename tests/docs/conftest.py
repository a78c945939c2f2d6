"""The real Postfix of the stories, for the pages that say how to configure one."""

from tests.postfix.conftest import make_postfix, sink

__all__ = ["make_postfix", "sink"]
