"""What `lamson postfix plan -prove` and `apply` show of a proof, and their options for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from lamson.cli.options import option, printable
from lamson.errors import LamsonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamson.postfix.plan import Change
    from lamson.postfix.proof import Proof
    from lamson.postfix.site import Site

_SHOWN = 20  # differences

probe = option(
    "probe",
    metavar="ADDRESS",
    multiple=True,
    help="An address of others to ask about as well. May be repeated.",
)
moved = option(
    "moved",
    metavar="DOMAIN",
    multiple=True,
    help="A domain of ours that has another home so far, and is to come here. May be repeated.",
)


def show(
    site: Site, changes: Sequence[Change], probe: Sequence[str], moved: Sequence[str]
) -> Proof:
    """Ask what the changes would change for others, and show it. Raises LamsonError."""
    from lamson.postfix import proof
    from lamson.smtp.address import parse_mailbox

    probes = [parse_mailbox(one, smtputf8=True) for one in probe]
    for domain in moved:
        if not site.domains.holds(domain):
            raise click.UsageError(f"-moved {domain}: it is no domain of this project")
    found = proof.prove(site, changes, probes, [one.lower() for one in moved])
    for note in found.notes:
        click.echo(f"# {printable(note)}")
    if found.ours:
        click.echo(f"# not compared, since they are ours: {len(found.ours)} addresses")
    for difference in found.changed[:_SHOWN]:
        click.echo(f"would change for others: {printable(str(difference))}")
    if more := found.changed[_SHOWN:]:
        click.echo(f"would change for others: {len(more)} more addresses")
    same = found.compared - len(found.changed)
    click.echo(f"# a copy of this Postfix answers as before for {same} addresses of others")
    return found


def changes_others(
    site: Site, changes: Sequence[Change], probe: Sequence[str], moved: Sequence[str]
) -> bool:
    """The same for `apply`, which says how to go on where it cannot be asked."""
    try:
        return bool(show(site, changes, probe, moved).changed)
    except LamsonError as error:
        if error.exit_code not in (os.EX_UNAVAILABLE, os.EX_NOPERM):
            raise
        raise LamsonError(
            f"{error}; nothing was changed (without asking: -unproven)", exit_code=error.exit_code
        ) from None
