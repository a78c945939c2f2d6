"""A real PostgreSQL of one's own, for tests: own data directory, own port, own socket.

Needs Debian's package (or any with initdb and postgres), neither its system cluster nor root; where
the tests run as root, the server runs as the user `postgres`, because it refuses to be root. It
ends its own server alone, by process id. When that does not start, the error holds its log.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.server_process import ServerProcess
from tests.waiting import free_port

if TYPE_CHECKING:
    from types import TracebackType

    import psycopg

USER = "lamson"  # who owns the databases; trusted, since only this machine can connect
_ACCOUNT = "postgres"


def programs() -> Path | None:
    """The directory of initdb and postgres, of the newest version installed; None without one."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if found := shutil.which("initdb"):
        places.append(Path(found).parent)
    return next((place for place in places if (place / "initdb").exists()), None)


def why_not() -> str | None:
    """Why no private PostgreSQL can be run here; None where it can."""
    if programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if find_spec("psycopg") is None:
        return "psycopg is not installed (pip install 'lamson-postfix[postgres]')"
    if os.geteuid() == 0 and not _has_account():
        return f"root cannot run PostgreSQL, and there is no user {_ACCOUNT!r} to run it as"
    return None


class PostgresInstance:
    """One server with any number of databases, each made by `create_database`.

    ``durable=False`` saves the fsyncs: what is committed survives the death of any process, but not
    that of the machine. ``settings`` are more of postgresql.conf.
    """

    def __init__(self, *, durable: bool = True, **settings: str) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="lamson-postgres-", dir="/tmp"))
        self.port = free_port()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.base),
            "fsync": "on" if durable else "off",
            "logging_collector": "off",
            "shared_buffers": "32MB",
            "max_connections": "200",
            **settings,
        }
        self._names = (f"test{number}" for number in count(1))
        self._process = ServerProcess("PostgreSQL", self.base / "log")
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(self.base, account.pw_uid, account.pw_gid)
            self._as_user = {
                "user": account.pw_uid,
                "group": account.pw_gid,
                "extra_groups": [],
            }
        self._run("initdb", "--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8")

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    def start(self) -> PostgresInstance:
        """Start, and return when it accepts connections; after a crash, when it has recovered."""
        self._process.start(
            [self._program("postgres"), "-D", self.base / "data", *self._options()],
            self._answers,
            cwd="/",
            **self._as_user,
        )
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """End the server: sessions are ended first, or with ``immediate`` as in a crash."""
        self._process.stop(signal.SIGQUIT if immediate else signal.SIGINT)

    def close(self) -> None:
        """Stop, and remove every file."""
        self.stop()
        shutil.rmtree(self.base)

    def __enter__(self) -> PostgresInstance:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def create_database(self) -> str:
        """Make an empty database; gives its name."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str = "postgres") -> str:
        """The SQLAlchemy URL of a database, as it stands in a project's settings."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of one's own, in autocommit mode."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            dbname=name,
            autocommit=True,
            application_name="test",
            connect_timeout=60,
        )

    def execute(self, statement: str, name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement in a database; gives the rows, if it has any."""
        with self.connect(name) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def terminate_backends(self, name: str, where: str = "true") -> int:
        """End the sessions on a database, except those of `connect`; gives how many.

        ``where`` is a condition on pg_stat_activity, such as ``state = 'active'``.
        """
        rows = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND application_name <> 'test' AND ({where})"
        )
        return sum(done for (done,) in rows)

    def log_text(self) -> str:
        log = self.base / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _options(self) -> list[str]:
        return [part for item in self._settings.items() for part in ("-c", "{}={}".format(*item))]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), "-D", self.base / "data", *arguments],
            cwd="/",
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            **self._as_user,
        )
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr.decode(errors='replace')}")

    def _answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    @staticmethod
    def _program(name: str) -> str:
        directory = programs()
        assert directory is not None, why_not()
        return str(directory / name)


def _version(place: Path) -> int:
    name = place.parent.name
    return int(name) if name.isdecimal() else 0


def _has_account() -> bool:
    try:
        pwd.getpwnam(_ACCOUNT)
    except KeyError:
        return False
    return True
