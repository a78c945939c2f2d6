"""The errors of this project, one tree.

Raised where something is wrong with a configuration, a route, a template or an address; a handler
raises `SMTPError` to choose the reply that Postfix is given. Each error says what is wrong and
where in one line: the command prints that line and exits with `exit_code` (sysexits).
"""

from __future__ import annotations

import os


class LamsonError(Exception):
    """Anything this project raises on purpose.

    ``exit_code`` is the command's exit status (sysexits), by default that of the class. ``setting``
    is the key of the setting that is to blame, "" where there is none: see
    `lamson.settings.loading.placing`.
    """

    exit_code = os.EX_SOFTWARE

    def __init__(self, problem: str, *, exit_code: int | None = None, setting: str = "") -> None:
        super().__init__(problem)
        self.setting = setting
        if exit_code is not None:
            self.exit_code = exit_code


class AddressError(LamsonError, ValueError):
    """A text is not the mail address or path it should be."""

    exit_code = os.EX_DATAERR


class SenderError(LamsonError, ValueError):
    """A handler wants to send with an envelope sender in a domain that is none of ours.

    Raised by `Delivery.send`, `reply` and `forward`, in the handler's own line. Left alone it rolls
    the delivery back, and Postfix keeps the message (451 4.3.0). The null reverse-path is always
    allowed; so is any sender, with the setting `submission.any_sender`.
    """


class PurposeError(LamsonError, LookupError):
    """A handler wants a token for a purpose that no route has. Names those that there are."""


class SettingsError(LamsonError):
    """The configuration is wrong: names the file, the key and what is expected."""

    exit_code = os.EX_CONFIG


class RouteError(LamsonError):
    """A route or handler module cannot be used. ``file`` and ``line`` say where it stands."""

    exit_code = os.EX_CONFIG

    def __init__(self, problem: str, *, file: str = "", line: int = 0, setting: str = "") -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + problem, setting=setting)
        self.problem, self.file, self.line = problem, file, line


class TemplateError(LamsonError):
    """A template is missing or could not be rendered."""


class DatabaseError(LamsonError):
    """The database is missing, from a newer version, or not upgraded yet."""

    exit_code = os.EX_CONFIG


class UnavailableError(LamsonError):
    """A server that is needed does not answer, or an address is already in use."""

    exit_code = os.EX_UNAVAILABLE
