"""Filters of ours beside those of others."""

from __future__ import annotations

from tests.postfix.faults.fault import PROBE, fault

_OURS = "{ inet:<milter>, default_action=tempfail }"
_RUNNING = "postfix/test_doctor_running.py"

FAULTS = (
    fault("our milter is not asked", "unfiltered", "smtpd_milters", base="filters",
          main={"smtpd_milters": ""}),
    fault("ours passes mail while it is down", "unfiltered", "smtpd_milters", base="filters",
          main={"smtpd_milters": "inet:<milter>", "milter_default_action": "accept"}),
    fault("ours loses mail while it is down", "550", "smtpd_milters", base="filters",
          main={"smtpd_milters": "{ inet:<milter>, default_action=reject }"}),
    fault("the service has no milters", "unfiltered", "milter-switched-off", base="filters",
          override={"<world>/smtpd_milters": ""}),
    fault("the service has another milter", "unfiltered", "milter-switched-off", base="filters",
          override={"<world>/smtpd_milters": "inet:127.0.0.1:1"}),
    fault("the service passes mail while ours is down", "unfiltered", "milter-default-action",
          base="filters",
          override={"<world>/smtpd_milters": "{ inet:<milter>, default_action=accept }"}),
    fault("the service overrides milters", "unfiltered", "milter-switched-off", base="filters",
          override={"<world>/receive_override_options": "no_milters"}),
    fault("main.cf overrides milters", "unfiltered", "milter-switched-off", base="filters",
          main={"receive_override_options": "no_milters"}),
    fault("a table turns milters off for everybody", "unfiltered", "milter-switched-off",
          base="filters", main={"smtpd_milter_maps": "static:DISABLE"}),
    fault("ours is there twice", "filters see all twice", "milter-twice", base="filters",
          main={"smtpd_milters": f"{_OURS}, {_OURS}"}),
    fault("Postfix gives a command up before we do", "451", "milter-timeout", base="filters",
          main={"milter_command_timeout": "5s"}),
    fault("Postfix gives a message up before we do", "451", "milter-timeout", base="filters",
          main={"milter_content_timeout": "60s"}),
    fault("ours has a time of its own that is too short", "451", "milter-timeout", base="filters",
          main={"smtpd_milters": "{ inet:<milter>, default_action=tempfail, command_timeout=2s }"}),
    fault("no time to connect", "451", "milter-timeout", base="filters",
          main={"milter_connect_timeout": "0s"}),
    fault("an old protocol", "filters are told less than they ask for", "milter-protocol",
          base="filters", main={"milter_protocol": "2"}),
    fault("Lamson's milter is down", "451", "milter-does-not-answer", base="filters",
          found_by=PROBE,
          shown_in=_RUNNING),
    fault("the milter of somebody else is down", "451", "another-server-does-not-answer",
          main={"smtpd_milters": "inet:127.0.0.1:1"}, found_by=PROBE,
          shown_in=_RUNNING),
    fault("a content filter hands mail back past nobody", "filters see all twice", "milter-twice",
          base="filters", main={"content_filter": "scan:[127.0.0.1]:10024"},
          added=("scan unix - - n - 2 smtp",
                 "127.0.0.1:10025 inet n - n - - smtpd -o content_filter= -o"
                 " mynetworks=127.0.0.0/8")),
)  # fmt: skip
