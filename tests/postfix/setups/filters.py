"""Hosts that look into mail: a content filter, postscreen with a spam milter, logins."""

from __future__ import annotations

from tests.postfix.setups.setup import Old, Setup

# FILTER_README, "Advanced content filter example", and amavisd-new's README.postfix.
reinjection = Setup(
    "content filter",
    """\
compatibility_level = 3.6
myhostname = mail.example.test
mydestination = $myhostname, example.test, localhost
mynetworks = 127.0.0.1/32
alias_maps = hash:@etc@/aliases
alias_database = hash:@etc@/aliases
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
content_filter = scan:localhost:@filter@
receive_override_options = no_address_mappings
relay_domains = customer.test
transport_maps = hash:@etc@/transport
""",
    (
        Old("daemon@example.test", "mbox daemon"),
        Old("sales@example.test", "world", becomes="somebody@elsewhere.test"),
        Old("anybody@customer.test", "primary"),
        Old("no-one@example.test", 550),
        Old("joe@elsewhere.test", "world", by="sendmail", sender="daemon@example.test"),
    ),
    tables={
        "aliases": "postmaster: daemon\nsales: somebody@elsewhere.test\n",
        "transport": "customer.test smtp:[127.0.0.1]:@primary@\n",
    },
    hashed=["aliases", "transport"],
    master="""\
# The before-filter side.
scan      unix  -       -       n       -       10      smtp
  -o smtp_send_xforward_command=yes
  -o disable_mime_output_conversion=yes
  -o smtp_generic_maps=
# The after-filter side.
localhost:@back@ inet  n       -       n       -       10      smtpd
  -o content_filter=
  -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters
  -o smtpd_helo_restrictions=
  -o smtpd_client_restrictions=
  -o smtpd_sender_restrictions=
  # Postfix 2.10 and later: specify empty smtpd_relay_restrictions.
  -o smtpd_relay_restrictions=
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.0/8
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
""",
)

# POSTSCREEN_README, and rspamd's "Integrating with Postfix".
postscreen = Setup(
    "postscreen and spam milter",
    """\
compatibility_level = 3.6
myhostname = mail.example.test
mydestination = localhost
mynetworks = 127.0.0.1/32
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = hash:@etc@/vmailbox
virtual_transport = lmtp:inet:127.0.0.1:@mailboxes@
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_helo_required = yes
# The first time of a client takes a second, in place of six.
postscreen_greet_wait = 1s
postscreen_access_list = permit_mynetworks
postscreen_greet_action = enforce
postscreen_dnsbl_action = enforce
smtpd_milters = inet:127.0.0.1:@milter@
non_smtpd_milters = $smtpd_milters
milter_protocol = 6
milter_mail_macros = i {mail_addr} {client_addr} {client_name} {auth_authen}
# skip mail without checks if something goes wrong
milter_default_action = accept
""",
    (
        Old("info@example.test", "mailboxes"),
        Old("no-one@example.test", 550),
        Old("info@example.test", "mailboxes", by="sendmail", sender="daemon@mail.example.test"),
        Old("joe@elsewhere.test", "world", by="here", sender="info@example.test"),
        Old("joe@elsewhere.test", 554),
    ),
    tables={"vmailbox": "info@example.test x\n"},
    hashed=["vmailbox"],
    instead={
        "@smtp@      inet": """\
@smtp@      inet  n       -       y       -       1       postscreen
smtpd     pass  -       -       y       -       -       smtpd
dnsblog   unix  -       -       y       -       0       dnsblog
tlsproxy  unix  -       -       y       -       0       tlsproxy
""",
    },
)

# SASL_README, "Envelope sender address authorization", and the submission service of master.cf.
submission = Setup(
    "submission with login maps",
    """\
compatibility_level = 3.6
myhostname = mail.postfix.test
mydestination = localhost
mynetworks = 127.0.0.1/32
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = hash:@etc@/vmailbox
virtual_transport = lmtp:inet:127.0.0.1:@mailboxes@
smtpd_tls_cert_file = @certificate@
smtpd_tls_key_file = @key@
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = $myhostname
broken_sasl_auth_clients = yes
smtpd_sender_login_maps = hash:@etc@/controlled_envelope_senders
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
""",
    (
        Old("info@example.test", "mailboxes"),
        Old("joe@elsewhere.test", "world", by="login", sender="info@example.test"),
        Old("joe@elsewhere.test", 553, by="login", sender="sales@example.test"),
        Old("joe@elsewhere.test", 553, by="login", sender="somebody@else.test"),
        Old("joe@elsewhere.test", 554),
        Old("info@example.test", 554, by="submission"),
    ),
    tables={
        "vmailbox": "info@example.test x\nsales@example.test x\n",
        "controlled_envelope_senders": "info@example.test lamson@mail.postfix.test\n"
        "sales@example.test sales@mail.postfix.test\n",
    },
    hashed=["vmailbox", "controlled_envelope_senders"],
    master="""\
@submission@ inet n     -       n       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_tls_auth_only=yes
  -o smtpd_reject_unlisted_recipient=no
  -o smtpd_client_restrictions=
  -o smtpd_helo_restrictions=
  -o smtpd_sender_restrictions=reject_sender_login_mismatch
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o milter_macro_daemon_name=ORIGINATING
""",
)

# What guides against spam have: everything is demanded of whoever connects.
strict = Setup(
    "strict",
    """\
compatibility_level = 3.6
myhostname = mail.example.test
mydestination = localhost
mynetworks = 127.0.0.1/32
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = hash:@etc@/vmailbox
virtual_transport = lmtp:inet:127.0.0.1:@mailboxes@
disable_vrfy_command = yes
strict_rfc821_envelopes = yes
smtpd_helo_required = yes
smtpd_delay_reject = yes
smtpd_reject_unlisted_sender = yes
smtpd_client_restrictions = permit_mynetworks, reject_unauth_pipelining
smtpd_helo_restrictions =
    reject_invalid_helo_hostname,
    reject_non_fqdn_helo_hostname,
    check_helo_access regexp:@etc@/helo_access
smtpd_sender_restrictions =
    reject_non_fqdn_sender,
    check_sender_access hash:@etc@/not_from_outside
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions =
    reject_non_fqdn_recipient,
    permit_mynetworks,
    reject_unauth_destination,
    check_recipient_access hash:@etc@/recipient_access,
    reject_unlisted_recipient
smtpd_data_restrictions = reject_unauth_pipelining, reject_multi_recipient_bounce
smtpd_restriction_classes = from_here_only
from_here_only = permit_mynetworks, reject
""",
    (
        Old("info@example.test", "mailboxes"),
        Old("staff@example.test", 554),
        Old("staff@example.test", "mailboxes", by="here", sender="zed@sender.test"),
        Old("info@example.test", 554, sender="info@example.test"),
        Old("nobody@example.test", 550),
        Old("info", 554),
        Old("joe@elsewhere.test", "world", by="sendmail", sender="info@example.test"),
    ),
    tables={
        "vmailbox": "info@example.test x\nstaff@example.test x\n",
        "helo_access": "/^\\[?127\\./ REJECT that is me\n/^mail\\.example\\.test$/ REJECT no\n",
        "not_from_outside": "example.test REJECT ours do not come from there\n",
        "recipient_access": "staff@example.test from_here_only\n",
    },
    hashed=["vmailbox", "not_from_outside", "recipient_access"],
)

SETUPS = (reinjection, postscreen, submission, strict)
