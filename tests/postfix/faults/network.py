"""Who may come, and who is believed."""

from __future__ import annotations

from tests.postfix.faults.fault import PROBE, fault

_RELAY = "an open relay"
_NEWLINES = "messages are smuggled in"
_RUNNING = "postfix/test_doctor_running.py"

FAULTS = (
    fault("the world is trusted", _RELAY, "mynetworks-is-the-world",
          main={"mynetworks": "127.0.0.0/8, 0.0.0.0/0"}),
    fault("both halves of the world are trusted", _RELAY, "mynetworks-is-the-world",
          main={"mynetworks": "0.0.0.0/1, 128.0.0.0/1"}),
    fault("all of IPv6 is trusted", _RELAY, "mynetworks-is-the-world",
          main={"mynetworks": "127.0.0.0/8, [::]/0"}),
    fault("a table trusts all", _RELAY, "mynetworks-is-the-world",
          main={"mynetworks": "static:all"}),
    fault("a service trusts the world", _RELAY, "mynetworks-is-the-world",
          override={"<world>/mynetworks": "0.0.0.0/0"}),
    fault("relaying is permitted", _RELAY, "open-relay-restrictions",
          main={"smtpd_relay_restrictions": "permit", "smtpd_recipient_restrictions": ""}),
    fault("a service permits relaying", _RELAY, "open-relay-restrictions",
          override={"<world>/smtpd_relay_restrictions": "permit_mynetworks"}),
    fault("a table permits relaying", _RELAY, "open-relay",
          override={"<world>/smtpd_relay_restrictions": "check_recipient_access static:OK, reject"},
          found_by=PROBE,
          shown_in=_RUNNING),
    fault("XCLIENT for everybody", _RELAY, "anybody-is-believed",
          main={"smtpd_authorized_xclient_hosts": "static:all"}),
    fault("XFORWARD for everybody", "mail is taken for seen", "anybody-is-believed",
          override={"<world>/smtpd_authorized_xforward_hosts": "0.0.0.0/0"}),
    fault("routes within addresses", _RELAY, "untrusted-routing",
          main={"allow_untrusted_routing": "yes"}),
    fault("bare newlines", _NEWLINES, "smtpd_forbid_bare_newline",
          main={"smtpd_forbid_bare_newline": "no"}),
    fault("bare newlines at the service", _NEWLINES, "master-cf-override",
          override={"<world>/smtpd_forbid_bare_newline": "no"}),
    fault("bare newlines of whom we trust", _NEWLINES, "smtpd_forbid_bare_newline_exclusions",
          main={"smtpd_forbid_bare_newline_exclusions": "$mynetworks"}),
    fault("bare newlines are rejected, and BDAT offered", "Microsoft's mail is refused",
          "newline-reject-and-bdat", main={"smtpd_forbid_bare_newline": "reject"}),
    fault("passwords in clear", "on the wire", "password-in-clear",
          added=("587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes",)),
    fault("IPv6 alone", "we cannot be reached", "inet-protocols", main={"inet_protocols": "ipv6"}),
    fault("the world has to use TLS", "530", "world-has-to-use-tls",
          override={"<world>/smtpd_tls_security_level": "encrypt"}),
    fault("the world has to use TLS from the first octet", "never a word", "world-has-to-use-tls",
          override={"<world>/smtpd_tls_wrappermode": "yes"}),
    fault("a certificate that is not there", "454 TLS not available", "certificate-is-missing",
          override={"<world>/smtpd_tls_security_level": "may",
                    "<world>/smtpd_tls_cert_file": "/etc/ssl/none.pem"}),
    fault("smtpd does not run", "no mail comes in", "smtpd-does-not-answer", found_by=PROBE,
          shown_in=_RUNNING),
    fault("half a name", "need fully-qualified hostname", "myhostname-is-no-full-name",
          main={"myhostname": "mail"}),
    fault("half a name for HELO", "need fully-qualified hostname", "myhostname-is-no-full-name",
          main={"smtp_helo_name": "gateway"}),
    fault("who says that he is of our domain may relay", _RELAY, "open-relay-restrictions",
          override={"<world>/smtpd_relay_restrictions": "",
                    "<world>/smtpd_recipient_restrictions": "permit_mynetworks,"
                    " check_sender_access texthash:<etc>/senders, reject_unauth_destination"},
          files={"senders": "lists.test OK\n"}),
    fault("who says that he is this host may relay", _RELAY, "open-relay-restrictions",
          override={"<world>/smtpd_relay_restrictions":
                    "check_helo_access texthash:<etc>/helo, reject_unauth_destination"},
          files={"helo": "postfix.test OK\n"}),
)  # fmt: skip
