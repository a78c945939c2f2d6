"""The reference pages that are made from the code: docs/reference/settings.md and commands.md.

Written with ``lamson config --reference`` and ``lamson help --reference``; a test compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.cli.group import COMMANDS, explanation, subcommands
from lamson.settings.diagnosis import GROUPS
from lamson.settings.model import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_SETTINGS = """\
# Settings

A project's settings stand in `config/settings.py`, which makes one value called `settings`:

```python
from lamson.settings import Lmtp, Settings, Submission

settings = Settings(
    lmtp=Lmtp("127.0.0.1:8823"),
    submission=Submission("127.0.0.1:8899"),
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.sample"],
    route_defaults={"host": r"(localhost|test\\.com)"},
)
```

Times are in seconds, sizes in octets, relative paths are relative to the project. A wrong key or
value stops every command with one line that names the file, the key and what is expected (exit
status 78). `lamson config` shows the effective settings and where each comes from. A variable or
secret file called `LAMSON_…` that sets nothing, such as `LAMSON_LMTP_LISTEN`, stops nothing:
`lamson start` and `lamson config` name it, with the setting that was probably meant.

Where a key is set more than once, the first of these wins:

1. The environment: `LAMSON_DATABASE`, `LAMSON_LMTP__LISTEN` (two underscores before a key of a
   group). A list is JSON or has commas between its items: `LAMSON_HANDLERS=app.one,app.two`.
   `LAMSON_ROUTE_DEFAULTS__HOST` sets one capture, `LAMSON_ROUTE_DEFAULTS`, as JSON, all of them.
   An empty text stands for none.
2. A secret file with the same name in lower case, such as `lamson_submission__secret`, in the
   directory `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`), else `$LAMSON_SECRETS_DIR`,
   else `config/secrets`. Everybody being able to read it is an error.
3. `config/settings.py`.
4. The default.

"""

_COMMANDS = """\
# The command `lamson`

Every option may be written with one dash, as Lamson always did, or with two: `-port`, `--port`.
`lamson help -for NAME` shows what stands here. The page is installed as `man lamson` too (in a
virtual environment: `man -M .venv/share/man lamson`, or `lamson help -man | man -l -`), and
[`lamson completion`](#lamson-completion) has a shell complete commands and options.

Exit statuses are those of sysexits(3): 0 all is well, 64 wrong use, 65 not an address, 66 there is
no such file, 69 a server does not answer or an address is in use, 73 a file cannot be made, 75 try
again later, 77 not permitted, 78 wrong configuration. What 1, 2 and 3 mean stands at the commands
that have them. What goes wrong is told in one line on standard error.

"""


def settings() -> str:
    """docs/reference/settings.md"""
    parts = [_SETTINGS, _table("Settings", Settings)]
    for name, model in GROUPS.items():
        summary = " ".join((model.__doc__ or "").split())
        parts.append(f"\n## `{name}`\n\n{summary}\n\n" + _table("", model))
    return "".join(parts)


def _table(title: str, model: type[BaseModel]) -> str:
    head = f"## `{title}`\n\n" if title else ""
    rows = [
        f"| `{name}` | {_default(name, field)} | {field.description} |\n"
        for name, field in model.model_fields.items()
    ]
    return head + "| key | default | what it is |\n|---|---|---|\n" + "".join(rows)


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if name in GROUPS:
        return "see below"
    if field.default in (None, "") or field.default_factory is not None:
        return "none"
    value = field.default
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "empty"
    if isinstance(value, dict):
        return "empty"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def commands() -> str:
    """docs/reference/commands.md"""
    parts = [_COMMANDS]
    section = ""
    for name, entry in COMMANDS.items():
        if entry.section != section:
            section = entry.section
            parts.append(f"## {section}\n\n")
        for one in (name, *(f"{name} {part}" for part in subcommands(name))):
            parts.append(f"### `lamson {one}`\n\n```\n{explanation(one, 90)}\n```\n\n")
    return "".join(parts).rstrip("\n") + "\n"
