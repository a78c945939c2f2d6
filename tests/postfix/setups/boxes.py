"""Hosts with mailboxes: a mailbox server's LMTP, a database of domains, mailing lists, logins."""

from __future__ import annotations

from tests.postfix.setups.setup import Old, Setup

# VIRTUAL_README and Dovecot's "Postfix and Dovecot LMTP".
dovecot = Setup(
    "mailboxes by lmtp",
    """\
compatibility_level = 3.6
myhostname = mail.example.test
mydestination = localhost
alias_maps =
mynetworks = 127.0.0.1/32
virtual_transport = lmtp:inet:127.0.0.1:@mailboxes@
virtual_mailbox_domains = example.test, hash:@etc@/vhosts
virtual_mailbox_maps = hash:@etc@/vmailbox
virtual_alias_domains = aliases.test
virtual_alias_maps = hash:@etc@/virtual
recipient_delimiter = +
lmtp_destination_concurrency_limit = 2
lmtp_destination_recipient_limit = 1
message_size_limit = 104857600
smtputf8_enable = no
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
""",
    (
        Old("info@example.test", "mailboxes"),
        Old("info+tag@example.test", "mailboxes"),
        Old("sales@shop.test", "mailboxes"),
        Old("anything@shop.test", "mailboxes"),
        Old("postmaster@example.test", "mailboxes", becomes="info@example.test"),
        Old("any@aliases.test", "mailboxes", becomes="info@example.test"),
        Old("away@example.test", "world", becomes="somebody@elsewhere.test"),
        Old("nobody@example.test", 550),
        Old("info@sub.example.test", 554),
        Old("joe@elsewhere.test", "world", by="here", sender="info@example.test"),
        Old("joe@elsewhere.test", 554),
    ),
    tables={
        "vhosts": "shop.test x\n",
        "vmailbox": "info@example.test x\nsales@shop.test x\n@shop.test x\n",
        "virtual": "postmaster@example.test info@example.test\n@aliases.test info@example.test\n"
        "away@example.test somebody@elsewhere.test\n",
    },
    hashed=["vhosts", "vmailbox", "virtual"],
    # Larger than what Postfix takes.
    lamson={"max_size": 110_000_000},
)

# PostfixAdmin's documentation, with hash: in place of mysql:.
database = Setup(
    "database of domains",
    """\
compatibility_level = 2
myhostname = mail.example.test
mydestination = $myhostname, localhost
mynetworks = 127.0.0.1/32
alias_maps =
local_recipient_maps =
local_transport = error:no mailboxes here
relay_domains = $mydestination, proxy:hash:@etc@/relay_domains
virtual_alias_maps =
   proxy:hash:@etc@/alias
   proxy:hash:@etc@/alias_domain
virtual_mailbox_domains = proxy:hash:@etc@/domains
virtual_mailbox_maps =
   proxy:hash:@etc@/mailboxes
virtual_transport = lmtp:inet:127.0.0.1:@mailboxes@
transport_maps = proxy:hash:@etc@/transport
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = permit_mynetworks reject_unauth_destination
 reject_unlisted_recipient
""",
    (
        Old("ann@example.test", "mailboxes"),
        Old("ann@other.test", "mailboxes", becomes="ann@example.test"),
        Old("nobody@example.test", 550),
        Old("anybody@relayed.test", "primary"),
        Old("joe@elsewhere.test", 554),
    ),
    tables={
        "relay_domains": "relayed.test x\n",
        "alias": "ann@example.test ann@example.test\n",
        "alias_domain": "@other.test @example.test\n",
        "domains": "example.test x\nother.test x\n",
        "mailboxes": "ann@example.test x\n",
        "transport": "relayed.test smtp:[127.0.0.1]:@primary@\n",
    },
    hashed=["relay_domains", "alias", "alias_domain", "domains", "mailboxes", "transport"],
)

# "Hooking up your mail server" of Mailman 3's documentation.
mailman = Setup(
    "mailman 3",
    """\
compatibility_level = 3.6
myhostname = lists.example.test
mydestination = $myhostname, localhost
mynetworks = 127.0.0.1/32
alias_maps =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination

# Support the default VERP delimiter.
recipient_delimiter = +
unknown_local_recipient_reject_code = 550
owner_request_special = no

transport_maps =
    hash:@etc@/postfix_lmtp
local_recipient_maps =
    hash:@etc@/postfix_lmtp
relay_domains =
    hash:@etc@/postfix_domains
""",
    (
        Old("mylist@mailman.test", "lists"),
        Old("mylist-bounces@mailman.test", "lists"),
        Old("mylist-bounces+zed=sender.test@mailman.test", "lists"),
        Old("mylist-confirm+0123abcd@mailman.test", "lists"),
        Old("local@lists.example.test", "lists"),
        Old("nobody@lists.example.test", 550),
        Old("joe@elsewhere.test", "world", by="here", sender="mylist-bounces@mailman.test"),
        Old("joe@elsewhere.test", 554),
    ),
    tables={
        "postfix_lmtp": "".join(
            f"{one} lmtp:[127.0.0.1]:@lists@\n"
            for one in (
                "mylist@mailman.test",
                "mylist-bounces@mailman.test",
                "mylist-confirm@mailman.test",
                "local@lists.example.test",
            )
        ),
        "postfix_domains": "mailman.test mailman.test\n",
    },
    hashed=["postfix_lmtp", "postfix_domains"],
)

# BASIC_CONFIGURATION_README, "Chroot jail": everything is in it that can be.
chroot = Setup(
    "chroot",
    """\
compatibility_level = 0
myhostname = mail.example.test
mydestination = $myhostname localhost
mynetworks_style = host
smtpd_recipient_restrictions = permit_mynetworks reject_unauth_destination
local_recipient_maps =
alias_maps = hash:@etc@/aliases
relay_domains = customer.test
relay_transport = smtp:[127.0.0.1]:@primary@
""",
    (
        Old("daemon@mail.example.test", "mbox daemon"),
        Old("anybody@customer.test", "primary"),
        Old("joe@elsewhere.test", "world", by="sendmail", sender="daemon@mail.example.test"),
    ),
    tables={"aliases": "postmaster: daemon\n"},
    hashed=["aliases"],
    instead={
        "pickup ": "pickup    unix  n       -       -       60      1       pickup\n",
        "rewrite ": "rewrite   unix  -       -       -       -       -       trivial-rewrite\n",
        "smtp      unix": "smtp      unix  -       -       -       -       -       smtp\n",
        "lmtp ": "lmtp      unix  -       -       -       -       -       lmtp\n",
    },
    sockets=True,
)

SETUPS = (dovecot, database, mailman, chroot)
