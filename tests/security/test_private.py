"""A neighbour on the machine may do nothing: not read, not lock, not lead astray, not run as us."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.security.neighbour import PYTHON
from tests.service import LamsonService
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.neighbour import Neighbour

pytestmark = pytest.mark.slow

SETTINGS = """
from lamson.settings import Lmtp, Settings
settings = Settings(database="sqlite:///run/lamson.db", handlers=["app.handlers"])
"""
HANDLERS = """
from lamson import route

@route(".*@test[.]com")
def START(message):
    pass
"""
TRY = """
import os, sys
for path in sys.argv[1:]:
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.listdir(path) if path.endswith("/") else os.open(path, flags)
            print("open:", path)
        except PermissionError:
            pass
"""
HOLD = """
import fcntl, signal, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
fcntl.lockf(file, fcntl.LOCK_SH)
print("held", flush=True)
signal.pause()
"""
LINK = "import os, sys; os.symlink(*sys.argv[1:])"
ROLLBACK = (
    '[{"file": "main.cf", "name": "daemon_directory", "before": "/tmp/evil", "after": "/usr",'
    ' "why": "", "doubt": ""}]'
)


def lamson(
    where: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command, as the user of the tests."""
    return subprocess.run(
        [sys.executable, "-m", "lamson", *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=env,
    )


@pytest.fixture
def project(street: Path) -> Path:
    """A project as an older version left it: everything in it is open to everybody."""
    path = street / "mymailserver"
    for name in ("app", "config", "run", "logs"):
        (path / name).mkdir(parents=True)
    (path / "config/settings.py").write_text(SETTINGS)
    (path / "app/handlers.py").write_text(HANDLERS)
    before = os.umask(0o022)
    code = "import sys; from lamson.cli import run; run(['syncdb'])"  # without main: no umask
    subprocess.run([sys.executable, "-c", code], cwd=path, check=True, capture_output=True)
    os.umask(before)
    for name in ("run", "logs"):
        (path / name).chmod(0o755)
    (path / "run/lamson.db").chmod(0o644)
    for name in ("logs/lamson.log", "run/log.pid"):
        (path / name).touch(mode=0o644)
    return path


@pytest.fixture
def service(project: Path) -> Iterator[LamsonService]:
    with LamsonService(project) as running:
        yield running


def test_he_reads_nothing_though_all_was_open(
    neighbour: Neighbour, project: Path, service: LamsonService
) -> None:
    files = [path for name in ("run", "logs") for path in (project / name).iterdir()]
    names = {"lamson.db", "lamson.db-wal", "lamson.db-shm", "lamson.pid", "lamson.log"}
    assert names <= {path.name for path in files}
    places = [f"{project}/run/", f"{project}/logs/", f"{project}/run/undeliverable/"]
    assert neighbour.python(TRY, *map(str, files), *places).stdout == ""
    for path in files:
        assert path.stat().st_mode & 0o077 == 0, path
    (told,) = service.log_lines("closed to other users: run/ (was 0755, is 0700)")
    assert "run/lamson.db (was 0644)" in told
    assert "logs/lamson.log (was 0644)" in told


def test_what_it_makes_is_closed_and_it_leaves_no_core(service: LamsonService) -> None:
    process = Path(f"/proc/{service.pid}")
    workers = (process / f"task/{service.pid}/children").read_text().split()
    for pid in (str(service.pid), *workers):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Umask:\t0077\n" in status
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[4] for line in limits.splitlines() if "core file" in line] == ["0"]


def test_a_lock_that_he_has_had_from_before_holds_up_nothing(
    neighbour: Neighbour, project: Path
) -> None:
    pid_file = project / "run/lamson.pid"
    with subprocess.Popen(["sleep", "600"]) as reused:
        pid_file.write_text(f"{reused.pid}\nlistening\n")  # of one that crashed
        pid_file.chmod(0o644)
        holding = neighbour.popen(HOLD, str(pid_file))
        try:
            assert holding.stdout is not None
            assert holding.stdout.readline() == "held\n"
            assert "not running" in lamson(project, "status").stdout
            for command in (("stop",), ("stop", "-ALL", "run"), ("stop", "-KILL", "-timeout", "0")):
                assert lamson(project, *command).stdout == "nothing is running\n"
            with LamsonService(project) as service:
                assert f"running (pid {service.pid})" in lamson(project, "status").stdout
                again = lamson(project, "start")
                assert again.returncode == os.EX_UNAVAILABLE
                assert f"already running (pid {service.pid}" in again.stderr
            assert holding.poll() is None
            assert reused.poll() is None
        finally:
            holding.kill()
            holding.communicate()
            reused.kill()


