"""The reference pages that are made from the code: settings.md, commands.md and metrics.md.

Written with ``lamson config --reference``, ``lamson help --reference`` and ``lamson status
--reference`` into docs/reference; a test compares.
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

_METRICS = """\
# The numbers

What `/metrics` of the [status listener](settings.md#status) tells, in Prometheus' text format. How
to use them stands in [monitor it](../how-to/monitor.md).

- **Sums** are over all workers and front ends of a node, from the start of the service on. They
  never go backwards while it runs, whichever worker dies or is replaced: each counts in memory that
  the supervisor made, and the next one goes on there. `lamson restart` begins at 0, which
  Prometheus knows how to take.
- **Labels** are those of the table. No word of any mail is ever one. The names of handlers come
  from the project's code; a worker tells {handlers} apart, further ones are `{other}`.
- **What is as it is** is looked at when somebody asks, and kept for {fresh:.0f} s, so that a
  thousand questions are one look. A look ends after {seconds:.0f} s: what has not answered then
  does not answer. What could not be found out, such as how much waits in a database that is away,
  is left out.
- [What it costs](../performance.md#what-the-numbers-cost): a few µs for each message; nothing where
  `status.listen` is empty.

prometheus_client writes the text. Its own way of counting in several processes is not used: it
keeps a file for each process that ever counted, reads all of them for each answer, and takes a lock
and a search for each number.

## What is counted

| metric | unit | labels | what it is |
|---|---|---|---|
"""

_HISTOGRAM = """\
| `lamson_{name}` | seconds | `handler`, `le` | {what} A histogram: `_bucket`, `_count`, `_sum`. |

Each is a counter, but for the last. The limits of its buckets, in seconds: {buckets}.

## What is as it is

Each is a gauge.

| metric | unit | labels | what it is |
|---|---|---|---|
"""


def metrics() -> str:
    """docs/reference/metrics.md"""
    from lamson import metrics
    from lamson.service import exposition, status

    head = _METRICS.format(
        handlers=metrics.HANDLERS,
        other=metrics.OTHER,
        fresh=status.FRESH,
        seconds=status.SECONDS,
    )
    parts = [head]
    for name, one in metrics.CATALOGUE.items():
        labels = "; ".join(f"`{label}`: {', '.join(of)}" for label, of in one.labels.items())
        parts.append(f"| `lamson_{name}_total` | {one.unit} | {labels} | {one.what} |\n")
    buckets = ", ".join(f"{limit:g}" for limit in metrics.BUCKETS)
    parts.append(
        _HISTOGRAM.format(
            name=metrics.HANDLER_SECONDS, what=metrics.HANDLER_SECONDS_IS, buckets=buckets
        )
    )
    for name, gauge in exposition.GAUGES.items():
        labels = ", ".join(f"`{label}`" for label in gauge.labels)
        parts.append(f"| `lamson_{name}` | {gauge.unit} | {labels} | {gauge.what} |\n")
    return "".join(parts)


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
