"""Whole mail systems in containers: Postfix, Lamson on several nodes, PostgreSQL, a world.

For the tests of a project, by the fixture ``mailsystem`` of `lamson.testing`, and for our own. The
images are those of ``postfix/``, which operators use. Needs the Docker SDK (extra ``containers``)
and an engine, which is started where none runs and that is possible. Whatever it takes and cannot
be had raises UnavailableError, which says what.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lamson.containers.cell import Cell
from lamson.containers.engine import Engine, running_engine
from lamson.containers.images import Images
from lamson.containers.mailsystem import MailSystem
from lamson.containers.service import Service
from lamson.containers.world import Arrived, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "Arrived",
    "Cell",
    "Engine",
    "Images",
    "MailSystem",
    "Service",
    "World",
    "mail_system",
    "running_engine",
]


@contextmanager
def mail_system(
    project: Path,
    *,
    domains: Sequence[str] | None = None,
    requirements: Sequence[str] = (),
    cache: Path | None = None,
    **options: Any,
) -> Iterator[MailSystem]:
    """The mail system of the project in the directory ``project``, up.

    ``domains`` are those that it takes mail for, by default the setting of that name, or what can
    be read off the routes. ``requirements`` are packages that the project needs. ``cache`` is a
    directory that keeps what is downloaded. ``options`` are those of `MailSystem`. Raises
    UnavailableError, BuildError, or what `lamson.settings.loading.load` raises.
    """
    with running_engine() as engine:
        images = Images(engine, cache)
        images.prepare(requirements)
        found = _domains(project) if domains is None else domains
        with MailSystem(engine, images.project(project), found, **options) as system:
            yield system


def _domains(project: Path) -> Sequence[str]:
    from lamson.routing.domains import Domains
    from lamson.settings import loading
    from lamson.settings.routes import collect_routes

    settings = loading.load(project)
    if settings.domains:
        return settings.domains
    return Domains(collect_routes(settings).routes).complete()
