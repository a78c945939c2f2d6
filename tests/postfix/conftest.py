"""Fixtures with a real Postfix.

`sink` is the outside world, `make_postfix` starts a Postfix in front of anything, `stage` is one
with the stories' project behind it.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lamson.settings import Lmtp, Socketmap, Submission
from tests.certificates import Authority
from tests.postfix.instance import PostfixInstance, why_not
from tests.postfix.patient import Patient, project
from tests.postfix.sasl import make_sasl
from tests.postfix.sink import Sink
from tests.postfix.stage import DOMAINS, Stage, make_project
from tests.service import LamsonService
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lamson.settings.model import Settings


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def make_postfix(sink: Sink) -> Iterator[Callable[..., PostfixInstance]]:
    """``make_postfix(routes={...}, main={...})`` starts one; its log is shown if the test fails."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as running:

        def start(**options: Any) -> PostfixInstance:
            options.setdefault("sink_port", sink.port)
            postfix = PostfixInstance(**options)
            running.callback(postfix.close)
            running.callback(lambda: print(postfix.log_text()))
            return postfix.start()

        yield start


@pytest.fixture
def patient() -> Iterator[Callable[..., Patient]]:
    """Makes configurations in which everything is well."""
    made: list[Patient] = []

    def make(settings: Settings | None = None, **options: Any) -> Patient:
        made.append(Patient(settings or project(), **options))
        made[-1].apply()
        return made[-1]

    yield make
    for one in made:
        one.postfix.close()


@pytest.fixture(scope="session")
def stories_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stories' project with an empty database, to be copied."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def make_stage(
    make_postfix: Callable[..., PostfixInstance],
    sink: Sink,
    stories_project: Path,
    tmp_path: Path,
) -> Iterator[Callable[..., Stage]]:
    """``make_stage(**options)``: the stories' project behind a Postfix with these options.

    With ``unix=True`` Postfix reaches it through a unix socket. ``environment`` is for Lamson.
    """
    with ExitStack() as running:

        def start(
            *, unix: bool = False, environment: Mapping[str, str] | None = None, **options: Any
        ) -> Stage:
            project = shutil.copytree(stories_project, tmp_path / "stories")
            lamson = LamsonService(project, **(environment or {}))
            transport = f"lmtp:inet:[127.0.0.1]:{lamson.port}"
            postfix = make_postfix(routes=dict.fromkeys(DOMAINS, transport), **options)
            if unix:
                postfix.routes = dict.fromkeys(DOMAINS, f"lmtp:unix:{postfix.base}/lmtp")
                postfix.write_config()
                postfix.reload()
                lamson.environment["LAMSON_LMTP__LISTEN"] = f"unix:{postfix.base}/lmtp"
                lamson.environment["LAMSON_LMTP__SOCKET_GROUP"] = "postfix"
            lamson.environment["LAMSON_SUBMISSION__SERVER"] = f"127.0.0.1:{postfix.submission_port}"
            running.callback(lambda: print("\n".join(lamson.log_lines())))
            running.enter_context(lamson)
            return Stage(postfix, lamson, sink)

        yield start


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """The stories' project behind a Postfix, over TCP."""
    return make_stage()


@pytest.fixture
def asked(make_stage: Callable[..., Stage]) -> tuple[Stage, Settings]:
    """A stage whose Postfix asks the socketmap, and the settings that are true of it."""
    port = free_port()
    stage = make_stage(
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient",
            "lmtp_line_length_limit": "0",
        },
        environment={"LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}"},
    )
    wait_for(lambda: listening(port), "the socketmap")
    run_dir = stage.lamson.project / "run"
    settings = project(
        lmtp=Lmtp(f"127.0.0.1:{stage.lamson.port}"),
        socketmap=Socketmap(f"127.0.0.1:{port}"),
        submission=Submission(f"127.0.0.1:{stage.postfix.submission_port}"),
        database=f"sqlite:///{run_dir}/lamson.db",
        run_dir=run_dir,
    )
    return stage, settings


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def sasl() -> Iterator[Path]:
    """A directory with Cyrus SASL's configuration and one user, lamson@HOSTNAME."""
    # Not pytest's tmp_path: smtpd opens the files as the user postfix.
    with tempfile.TemporaryDirectory(prefix="lamson-sasl-", dir="/tmp") as name:
        make_sasl(Path(name))
        yield Path(name)
