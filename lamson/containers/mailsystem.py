"""A mail system in containers: Postfix, Lamson on some nodes, PostgreSQL, the world behind it.

Nodes and their PostgreSQL are a cell; there may be more cells behind the one Postfix. All are on a
network of their own, with secrets made for the occasion, as ``postfix/compose.yaml`` has them. Mail
that tests send goes in at Postfix's port 25; whatever leaves arrives in the world.
"""

from __future__ import annotations

import json
import smtplib
import time
import uuid
from contextlib import ExitStack, contextmanager
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any, Self

from lamson.containers import images, world
from lamson.containers.cell import Cell
from lamson.containers.service import Service
from lamson.containers.waiting import wait_for
from lamson.containers.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

    from lamson.containers.engine import Engine

HOSTNAME = "mail.lamson.test"
# A retry within seconds, where a site's Postfix would take its time, and no name of the test's own
# host looked up where there may be no name server.
_IMPATIENT = {
    "POSTFIX_smtpd_peername_lookup": "no",
    "POSTFIX_queue_run_delay": "2s",
    "POSTFIX_minimal_backoff_time": "1s",
    "POSTFIX_maximal_backoff_time": "3s",
}
# As in compose.yaml, which says why.
_POSTFIX_SYSCTLS = {"net.ipv4.tcp_syn_retries": "2"}
_REPLY = 600.0  # seconds that a client waits at least, after the last octet (RFC 5321, 4.5.3.2)


