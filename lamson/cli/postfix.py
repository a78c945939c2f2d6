"""`lamson postfix maps`, `plan`, `apply` and `check`: what Postfix has to know of a project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamson import private
from lamson.cli import proving
from lamson.cli.options import HELP, Seconds, command, option, project, settings

if TYPE_CHECKING:
    from lamson.postfix.plan import Change
    from lamson.postfix.postconf import Postconf
    from lamson.postfix.site import Site
    from lamson.routing.domains import Domains
    from lamson.routing.router import Router
    from lamson.settings.model import Settings

WRONG = 1
OTHERS = 2  # would be answered otherwise

_config = option(
    "config",
    metavar="DIR",
    help="The directory of Postfix's main.cf. Default: postfix.config_directory, else its own.",
)


@click.group("postfix", context_settings=HELP, no_args_is_help=False)
@click.pass_context
def postfix_command(context: click.Context) -> None:
    """Set up the Postfix in front of the project, and look it over.

    \b
    Example:
      lamson postfix plan
      lamson postfix apply
      lamson postfix check
    """
    context.with_resource(private.shared())  # Postfix has to read what is written here


@command("maps")
@_config
@option(
    "directory",
    metavar="DIR",
    help="Where to write them. Default: beside main.cf, the directory named after"
    " postfix.transport, such as /etc/postfix/lamson.",
)
@option(
    "type",
    dest="kind",
    type=click.Choice(["regexp", "pcre"]),
    default="regexp",
    show_default=True,
    help="The kind of tables.",
)
def maps_command(config: str | None, directory: str | None, kind: str) -> None:
    """Write the tables transport, recipients and domains, made from the routes.

    For a Postfix that is not to depend on the socketmap. Each table is tried out with postmap
    before it replaces the old one. Make them anew, and say `postfix reload`, whenever the routes
    have changed. Where only root writes, as beside main.cf, it takes root: exits with 77, nothing
    written, for others; so it does where somebody else could exchange a table.

    \b
    Example:
      lamson postfix maps
    """
    from lamson.postfix import tables

    effective = settings()
    router, domains = _routes(effective)
    target = Path(directory) if directory else _tables(effective, _postconf(effective, config))
    made = tables.make(router, domains, effective.next_hop, tracks=effective.submission.track)
    for path in tables.write(target.absolute(), kind, made):
        click.echo(f"wrote {kind}:{path}")
    for route in router.routes:
        if route.signed:
            names = ", ".join(f"({name})" for name, _ in route.signed)
            click.echo(
                f"# {route.format}: a table knows only what {names} looks like. Postfix takes a"
                " forged or expired one, and bounces it when the application refuses it; with the"
                " socketmap, or milter.check_recipients, it is refused at once"
            )


def _routes(effective: Settings) -> tuple[Router, Domains]:
    from lamson.routing.domains import Domains
    from lamson.settings.loading import placing
    from lamson.settings.routes import collect_routes

    with placing(project()):
        router = collect_routes(effective)
    return router, Domains(router.routes, effective.domains)


def _postconf(effective: Settings, config: str | None) -> Postconf:
    from lamson.postfix.postconf import Postconf

    return Postconf(Path(config).absolute() if config else effective.postfix.config_directory)


def _tables(effective: Settings, postconf: Postconf) -> Path:
    """Where only root writes, and for each application another one."""
    return postconf.directory / effective.postfix.transport


def _site(effective: Settings, postconf: Postconf) -> Site:
    from lamson.postfix.site import Site

    return Site.read(effective, *_routes(effective), _tables(effective, postconf), postconf)


def _changes(site: Site) -> list[Change]:
    from lamson.postfix import plan, submission, transport, wanted

    return plan.make(
        site, wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
    )


@command("plan")
@_config
@option("prove", is_flag=True, help="Ask a copy of Postfix what would change for others, too.")
@proving.probe
@proving.moved
def plan_command(
    config: str | None, prove: bool, probe: tuple[str, ...], moved: tuple[str, ...]
) -> int:
    """Show what has to change in main.cf and master.cf. Changes nothing.

    Exits with 1 where something has to change; with -prove or -probe, with 2 where that would
    change an answer for others, as `lamson postfix apply` would find.

    \b
    Example:
      lamson postfix plan
      lamson postfix plan -probe ann@customer.example
    """
    from lamson.postfix import advice, plan, submission

    effective = settings()
    site = _site(effective, _postconf(effective, config))
    changes = _changes(site)
    left = [*submission.lacking(site), *advice.findings(site)]
    if not changes and not left:
        click.echo("main.cf and master.cf are as this project wants them")
    for file in plan.FILES:
        if own := [change for change in changes if change.file == file]:
            if file != plan.TABLE:
                click.echo(f"--- {site.configuration.directory / file}")
            for change in own:
                if file == plan.TABLE:
                    click.echo(f"--- {change.name}")
                click.echo(str(change))
    for finding in left:
        click.echo(f"# not done by apply: {finding}")
    if remark := submission.remark(site):
        click.echo(f"# {remark}")
    for remark in advice.remarks(site):
        click.echo(f"# {remark}")
    if (prove or probe) and proving.show(site, changes, probe, moved).changed:
        return OTHERS
    return WRONG if changes or left else os.EX_OK


@command("apply")
@_config
@option("undo", metavar="FILE", help="Instead restore what this rollback file says was before.")
@option("only", metavar="NAME", multiple=True, help="Change this line alone. May be repeated.")
@proving.probe
@proving.moved
@option("unproven", is_flag=True, help="Do not ask a copy of Postfix first.")
def apply_command(
    config: str | None,
    undo: str | None,
    only: tuple[str, ...],
    probe: tuple[str, ...],
    moved: tuple[str, ...],
    unproven: bool,
) -> int:
    """Make the changes that `lamson postfix plan` shows, with postconf alone.

    What was there before is written to a rollback file first. A value with a $ macro that would
    have to be replaced, and a service that is another's, are left to you, and so is what would do
    harm without them; each line says so, and why. Exits with 1 where something is left, and with
    73, nothing changed, where the rollback file cannot be written.

    Before all that, a copy of this Postfix, which delivers nothing and listens on no port, is asked
    with the changes and without about addresses of every domain and map that there is. Where an
    answer for others would change, it says for whom, and exits with 2, nothing changed; so it does
    with 69 where the copy does not run, and with 77 where this is not root.

    \b
    Example:
      lamson postfix apply
      lamson postfix apply -probe ann@customer.example
      lamson postfix apply -only relay_recipient_maps
      lamson postfix apply -undo /etc/postfix/lamson/rollback-20260101T120000-99.json
    """
    from lamson.postfix import advice, apply, plan, submission
    from lamson.postfix.recipients import DIRECTORY as ROLLBACKS

    effective = settings()
    postconf = _postconf(effective, config)
    if undo is not None:
        undone = apply.undo(postconf, Path(undo))
        for change in undone:
            click.echo(f"{change.file}: {change.name} is as it was")
        if not undone:
            click.echo("nothing to undo")
            return os.EX_OK
        click.echo(f"now: {postconf.mend.reload}")
        return os.EX_OK
    site = _site(effective, postconf)
    changes = plan.chosen(site, _changes(site), only)
    for name in only:
        if name not in [one.name for one in changes]:
            click.echo(f"{name}: nothing to change")
    is_proven = unproven or all(one.doubt for one in changes)
    if not is_proven and proving.changes_others(site, changes, probe, moved):
        click.echo("nothing was changed; a domain of ours that is to move here: -moved DOMAIN")
        return OTHERS
    rollback = apply.carry_out(postconf, changes, site.configuration.directory / ROLLBACKS)
    if rollback is not None:
        site = site.again(postconf)
    findings = [*submission.lacking(site), *advice.findings(site)]
    for finding in findings:
        click.echo(f"left to you: {finding}")
    for change in changes:
        if change.doubt:
            click.echo(f"left to you: {change.file}: {change.name}: {change.doubt}")
        else:
            click.echo(f"{change.file}: set {change.name}")
    if rollback is None:
        click.echo("nothing was changed" if changes else "nothing to change")
    else:
        click.echo(f"to undo it: lamson postfix apply -undo {rollback}")
        click.echo(f"now: {postconf.mend.reload}")
    is_left = any(change.doubt for change in changes)
    return WRONG if findings or is_left else os.EX_OK


@command("check")
@_config
@option("smtpd", metavar="HOST:PORT", help="Where Postfix takes mail from the world.")
@option("offline", is_flag=True, help="Look at the configuration only; try no service.")
@option("deliver", is_flag=True, help="Send a probe all the way, to Lamson and out and back.")
@option(
    "wait",
    metavar="SECONDS",
    type=Seconds(0),
    default=30,
    show_default=True,
    help="How long to wait for that probe.",
)
@option("json", dest="as_json", is_flag=True, help="Print the findings as JSON.")
def check_command(
    config: str | None, smtpd: str | None, offline: bool, deliver: bool, wait: float, as_json: bool
) -> int:
    """Look whether Postfix and the project fit together: the configuration, then each leg.

    One line says what is wrong, what comes of it, and the command that mends it; lines with # say
    what could not be tried from here. Exits with 1 where something is wrong. Nothing is changed, no
    message is sent but with -deliver. With -json each has a kind: wrong, untried or remark.

    With -deliver a message goes in through smtpd to an address that Lamson answers itself, and its
    answer out through submission and back: what arrives is compared with what was sent.

    \b
    Example:
      lamson postfix check
      lamson postfix check -smtpd mail.example.com:25 -json
      lamson postfix check -deliver
    """
    from lamson.postfix import advice
    from lamson.postfix.checks import inspection, probes
    from lamson.postfix.finding import OFFLINE, Finding, Remark, as_values

    effective = settings()
    site = _site(effective, _postconf(effective, config))
    patience = wait if deliver else None
    tried = [OFFLINE] if offline else probes.findings(site, smtpd, patience=patience)
    remarks = (Remark("remark", text) for text in advice.remarks(site))
    seen = [*inspection.findings(site), *tried, *remarks]
    found = [one for one in seen if isinstance(one, Finding)]
    if as_json:
        click.echo(json.dumps(as_values(seen), indent=1))
    else:
        for finding in found:
            click.echo(str(finding))
        if not found:
            click.echo("Postfix and this project fit together")
        for one in seen:
            if not isinstance(one, Finding):
                click.echo(f"# {one}")
    return WRONG if found else os.EX_OK


for _command in (maps_command, plan_command, apply_command, check_command):
    postfix_command.add_command(_command)
