"""The copy of Postfix that `lamson postfix apply` asks first, attacked by another user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import private_copy
from lamson.postfix.postconf import Postconf
from lamson.postfix.private_copy import PrivateCopy
from tests.postfix.instance import why_not

if TYPE_CHECKING:
    from pathlib import Path

    from tests.security.neighbour import Neighbour

INTO = """\
import os, socket, sys
directory, path = sys.argv[1:]
for what in (directory, os.path.dirname(directory)):
    try:
        print(os.listdir(what))
    except PermissionError:
        pass
try:
    socket.socket(socket.AF_UNIX).connect(path)
    print("connected")
except PermissionError:
    pass
for name in ("etc/main.cf", "maillog", "data/x", "queue/maildrop/x", "x"):
    for mode in ("r", "w"):
        try:
            open(os.path.join(directory, name), mode)
            print(mode, name)
        except PermissionError:
            pass
"""


@pytest.mark.skipif(why_not() is not None, reason="no Postfix can be run here")
def test_a_neighbour_neither_sees_it_nor_hands_it_mail(neighbour: Neighbour, street: Path) -> None:
    etc = street / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    (etc / "master.cf").write_text("smtp inet n - n - - smtpd\n")
    configuration = Postconf(etc).read()
    with private_copy.place() as place, PrivateCopy(place / "x", configuration, []) as copy:
        copy.wait()
        tried = neighbour.python(INTO, str(place / "x"), str(copy.smtpds["smtp/inet"]))
    assert (tried.returncode, tried.stdout, tried.stderr) == (0, "", "")
