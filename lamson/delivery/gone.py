"""What is raised for a task whose function the application does not have, or not any more."""

from __future__ import annotations

from lamson.errors import LamsonError


class NoSuchFunction(LamsonError):
    """Another version of the application made the task: an older one, or one just being rolled out.

    So it is tried again a few times, here and elsewhere, before it is dropped.
    """