def test_a_service_that_was_killed_is_gone_whoever_has_its_pid(project: Path) -> None:
    service = LamsonService(project).start()
    pid = service.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    service.kill()
    pid_file = project / "run/lamson.pid"
    assert pid_file.read_text().startswith(f"{pid}\n")
    assert "not running" in lamson(project, "status").stdout, "its workers have not its lock"
    wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in workers), "the workers' end")
    with subprocess.Popen(["sleep", "600"]) as reused:
        pid_file.write_text(f"{reused.pid}\n")
        assert lamson(project, "stop", "-KILL", "-timeout", "0").stdout == "nothing is running\n"
        assert reused.poll() is None
        reused.kill()


@pytest.mark.parametrize(
    "command", [["status"], ["stop"], ["config"], ["routes"], ["start"], ["outbox", "-count"]]
)
def test_his_project_is_not_run(neighbour: Neighbour, command: list[str]) -> None:
    """He makes a project above the place where others work."""
    made = neighbour.python(
        "import os; os.mkdir('config'); os.mkdir('below', 0o777);"
        "open('config/settings.py', 'w').write(\"open('../ran', 'w')\")"
    )
    assert made.returncode == 0
    done = lamson(neighbour.place / "below", *command)
    assert done.returncode == os.EX_NOPERM
    assert (
        f"{neighbour.place}: it belongs to user {neighbour.user}, so it is not run" in done.stderr
    )
    assert f"runuser -u {neighbour.user}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(neighbour.place.rglob("ran"))


@pytest.mark.parametrize("name", ["config/settings.py", "app", "app/handlers.py"])
@pytest.mark.usefixtures("neighbour")
def test_code_that_he_could_change_is_not_run(project: Path, name: str) -> None:
    assert lamson(project, "routes").returncode == 0
    (project / name).chmod(0o777)
    done = lamson(project, "routes")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert f"{project / name}: everybody can write to it" in done.stderr
    (project / name).chmod(0o755)
    shutil.chown(project / name, "nobody")
    done = lamson(project, "routes")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert f"{project / name}: it belongs to user nobody" in done.stderr
    trusting = {**os.environ, "LAMSON_SAFE_PROJECT": str(project)}
    assert lamson(project, "routes", env=trusting).returncode == 0


def test_a_project_is_not_made_over_what_he_has_laid_out(
    neighbour: Neighbour, street: Path
) -> None:
    """He is there first, under the name that it will have: with an empty directory, or a link."""
    own = street / "own.py"
    own.write_text("ours")
    made = neighbour.python(
        "import os, sys\nos.mkdir('empty'); os.symlink('empty', 'link'); os.mkdir('full')\n"
        "os.mkdir('full/config'); os.symlink(sys.argv[1], 'full/config/settings.py')",
        str(own),
    )
    assert made.returncode == 0
    for name in ("empty", "link", "full"):
        done = lamson(neighbour.place, "gen", "-project", name, "-FORCE")
        assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
        assert f"{name}: it belongs to user {neighbour.user}, so no project" in done.stderr
    assert own.read_text() == "ours"
    assert not list((neighbour.place / "empty").iterdir())
    (street / "mine/config").mkdir(parents=True)
    (street / "mine/config").chmod(0o777)
    planted = neighbour.python(
        "import os, sys; os.symlink(*sys.argv[1:])", str(own), f"{street}/mine/config/settings.py"
    )
    assert planted.returncode == 0
    assert lamson(street, "gen", "-project", "mine", "-FORCE").returncode == os.EX_NOPERM
    assert own.read_text() == "ours"


