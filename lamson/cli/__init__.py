"""The command `lamson`: `main` is its entry point.

Whatever goes wrong in a way that can be foreseen ends in one line on standard error and an exit
status of sysexits(3): 64 wrong use, 78 wrong configuration, 69 a server that does not answer. A
traceback means a bug. The commands are imported when they are run, and heavy libraries only by the
commands that need them.
"""

from __future__ import annotations

import os
import re
import sys
from difflib import get_close_matches
from logging import ERROR
from typing import TYPE_CHECKING, NoReturn

import click

from lamson import private
from lamson.cli.group import COMMANDS, lamson
from lamson.cli.options import printable
from lamson.errors import LamsonError
from lamson.journald import is_read_by, marked

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_BROKEN_PIPE = 1  # as click has it
_SPELLINGS = re.compile(r"'(-[-\w]+)'(?: / '-[-\w]+')+")  # one is enough to name an option


def main() -> NoReturn:
    """Run the command with the arguments of this process and exit with its status."""
    private.close_process()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command; gives the exit status."""
    try:
        status = lamson.main(list(arguments), prog_name="lamson", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else os.EX_OK
    except click.UsageError as error:
        return _wrong_use(error, arguments)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", _INTERRUPTED)
    except LamsonError as error:
        return _complain(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except PermissionError as error:
        return _complain(f"{error.filename}: {error.strerror}", os.EX_NOPERM)
    except Exception as error:
        if why := _outage(error):
            return _complain(f"the database cannot be used: {why}", os.EX_UNAVAILABLE)
        raise


def _outage(error: Exception) -> str:
    """What a database says that failed in the midst of a command; "" for any other error."""
    if "sqlalchemy" not in sys.modules:  # and it takes long to import
        return ""
    from lamson.storage import failure

    return failure.brief(error) if failure.is_outage(error) else ""


def _wrong_use(error: click.UsageError, arguments: Sequence[str]) -> int:
    message = _SPELLINGS.sub(r"\1", " ".join(error.format_message().split()))
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        message = _no_such_option(error.option_name, arguments, error.ctx.command)
    name = arguments[0] if arguments and arguments[0] in COMMANDS else "help"
    click.echo(f"lamson: {message}", err=True)
    click.echo("Try: lamson help" + ("" if name == "help" else f" -for {name}"), err=True)
    return os.EX_USAGE


def _no_such_option(reported: str, arguments: Sequence[str], command: click.Command) -> str:
    """Name the option as it was typed: click takes -prot for -p and so on."""
    typed = [word.partition("=")[0] for word in arguments if word.startswith(reported)]
    name = typed[0] if typed else reported
    known = {option.lstrip("-") for parameter in command.params for option in parameter.opts}
    near = get_close_matches(name.lstrip("-"), known, 1)
    return f"there is no option {name}" + (f"; did you mean -{near[0]}?" if near else "")


def _complain(message: str, status: int) -> int:
    # What it is about may be in a stranger's words.
    line = "\n".join(map(printable, f"lamson: {message}".split("\n")))
    # Why a unit did not start is what an operator looks for.
    click.echo(marked(line, ERROR) if is_read_by(2) else line, err=True)
    return status