class MailSystem:
    """Use as a context manager: it is up inside, and every trace is gone behind.

    ``image`` is a project's (`Images.project`), ``domains`` are those that it takes mail for;
    ``environment`` are more variables for Lamson's containers, ``postfix`` for Postfix's, such as
    ``POSTFIX_message_size_limit``.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        domains: Sequence[str],
        *,
        nodes: int = 2,
        environment: Mapping[str, str] | None = None,
        postfix: Mapping[str, str] | None = None,
    ) -> None:
        self.engine = engine
        self._client = engine.client
        self._image = image
        self._domains = domains
        self._count = nodes
        self._environment = {
            "LAMSON_SUBMISSION__SERVER": f"{HOSTNAME}:587",
            "LAMSON_SUBMISSION__USER": "lamson",
            "LAMSON_SUBMISSION__CA_FILE": "/run/secrets/ca.pem",
            **(environment or {}),
        }
        self._postfix_environment = {
            "MAIL_DOMAINS": " ".join(domains),
            "MAIL_HOSTNAME": HOSTNAME,
            "RELAYHOST": f"[world]:{world.PORT}",
            **_IMPATIENT,
            **(postfix or {}),
        }
        self._id = f"lamson-{uuid.uuid4().hex[:8]}"
        self._stack = ExitStack()
        self.postfix: Service
        self.world: World
        self._cells: list[Cell] = []

    @property
    def services(self) -> list[Service]:
        """All containers."""
        of_cells = [service for cell in self._cells for service in cell.services]
        return [self.postfix, *of_cells, self.world]

    @property
    def nodes(self) -> list[Service]:
        """Those of the first cell."""
        return self._cells[0].nodes

    @property
    def postgres(self) -> Service:
        """That of the first cell."""
        return self._cells[0].postgres

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._network = self._client.networks.create(f"{self._id}", driver="bridge")
            undo.callback(self._network.remove)
            self._volumes = {name: self._volume(undo, name) for name in _SECRETS}
            self._up(undo)
            self._stack = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _up(self, undo: ExitStack) -> None:
        mounts = {self._volumes[name]: {"bind": f"/secrets/{name}"} for name in _SECRETS}
        setup = Service(
            self._client,
            f"{self._id}-setup",
            image=images.POSTFIX,
            entrypoint=["make-secrets", HOSTNAME, "/secrets"],
            volumes=mounts,
        )
        undo.callback(setup.remove)
        setup.wait_exit()
        first = Cell(self._database(undo, "postgres"))
        self._cells = [first]
        self.world = self._add(
            undo,
            "world",
            World,
            image=self._image,
            command=[*world.COMMAND, "--allow", self._subnet()],
            healthcheck=_check("python", "-c", world.CHECK),
        )
        self.postfix = self._add(
            undo,
            "postfix",
            image=images.POSTFIX,
            secrets="postfix",
            environment=self._postfix_environment,
            aliases=[HOSTNAME],
            ports={"25/tcp": ("127.0.0.1", None), "587/tcp": ("127.0.0.1", None)},
            sysctls=_POSTFIX_SYSCTLS,
        )
        self._start_nodes(undo, first, self._count)
        for service in (self.world, self.postfix, *first.nodes):
            service.wait_healthy()

    @contextmanager
    def cell(self, name: str, nodes: int = 2) -> Iterator[Cell]:
        """One more cell, while entered: Postfix reaches its nodes as ``lamson-NAME``.

        No mail goes there until Postfix is told to bring it.
        """
        with ExitStack() as undo:
            cell = Cell(self._database(undo, f"postgres-{name}"))
            self._start_nodes(undo, cell, nodes, f"-{name}")
            self._cells.append(cell)
            undo.callback(self._cells.remove, cell)
            for node in cell.nodes:
                node.wait_healthy()
            yield cell

    def _database(self, undo: ExitStack, name: str) -> Service:
        database: Service = self._add(
            undo,
            name,
            image=images.POSTGRES,
            secrets="database",
            environment={
                "POSTGRES_USER": "postgres",
                "POSTGRES_PASSWORD_FILE": "/run/secrets/password",
            },
            healthcheck=_check("pg_isready", "-h", "127.0.0.1", "-U", "lamson"),
        )
        return database

    def _start_nodes(self, undo: ExitStack, cell: Cell, count: int, suffix: str = "") -> None:
        cell.postgres.wait_healthy()
        # Each finds the database of its own cell under the name that the secret has.
        links = {cell.postgres.name: "postgres"}
        self._node(undo, f"syncdb{suffix}", command=["syncdb"], links=links).wait_exit()
        cell.nodes = [
            self._node(undo, f"lamson{number}{suffix}", aliases=[f"lamson{suffix}"], links=links)
            for number in range(1, count + 1)
        ]

    def _node(self, undo: ExitStack, name: str, **options: Any) -> Service:
        node: Service = self._add(
            undo,
            name,
            image=self._image,
            secrets="lamson",
            environment={
                "LAMSON_LMTP__ALLOW": f"127.0.0.0/8,{self._subnet()}",
                "LAMSON_SOCKETMAP__ALLOW": f"127.0.0.0/8,{self._subnet()}",
                **self._environment,
            },
            read_only=True,
            tmpfs={"/tmp": ""},
            data="/var/lib/lamson",
            **options,
        )
        return node

    def _add(
        self,
        undo: ExitStack,
        name: str,
        kind: type[Any] = Service,
        *,
        secrets: str | None = None,
        data: str | None = None,
        aliases: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        volumes = {}
        if secrets is not None:
            volumes[self._volumes[secrets]] = {"bind": "/run/secrets", "mode": "ro"}
        if data is not None:
            volumes[self._volume(undo, name)] = {"bind": data}
        endpoint = self._client.api.create_endpoint_config(aliases=[name, *aliases], links=links)
        service = kind(
            self._client,
            f"{self._id}-{name}",
            hostname=name,
            network=self._network.name,
            networking_config={self._network.name: endpoint},
            volumes=volumes,
            security_opt=["no-new-privileges"],
            **options,
        )
        undo.callback(service.remove)
        return service

    def _subnet(self) -> str:
        """The containers' network: nobody else may hand mail over."""
        self._network.reload()
        return str(self._network.attrs["IPAM"]["Config"][0]["Subnet"])

    def _volume(self, undo: ExitStack, name: str) -> str:
        volume = self._client.volumes.create(f"{self._id}-{name}")
        undo.callback(volume.remove)
        return str(volume.name)

    def send(
        self,
        sender: str,
        *recipients: str,
        subject: str = "",
        body: str = "",
        content: bytes | None = None,
    ) -> str:
        """Have somebody in the world send a message; gives Postfix's queue id.

        ``content`` is a message of one's own, headers included. Raises
        smtplib.SMTPRecipientsRefused where a recipient is refused; then nothing was sent.
        """
        if content is None:
            content = _letter(sender, recipients, subject, body)
        host, port = self.postfix.port(25)
        with smtplib.SMTP(host, port, local_hostname="world.test", timeout=_REPLY) as client:
            client.ehlo()
            _expect(250, *client.mail(sender))
            answers = {recipient: client.rcpt(recipient) for recipient in recipients}
            if refused := {one: reply for one, reply in answers.items() if reply[0] != 250}:
                raise smtplib.SMTPRecipientsRefused(refused)
            reply = client.data(content)
            _expect(250, *reply)
        return reply[1].decode().rpartition("queued as ")[2]

    def query(self, statement: str) -> list[tuple[str, ...]]:
        """The rows that the application's database answers, of the first cell."""
        return self._cells[0].query(statement)

    def queue(self) -> list[dict[str, Any]]:
        """What is in Postfix's queue, as ``postqueue -j`` shows it."""
        return [json.loads(line) for line in self.postfix.read("postqueue", "-j").splitlines()]

    def settle(self, timeout: float = 60.0) -> None:
        """Wait until nothing is under way: Postfix's queue and Lamson's outboxes are empty."""

        def is_settled() -> bool:
            return (
                not self.queue()
                and all(cell.is_settled for cell in self._cells)
                and not self.queue()
            )

        wait_for(is_settled, lambda: f"mail is under way: {self.queue()}", timeout=timeout)

    def logs(self, since: float = 0.0) -> str:
        """The logs of all containers, since a `time.time()`: what to look at in a failed test."""
        return "\n".join(f"== {one.name} ==\n{one.logs(since)}" for one in self.services)


_SECRETS = ("postfix", "lamson", "database", "dkim")


def _check(*command: str) -> dict[str, Any]:
    return {"test": ["CMD", *command], "interval": 10 * 10**9}  # nanoseconds


def _letter(sender: str, recipients: Sequence[str], subject: str, body: str) -> bytes:
    return (
        f"From: {sender}\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\n"
        f"Date: {formatdate(time.time())}\r\nMessage-ID: {make_msgid(domain='world.test')}\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
    ).encode()


def _expect(code: int, got: int, text: bytes) -> None:
    if got != code:
        raise smtplib.SMTPResponseException(got, text)
