"""The fixture ``mailsystem``: the project in containers, with a real Postfix and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.containers import MailSystem


@pytest.fixture(scope="session")
def mailsystem_options() -> dict[str, Any]:
    """For a project to override: what `lamson.containers.mail_system` is to be called with."""
    return {}


@pytest.fixture(scope="session")
def mailsystem(
    request: pytest.FixtureRequest, mailsystem_options: dict[str, Any]
) -> Iterator[MailSystem]:
    """The project that pytest runs in, in containers, up; the tests of a run share it.

    Skips where there is no engine to run it, or something cannot be had that it is made of.
    """
    from contextlib import ExitStack

    from lamson.containers import mail_system
    from lamson.errors import UnavailableError
    from lamson.settings import loading

    options = dict(mailsystem_options)
    if "project" not in options:
        options["project"] = loading.find_project(request.config.rootpath, is_trusted=True)
    with ExitStack() as stack:
        try:
            system = stack.enter_context(mail_system(**options))
        except UnavailableError as error:
            pytest.skip(str(error))
        yield system
