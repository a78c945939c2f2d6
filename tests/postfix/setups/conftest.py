"""Fixtures for set-ups: the servers that there are around them, once for all."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.lmtp import LMTP

from tests.postfix.instance import why_not
from tests.postfix.sasl import make_sasl
from tests.postfix.setups.application import make_project
from tests.postfix.setups.servers import ContentFilter, Provider, SpamMilter, Town
from tests.postfix.setups.town import SetupPostfix
from tests.postfix.sink import Sink
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.certificates import Authority
    from tests.postfix.setups.setup import Setup


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Town]:
    """A world, servers of others, and an application that runs."""
    if reason := why_not():
        pytest.skip(reason)
    project = make_project(tmp_path_factory.mktemp("setups") / "project")
    submission, socketmap = free_port(), free_port()
    lamson = LamsonService(
        project,
        LAMSON_SOCKETMAP__LISTEN=f"127.0.0.1:{socketmap}",
        LAMSON_SUBMISSION__SERVER=f"127.0.0.1:{submission}",
    )
    lamson.command("syncdb")
    with ExitStack() as running:
        filtering = ContentFilter()
        sinks = {
            "world": Sink(),
            "primary": Sink(),
            "mailboxes": Sink(LMTP),
            "lists": Sink(LMTP),
            "smarthost": Sink(Provider),
            "filter": filtering,
        }
        for sink in sinks.values():
            running.enter_context(sink)
        milter = running.enter_context(SpamMilter())
        sinks["primary"].refuse("refused@whole.test")
        sinks["primary"].refuse("refused@example.test")
        running.callback(lambda: print("\n".join(lamson.log_lines()[-100:])))
        running.enter_context(lamson)
        # Not pytest's tmp_path: smtpd opens the files as the user postfix.
        sasl = running.enter_context(tempfile.TemporaryDirectory(prefix="lamson-sasl-", dir="/tmp"))
        make_sasl(Path(sasl))
        certificate, key = authority.self_signed("mail.postfix.test")
        files = {"certificate": certificate, "key": key}
        yield Town(sinks, milter, filtering, lamson, socketmap, submission, Path(sasl), files)


@pytest.fixture
def postfix(town: Town, request: pytest.FixtureRequest) -> Iterator[SetupPostfix]:
    setup: Setup = request.param
    with ExitStack() as running:
        names = dict(town.names)
        second = None
        if setup.second is not None:
            second = running.enter_context(SetupPostfix(setup.second, names))
            names["second"] = second.smtp_port
            files = second.files()
            running.callback(unchanged, second, files)
        postfix = SetupPostfix(setup, names)
        # Debian's smtpd looks there, whatever cyrus_sasl_config_path says.
        shutil.copytree(town.sasl, postfix.etc / "sasl")
        running.enter_context(postfix)
        postfix.second = second
        yield postfix
        print("\n".join(postfix.log_text().splitlines()[-60:]))


def unchanged(postfix: SetupPostfix, files: dict[str, bytes]) -> None:
    assert postfix.files() == files