def test_code_is_what_is_run_wherever_it_lies(
    neighbour: Neighbour, project: Path, street: Path
) -> None:
    """A package without __init__.py, open to him, or the whole project within such a place."""
    settings = project / "config/settings.py"
    (project / "app").rename(project / "bots")
    settings.write_text(settings.read_text().replace('"app.', '"bots.'))
    assert lamson(project, "routes").returncode == 0
    (project / "bots").chmod(0o777)
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.unlink('handlers.py')\n"
        "open('handlers.py', 'w').write('open(\"../ran\", \"w\")')"
    )
    assert neighbour.python(code, f"{project}/bots").returncode == 0
    done = lamson(project, "routes")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert f"{project}/bots: everybody can write to it" in done.stderr
    street.chmod(0o777)
    done = lamson(project, "routes")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert f"{street}: everybody can write to it, so {project} is not run" in done.stderr
    assert not list(street.rglob("ran"))


def test_a_user_runs_his_own_and_roots_project_but_no_others(
    neighbour: Neighbour, project: Path
) -> None:
    """As whoever owns nothing: what root installed is to be run by the service's user."""
    look = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "import os, pwd\nfrom lamson import private\n"
        "print(private.flaw(os.lstat(sys.argv[1])))"
    )
    source = project.parent / "source"
    (source / "lamson").mkdir(parents=True)
    for name in ("private.py", "errors.py"):
        shutil.copy(Path("lamson") / name, source / "lamson" / name)
    (source / "lamson/__init__.py").touch()
    told = [neighbour.python(look, str(one), str(source)).stdout for one in (project, source)]
    assert told == ["\n", "\n"]
    os.chown(project, 12345, 12345)
    assert "it belongs to user 12345" in neighbour.python(look, str(project), str(source)).stdout


@pytest.mark.parametrize("name", ["logs/lamson.log", "run/lamson.pid"])
def test_a_link_that_he_laid_is_not_followed(
    neighbour: Neighbour, project: Path, street: Path, name: str
) -> None:
    """He could write to run/ and logs/ until now; the target is a file of ours."""
    target = street / "precious"
    target.write_text("precious\n")
    (project / name).unlink(missing_ok=True)
    (project / name).parent.chmod(0o777)
    laid = neighbour.python(
        "import os, sys; os.symlink(*sys.argv[1:])", str(target), f"{project}/{name}"
    )
    assert laid.returncode == 0
    environment = {**os.environ, "LAMSON_LMTP__LISTEN": "127.0.0.1:0"}
    done = lamson(project, "start", env=environment)
    assert done.returncode != 0
    assert f"{project}/{name}: it is a symbolic link" in done.stderr
    assert target.read_text() == "precious\n"
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "command", [["start"], ["restart"], ["syncdb"], ["requeue", "x"], ["log"], ["queue"]]
)
def test_root_writes_nothing_where_the_user_of_the_service_can(
    neighbour: Neighbour, project: Path, command: list[str]
) -> None:
    for name in ("run", "run/undeliverable", "run/undeliverable/new"):
        (project / name).mkdir(exist_ok=True)
        shutil.chown(project / name, neighbour.user)
    done = lamson(project, *command)
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert f"it belongs to user {neighbour.user}" in done.stderr
    assert f"runuser -u {neighbour.user} -- lamson" in done.stderr


def test_root_makes_no_file_where_a_link_for_the_database_leads(
    neighbour: Neighbour, project: Path, tmp_path: Path
) -> None:
    """`lamson trace` is root's, who may read Postfix's log: /etc/nologin would do."""
    target = tmp_path / "nologin"
    for name in ("lamson.db", "lamson.db-wal", "lamson.db-shm"):
        (project / "run" / name).unlink(missing_ok=True)
    shutil.chown(project / "run", neighbour.user)
    neighbour.python(LINK, str(target), str(project / "run/lamson.db"))
    done = lamson(project, "trace", "zed@example.com")
    assert done.returncode == os.EX_NOINPUT, done
    assert "unable to open database file" in done.stderr
    assert not target.exists()
    assert os.geteuid() == 0


def test_root_reads_the_database_of_a_service_that_is_his(
    neighbour: Neighbour, project: Path
) -> None:
    for path in (project / "run", *(project / "run").glob("lamson.db*")):
        shutil.chown(path, neighbour.user)
        path.chmod(0o700)
    done = lamson(project, "trace", "zed@example.com")
    assert "run/lamson.db: read" in done.stderr
    assert {one.owner() for one in (project / "run").glob("lamson.db*")} == {neighbour.user}


