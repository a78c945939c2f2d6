"""`lamson postfix check` against services that run: every leg, and what it must not report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import wanted
from lamson.postfix.checks import probes
from lamson.postfix.finding import Finding
from lamson.settings import Lmtp, Milter, Socketmap, Submission
from tests.postfix.instance import why_not
from tests.postfix.patient import ROUTE, project, site_of
from tests.postfix.sender import letter
from tests.waiting import free_port, listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from lamson.settings.model import Settings
    from tests.postfix.instance import PostfixInstance
    from tests.postfix.stage import Stage

pytestmark = [
    pytest.mark.postfix,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here"),
]


MEMBERS = r"members@app\.test"  # a route of the stories' project
X = r"x@app\.test"


def probed(
    settings: Settings, postfix: PostfixInstance, routed: str = ROUTE
) -> tuple[list[Finding], str]:
    """What is found, and all that could not be tried."""
    site = site_of(settings, postfix.base / "etc", routed)
    seen = list(probes.findings(site, f"127.0.0.1:{postfix.smtp_port}"))
    found = [one for one in seen if isinstance(one, Finding)]
    return found, " ".join(str(one) for one in seen if not isinstance(one, Finding))


def codes(settings: Settings, postfix: PostfixInstance, routed: str = ROUTE) -> list[str]:
    return [finding.code for finding in probed(settings, postfix, routed)[0]]


def test_the_legs_of_a_running_stage(make_stage: Callable[..., Stage]) -> None:
    port, milter = free_port(), free_port()
    stage = make_stage(
        main={"relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient"},
        environment={
            "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}",
            "LAMSON_MILTER__LISTEN": f"127.0.0.1:{milter}",
            "LAMSON_MILTER__CHECK_RECIPIENTS": "true",
        },
    )
    settings = project(
        milter=Milter(f"127.0.0.1:{milter}", check_recipients=True),
        lmtp=Lmtp(f"127.0.0.1:{stage.lamson.port}"),
        socketmap=Socketmap(f"127.0.0.1:{port}"),
        submission=Submission(f"127.0.0.1:{stage.postfix.submission_port}"),
    )
    wait_for(lambda: listening(milter), "the milter")
    assert codes(settings, stage.postfix, MEMBERS) == []
    lost = Milter(f"127.0.0.1:{stage.lamson.port}", check_recipients=True)
    [finding], _ = probed(settings.model_copy(update={"milter": lost}), stage.postfix, MEMBERS)
    assert finding.code == "milter-does-not-answer"
    assert "where a milter negotiates" in finding.problem
    stage.lamson.stop()
    assert codes(settings, stage.postfix, MEMBERS) == [
        "lmtp-does-not-answer",
        "socketmap-does-not-answer",
        "milter-does-not-answer",
        "unknown-recipient-is-deferred",
    ]
    stage.postfix.stop()
    assert codes(settings, stage.postfix, MEMBERS)[3:] == ["smtpd-does-not-answer", "submission"]


def test_a_postfix_that_takes_everybody(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(
        incoming={"smtpd_relay_restrictions": "check_recipient_access static:OK, reject"}
    )
    settings = project(
        lmtp=Lmtp(f"127.0.0.1:{stage.lamson.port}"),
        socketmap=Socketmap(),
        submission=Submission(f"127.0.0.1:{stage.postfix.submission_port}", security="starttls"),
    )
    assert codes(settings, stage.postfix, MEMBERS) == [
        "open-relay",
        "unknown-recipient-is-taken",
        "submission",
    ]


@pytest.mark.parametrize(("room", "is_taken"), [(1_000_000 // wanted.ROOM, True), (0, False)])
def test_the_largest_message_that_postfix_takes_needs_room(
    make_stage: Callable[..., Stage], room: int, *, is_taken: bool
) -> None:
    most = 1_000_000
    stage = make_stage(
        main={"message_size_limit": str(most)},
        environment={"LAMSON_LMTP__MAX_SIZE": str(most + room)},
    )
    head = letter("zed@sender.test", "counted-one@app.test", body="")
    content = head + b"x" * (most - len(head) - 2_700) + b"\r\n"  # as much as it takes
    stage.write("zed@sender.test", "counted-one@app.test", content=content)
    stage.postfix.wait_log("postfix/lmtp", "status=sent" if is_taken else "status=bounced")


def test_a_probe_from_a_trusted_network_shows_nothing(make_stage: Callable[..., Stage]) -> None:
    restrictions = "permit_mynetworks, reject_unauth_destination"
    stage = make_stage(
        incoming={
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": restrictions,
            "smtpd_sender_restrictions": "reject_unknown_sender_domain",
        }
    )
    found, untried = probed(project(), stage.postfix)
    assert not {"open-relay", "unknown-recipient-is-deferred"} & {one.code for one in found}
    assert "could not be tried from here: 127.0.0.1" in untried


def world(postfix: PostfixInstance) -> tuple[list[str], str]:
    """What the doctor says of what a stranger meets, and its remarks."""
    found, untried = probed(project(), postfix, X)
    ours = ("lmtp-", "socketmap-", "next-hop-", "submission")
    return [one.code for one in found if not one.code.startswith(ours)], untried


ROUTED = {"relay_domains": "app.test lists.test", "relay_recipient_maps": "inline:{x@app.test=x}"}


def test_a_right_smtpd_for_comparison(make_postfix: Callable[..., PostfixInstance]) -> None:
    assert world(make_postfix(routes={}, main=ROUTED)) == ([], "")


def test_a_postfix_that_was_not_reloaded(make_postfix: Callable[..., PostfixInstance]) -> None:
    """It refuses the unknown recipient, and everybody else of ours."""
    assert world(make_postfix(routes={})) == (["our-domain-is-not-taken"], "")


def test_a_milter_of_others_that_is_down(make_postfix: Callable[..., PostfixInstance]) -> None:
    """Postfix puts off MAIL, and answers 503 to the RCPT after it."""
    milter = {"smtpd_milters": f"inet:127.0.0.1:{free_port()}", "milter_default_action": "tempfail"}
    found, _ = world(make_postfix(routes={}, main=ROUTED | milter))
    assert found == ["another-server-does-not-answer", "smtpd-takes-no-sender"]


@pytest.mark.parametrize(
    "incoming",
    [
        {"smtpd_client_restrictions": "check_client_access static:{450 4.2.0 Greylisted}"},
        {"smtpd_helo_restrictions": "check_helo_access static:{550 5.7.1 Not you}"},
    ],
)
def test_what_comes_before_the_recipients_shows_nothing_of_them(
    make_postfix: Callable[..., PostfixInstance], incoming: dict[str, str]
) -> None:
    found, remarks = world(make_postfix(routes={}, main=ROUTED, incoming=incoming))
    assert found == []
    assert "whether unknown recipients are refused could not be tried from here" in remarks


def test_a_lookup_that_fails(make_postfix: Callable[..., PostfixInstance]) -> None:
    dead = {"relay_recipient_maps": f"socketmap:inet:127.0.0.1:{free_port()}:recipient"}
    found, _ = world(make_postfix(routes={}, main=ROUTED | dead))
    assert found == ["another-server-does-not-answer", "unknown-recipient-is-deferred"]


def test_a_refusal_that_is_not_final_is_told_once(
    make_postfix: Callable[..., PostfixInstance],
) -> None:
    """soft_bounce has a finding of its own: nothing is wrong with the lookups."""
    known = {"relay_recipient_maps": "inline:{x@app.test=x}", "soft_bounce": "yes"}
    found, _ = world(make_postfix(routes={}, main=ROUTED | known))
    assert found == []
