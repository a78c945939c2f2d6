"""A cell of a mail system: one PostgreSQL, and the nodes that share it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.containers.service import Service

_READS = {"select", "show", "table", "values"}  # statements that may be asked twice


class Cell:
    """Its containers, ``postgres`` and ``nodes``, and what the database answers."""

    def __init__(self, postgres: Service) -> None:
        self.postgres = postgres
        self.nodes: list[Service] = []

    @property
    def services(self) -> list[Service]:
        """All its containers."""
        return [*self.nodes, self.postgres]

    @property
    def is_settled(self) -> bool:
        """Whether no mail waits in the outbox."""
        return self.query("select count(*) from lamson_outbox") == [("0",)]

    def query(self, statement: str) -> list[tuple[str, ...]]:
        """The rows that the application's database answers, each value as text."""
        only_reads = statement.split(None, 1)[0].lower() in _READS
        ask = self.postgres.read if only_reads else self.postgres.run
        command = ("psql", "-U", "lamson", "-d", "lamson", "-X", "-q", "-t", "--csv")
        output = ask(*command, "-v", "ON_ERROR_STOP=1", "-c", statement)
        return [tuple(row) for row in csv.reader(io.StringIO(output))]
