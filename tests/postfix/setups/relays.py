"""Relays for other hosts: backup MX, a gateway before a mail server, address verification."""

from __future__ import annotations

from tests.postfix.setups.setup import Old, Setup

# STANDARD_CONFIGURATION_README, "Configuring Postfix as primary or backup MX host".
_BACKUP = """\
compatibility_level = 3.6
myhostname = mx2.example.test
mydestination = $myhostname localhost
mynetworks = 127.0.0.1/32
local_recipient_maps =
local_transport = error:no local mail delivery
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
# no local users, and no bounces to them
relay_domains = hash:@etc@/relay_domains
transport_maps = hash:@etc@/transport
"""
_CUSTOMERS = {
    "relay_domains": "customer.test OK\n.customer.test OK\nwhole.test x\n",
    "transport": "customer.test relay:[127.0.0.1]:@primary@\n"
    ".customer.test :[127.0.0.1]:@primary@\n"
    "whole.test smtp:[127.0.0.1]:@primary@\n"
    "elsewhere.test error:5.7.1 not from here\n",
}

backup = Setup(
    "backup mx",
    _BACKUP,
    (
        Old("anybody@customer.test", "primary"),
        Old("any+body@sub.customer.test", "primary"),
        Old("refused@whole.test", "bounce"),
        Old("joe@whole.test", "primary"),
        Old("joe@other.test", 554),
        Old("joe@elsewhere.test", 550, by="here"),
    ),
    tables=_CUSTOMERS,
    hashed=["relay_domains", "transport"],
)

listed = Setup(
    "backup mx with its recipients",
    _BACKUP + "relay_recipient_maps = hash:@etc@/relay_recipients, texthash:@etc@/more\n",
    (
        Old("ann@customer.test", "primary"),
        Old("nobody@customer.test", 550),
        Old("anybody@whole.test", "primary"),
        Old("bob@customer.test", "primary"),
        Old("bob+tag@customer.test", 550),
        Old("joe@other.test", 554),
    ),
    tables={
        **_CUSTOMERS,
        "relay_recipients": "ann@customer.test x\n@whole.test x\n",
        "more": "bob@customer.test x\n",
    },
    hashed=["relay_domains", "transport", "relay_recipients"],
)

# The same document, "Postfix on a local network" and "a firewall": a gateway before another server.
gateway = Setup(
    "gateway",
    """\
compatibility_level=2
myhostname=gateway.example.test
mydestination=
local_recipient_maps=
local_transport=error:local mail delivery is disabled
myorigin=example.test
mynetworks=127.0.0.1/32
relay_domains=$mydestination, example.test,
  # the branch
  branch.example.test
parent_domain_matches_subdomains=debug_peer_list smtpd_access_maps
relay_recipient_maps=
    hash:@etc@/relay_recipients
smtpd_relay_restrictions=permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions=reject_non_fqdn_recipient, check_recipient_access hash:@etc@/access
transport_maps=
    regexp:@etc@/by_name,
    hash:@etc@/transport
message_size_limit=20000000
soft_bounce=no
""",
    (
        Old("ann@example.test", "primary"),
        Old("archive-1@example.test", "mailboxes"),
        Old("nobody@example.test", 550),
        Old("closed@example.test", 554),
        Old("anybody@branch.example.test", "primary"),
        Old("x@sub.example.test", 554),
        Old("joe@elsewhere.test", "world", by="here", sender="ann@example.test"),
    ),
    tables={
        "relay_recipients": "ann@example.test x\nclosed@example.test x\n"
        "archive-1@example.test x\n@branch.example.test x\n",
        "access": "closed@example.test REJECT no more mail\n",
        "by_name": "/^archive-.*@example\\.test$/ lmtp:inet:127.0.0.1:@mailboxes@\n",
        "transport": "example.test smtp:[127.0.0.1]:@primary@\n"
        ".example.test smtp:[127.0.0.1]:@primary@\n",
    },
    hashed=["relay_recipients", "access", "transport"],
)

# ADDRESS_VERIFICATION_README, "Recipient address verification".
verification = Setup(
    "address verification",
    """\
compatibility_level = 3.6
myhostname = mx.example.test
mydestination =
local_recipient_maps =
mynetworks = 127.0.0.1/32
relay_domains = example.test
transport_maps = hash:@etc@/transport
smtpd_relay_restrictions = permit_mynetworks reject_unauth_destination
smtpd_recipient_restrictions =
    permit_mynetworks
    reject_unauth_destination
    reject_unverified_recipient
# Postfix 2.6 and later.
unverified_recipient_reject_code = 550
# Postfix 2.6 and later privacy feature.
unverified_recipient_reject_reason = Address lookup failed
address_verify_map = btree:$data_directory/verify_cache
address_verify_relayhost = [127.0.0.1]:@world@
""",
    (
        Old("ann@example.test", "primary"),
        Old("refused@example.test", 550),
        Old("joe@elsewhere.test", 554),
    ),
    tables={"transport": "example.test smtp:[127.0.0.1]:@primary@\n"},
    hashed=["transport"],
    remembers=True,
)

# MULTI_INSTANCE_README: mail comes in at one instance, and goes out by another one.
out = Setup(
    "postfix-out",
    """\
compatibility_level = 3.6
multi_instance_enable = yes
multi_instance_name = postfix-out
multi_instance_group = mta
myhostname = mail.example.test
mydestination =
local_transport = error:no local mail
mynetworks = 127.0.0.1/32
smtpd_relay_restrictions = permit_mynetworks, reject
""",
    (),
)
multiple = Setup(
    "multiple instances",
    """\
compatibility_level = 3.6
multi_instance_enable = yes
multi_instance_name = postfix-in
multi_instance_group = mta
multi_instance_wrapper = ${command_directory}/postmulti -p --
master_service_disable =
myhostname = mail.example.test
mydestination =
alias_maps =
local_recipient_maps =
local_transport = error:5.1.1 Mailbox unavailable
mynetworks = 127.0.0.1/32
# Reject mail for any domain not explicitly listed.
parent_domain_matches_subdomains =
relay_domains = example.test
relay_recipient_maps = hash:@etc@/relay_recipients
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
transport_maps = hash:@etc@/transport
relayhost = [127.0.0.1]:@second@
""",
    (
        Old("ann@example.test", "primary"),
        Old("nobody@example.test", 550),
        Old("joe@elsewhere.test", "world", by="here", sender="ann@example.test"),
        Old("joe@elsewhere.test", 454),
    ),
    tables={
        "relay_recipients": "ann@example.test x\n",
        "transport": "example.test smtp:[127.0.0.1]:@primary@\n",
    },
    hashed=["relay_recipients", "transport"],
    second=out,
)

# transport(5) for a host behind which there is one more: by regular expressions, and for all.
catching = Setup(
    "a transport for everything",
    """\
compatibility_level = 3.6
myhostname = relay.example.test
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.1/32
relay_domains = example.test
transport_maps = regexp:@etc@/transport
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
""",
    (
        Old("ann@example.test", "primary"),
        Old("archive@example.test", "mailboxes"),
        Old("joe@elsewhere.test", "lists", by="here", sender="ann@example.test"),
        Old("joe@elsewhere.test", 554),
    ),
    tables={
        "transport": "/^archive@/ lmtp:inet:127.0.0.1:@mailboxes@\n"
        "/@example\\.test$/ smtp:[127.0.0.1]:@primary@\n"
        "/./ lmtp:inet:127.0.0.1:@lists@\n",
    },
    outside="lists",
)

SETUPS = (catching, backup, listed, gateway, verification, multiple)
