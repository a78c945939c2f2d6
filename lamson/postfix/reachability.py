"""Servers that Postfix asks over a socket, and that do not answer: other socketmaps, other milters.

One such defers all mail, though it has nothing to do with ours: for `plan`, which would not help by
adding ours to it, and for the doctor.
"""

from __future__ import annotations

import re
import socket

from lamson.postfix.ours import piped

TIMEOUT = 3.0  # seconds
_INET = re.compile(r"(?:socketmap:)?inet6?:(\[[^]]+\]|[^:\s]+):(\d+)(?::\S*)?")
_UNIX = re.compile(r"(?:socketmap:(?:unix|local):([^:\s]+):\S+|(?:unix|local):([^:\s]+))")


def why(item: str, queue: str) -> str:
    """Why the server of this item of a list does not answer; nothing where it does, or is none.

    ``item`` is a table of ``relay_recipient_maps`` and the like, or a milter; ``queue`` is the
    directory of Postfix's queue.
    """
    if parts := piped(item):
        return next(filter(None, (why(part, queue) for part in parts)), "")
    item = item.removeprefix("proxy:")
    try:
        if match := _INET.fullmatch(item):
            socket.create_connection((match[1].strip("[]"), int(match[2])), TIMEOUT).close()
        elif match := _UNIX.fullmatch(item):
            _try(match[1] or match[2], queue)
    except PermissionError:
        return ""  # nobody here can tell: Postfix may well be let in
    except UnicodeError as error:
        return str(error)  # a name that cannot be one, such as mail..example
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _try(path: str, queue: str) -> None:
    """A unix socket: chrooted or not, as we cannot know which of both is meant."""
    places = [f"{queue}/{path.lstrip('/')}"]
    if path.startswith("/"):
        places.insert(0, path)
    errors: list[OSError] = []
    for place in places:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            try:
                sock.connect(place)
            except OSError as error:
                errors.append(error)
            else:
                return
    telling = PermissionError, ConnectionError  # there is, or may be, a socket
    raise next((error for error in errors if isinstance(error, telling)), errors[0])