def test_root_looks_at_his_server_but_not_at_what_he_passes_off_as_one(
    neighbour: Neighbour, project: Path
) -> None:
    """A service runs as a user of its own; root may stop it, and nothing else by its pid file."""
    shutil.chown(project / "run", neighbour.user)
    pid_file = project / "run/lamson.pid"
    server = neighbour.popen(
        "import fcntl, os, signal, sys; file = open(sys.argv[1], 'w');"
        "fcntl.lockf(file, fcntl.LOCK_EX);"
        "file.write(f'{os.getppid()}\\nlistening\\n'); file.flush();"
        "print('held', flush=True); signal.pause()",
        str(pid_file),
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "held\n"
    assert f"running (pid {server.pid}), listening" in lamson(project, "status").stdout
    assert f"(pid {server.pid})" in lamson(project, "stop").stdout
    assert server.wait(30) == -signal.SIGTERM
    server.communicate()
    neighbour.python("import os, sys; os.unlink(sys.argv[1])", str(pid_file))
    neighbour.python(LINK, "/etc/passwd", str(pid_file))
    done = lamson(project, "stop")
    assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
    assert "it is a symbolic link" in done.stderr


@pytest.mark.skipif(
    shutil.which("postconf", path="/usr/sbin:/usr/bin") is None, reason="no Postfix"
)
def test_a_rollback_file_of_his_is_not_believed(
    neighbour: Neighbour, project: Path, street: Path
) -> None:
    etc = street / "etc"
    etc.mkdir()
    (etc / "main.cf").write_text("compatibility_level = 3.6\n")
    (etc / "master.cf").write_text("lmtp unix - - n - - lmtp\n")
    forged = neighbour.place / "rollback.json"
    neighbour.python("import sys; open(sys.argv[1], 'w').write(sys.argv[2])", str(forged), ROLLBACK)
    before = (etc / "main.cf").read_text()
    for owner in (neighbour.user, "root"):  # the second lies in his directory still
        shutil.chown(forged, owner)
        done = lamson(project, "postfix", "apply", "-config", str(etc), "-undo", str(forged))
        assert (done.returncode, done.stderr.count("\n")) == (os.EX_NOPERM, 1)
        assert f"it belongs to user {neighbour.user}" in done.stderr
        assert (etc / "main.cf").read_text() == before
    done = lamson(project, "postfix", "apply", "-config", str(etc))
    assert done.returncode == 0, done.stderr
    (ours,) = (etc / "lamson").iterdir()
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert stat.S_IMODE((etc / "main.cf").stat().st_mode) == 0o644, "Postfix can read it"


def test_who_is_of_the_group_connects_and_sees_nothing_else(
    neighbour: Neighbour, project: Path
) -> None:
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('in')"
    listen = "unix:sockets/lmtp.sock"
    with LamsonService(project, LAMSON_LMTP__LISTEN=listen, LAMSON_LMTP__SOCKET_GROUP="daemon"):
        path = project / "sockets/lmtp.sock"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o710
        assert path.parent.group() == "daemon"
        assert stat.S_IMODE((project / "run").stat().st_mode) == 0o700

        def tried(code: str, *arguments: str) -> str:
            return subprocess.run(
                [PYTHON, "-I", "-c", code, *arguments],
                user=neighbour.user,
                group="daemon",
                extra_groups=(),
                capture_output=True,
                text=True,
                check=False,
            ).stdout

        assert tried(connect, str(path)) == "in\n"
        assert tried(TRY, f"{project}/run/", f"{path.parent}/", f"{project}/run/lamson.db") == ""
        assert neighbour.python(connect, str(path)).stdout == ""


def test_a_socket_in_run_stays_within_reach_and_nothing_else_does(
    neighbour: Neighbour, project: Path
) -> None:
    """An operator of an older version has put it there, and Postfix knows it by that name."""
    with LamsonService(
        project, LAMSON_LMTP__LISTEN="unix:run/lmtp.sock", LAMSON_LMTP__SOCKET_MODE="0666"
    ):
        with socket.socket(socket.AF_UNIX) as here:
            here.connect(f"{project}/run/lmtp.sock")
        connect = "import socket, sys; socket.socket(1).connect(sys.argv[1]); print('in')"
        assert neighbour.python(connect, f"{project}/run/lmtp.sock").stdout == "in\n"
        files = [str(path) for path in (project / "run").iterdir() if not path.is_socket()]
        assert neighbour.python(TRY, f"{project}/run/", *files).stdout == ""
