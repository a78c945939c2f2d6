"""Which recipients smtpd takes for our domains."""

from __future__ import annotations

from tests.postfix.faults.fault import PROBE, fault

_OURS = "socketmap:inet:127.0.0.1:8824:recipient"
_BACKSCATTER = "taken, refused by us, bounced to a forged sender"
_RUNNING = "postfix/test_doctor_running.py"

FAULTS = (
    fault("no recipient maps", _BACKSCATTER, "relay_recipient_maps",
          main={"relay_recipient_maps": ""}),
    fault("ours closes other relay domains", "550 for all of theirs", "relay_recipient_maps",
          main={"relay_recipient_maps": _OURS, "relay_domains": "app.test lists.test other.test"}),
    fault("static:OK takes everybody", _BACKSCATTER, "anybody-is-a-recipient",
          main={"relay_recipient_maps": f"static:OK, {_OURS}"}),
    fault("a wild-card for our domain", _BACKSCATTER, "anybody-is-a-recipient",
          main={"relay_recipient_maps": f"texthash:<etc>/recipients, {_OURS}"},
          files={"recipients": "@lists.test OK\n"}),
    fault("an address without a route is listed", _BACKSCATTER, "recipient-without-route",
          main={"relay_recipient_maps": f"hash:<etc>/recipients, {_OURS}"},
          files={"recipients": "gone@lists.test OK\n"}, hashed=("recipients",)),
    fault("recipient_delimiter takes extensions that no route takes", _BACKSCATTER,
          "extension-is-taken",
          main={"recipient_delimiter": "+", "relay_recipient_maps": _OURS}),
    fault("smtpd looks no recipients up", _BACKSCATTER, "unlisted-recipients-are-taken",
          main={"smtpd_reject_unlisted_recipient": "no"}),
    fault("a service looks no recipients up", _BACKSCATTER, "unlisted-recipients-are-taken",
          override={"<world>/smtpd_reject_unlisted_recipient": "no"}),
    fault("an override switches the lookup off", _BACKSCATTER, "unlisted-recipients-are-taken",
          override={"<world>/receive_override_options": "no_unknown_recipient_checks"}),
    fault("main.cf switches the lookup off", _BACKSCATTER, "unlisted-recipients-are-taken",
          main={"receive_override_options": "no_unknown_recipient_checks"}),
    fault("a service has no recipient maps", _BACKSCATTER, "recipients-switched-off",
          override={"<world>/relay_recipient_maps": ""}),
    fault("a service has other recipient maps", "550 for each of ours", "recipients-switched-off",
          override={"<world>/relay_recipient_maps": "hash:<etc>/other"},
          files={"other": "ann@other.test x\n"}, hashed=("other",)),
    fault("soft_bounce", "no refusal is final", "soft-bounce", main={"soft_bounce": "yes"}),
    fault("unknown recipients are put off", "450 for days", "unknown-recipients-are-deferred",
          main={"unknown_relay_recipient_reject_code": "450"}),
    fault("tables of another time", "refuses who has a route since", "stale-tables", base="tables",
          main={"relay_recipient_maps": "regexp:<etc>/recipients"},
          files={"recipients": "# Made from the routes by: lamson postfix maps\n"
                 "# Do not edit; make it anew when the routes or the settings have changed.\n"
                 "/^(old@lists\\.test)$/ routed\n"}),
    fault("tables that are not there", "451 for all", "table-cannot-be-opened",
          "relay_recipient_maps", base="tables",
          main={"relay_recipient_maps": "regexp:<etc>/recipients"}),
    fault("Lamson's socketmap is down", "451 for all of ours", "socketmap-does-not-answer",
          found_by=PROBE,
          shown_in=_RUNNING),
    fault("the socketmap of somebody else is down", "451 for all", "another-server-does-not-answer",
          main={"relay_recipient_maps": f"socketmap:inet:127.0.0.1:1:x, {_OURS}"}, found_by=PROBE,
          shown_in=_RUNNING),
    fault("the port of lookups is wrong", "451 for all of ours", "unknown-recipient-is-deferred",
          found_by=PROBE,
          shown_in=_RUNNING),
)  # fmt: skip
