"""What `lamson postfix plan` would change, as findings; and what master.cf has against it.

Where there can be no plan, since the domains cannot be listed, that is for
`lamson.postfix.checks.domains`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamson.errors import RouteError
from lamson.postfix import advice, plan, submission, transport, wanted
from lamson.postfix.checks import overrides
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site


def findings(site: Site) -> Iterator[Finding]:
    """Each thing that is not as wanted."""
    try:
        main, master = wanted.of_main(site), [*transport.wanted(site), *submission.wanted(site)]
    except RouteError:
        return
    yield from overrides.findings(site, [*main, wanted.size(site.settings)])
    yield from advice.findings(site)
    for change in plan.make(site, main, master):
        if change.is_override:
            missing = f"{change.name} is {change.before or 'not set'}"
            key, _, name = change.name.rpartition("/")
            fix = site.mend.override(key, f"{name}={change.after}")
        elif change.file == "master.cf":
            missing = f"master.cf has no service {change.name}"
            fix = site.mend.set_service(change.name, change.after)
        elif change.file == plan.TABLE:
            missing = f"{change.name} is not as this project wants it"
            fix = site.mend.apply()
        else:
            missing = f"{change.name} is {site.get(change.name) or 'not set'}"
            fix = site.mend.set(change.name, change.after)
        if change.doubt:
            # A command would do what `apply` does not dare to: a person has to look.
            fix = f"by hand, as apply leaves it to you: {change.doubt}"
        code = change.name.partition("/")[0]
        if change.is_override:
            code = change.name.rpartition("/")[2]
        elif change.file == plan.TABLE:
            code = "recipient-tables"
        yield Finding(code, missing, change.why, fix)
