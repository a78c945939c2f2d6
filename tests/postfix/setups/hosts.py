"""Single hosts: what Debian installs, the compatibility levels, a smarthost, rewriting."""

from __future__ import annotations

from tests.postfix.setups.setup import Old, Setup

# `dpkg-reconfigure postfix`, "Internet Site".
_DEBIAN = """\
# See /usr/share/postfix/main.cf.dist for a commented, more complete version


# Debian specific:  Specifying a file name will cause the first
# line of that file to be used as the name.  The Debian default
# is /etc/mailname.
#myorigin = /etc/mailname

smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no

# appending .domain is the MUA's job.
append_dot_mydomain = no

# Uncomment the next line to generate "delayed mail" warnings
#delay_warning_time = 4h

readme_directory = no

# See http://www.postfix.org/COMPATIBILITY_README.html -- default to 3.6 on
# fresh installs.
compatibility_level = @level@



# TLS parameters
smtpd_tls_security_level=none
#smtpd_tls_security_level=may

smtp_tls_CApath=/etc/ssl/certs
smtp_tls_security_level=may
smtp_tls_session_cache_database = btree:${data_directory}/smtp_scache


smtpd_relay_restrictions = @relay@
myhostname = host.example.test
alias_maps = hash:@etc@/aliases
alias_database = hash:@etc@/aliases
mydestination = $myhostname, example.test, localhost.example.test, localhost
mynetworks = 127.0.0.1/32 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
"""
_ALIASES = """\
# See man 5 aliases for format
postmaster:    root
root:          daemon
away:          somebody@elsewhere.test
"""
_LOCAL = (
    Old("daemon@example.test", "mbox daemon"),
    Old("daemon+tag@host.example.test", "mbox daemon"),
    Old("postmaster@example.test", "mbox daemon"),
    Old("postmaster", "mbox daemon"),
    Old("away@example.test", "world", becomes="somebody@elsewhere.test"),
    Old("nobody-here@example.test", 550),
    Old("daemon", "mbox daemon", by="sendmail", sender="bin@host.example.test"),
    Old("joe@elsewhere.test", "world", by="here", sender="daemon@example.test"),
    Old("joe@elsewhere.test", "world", by="sendmail", sender="daemon@example.test"),
)

_RELAY = "permit_mynetworks permit_sasl_authenticated defer_unauth_destination"
_OLD_RELAY = "permit_mynetworks reject_unauth_destination"

debian = Setup(
    "debian",
    _DEBIAN.replace("@level@", "3.6").replace("@relay@", _RELAY),
    (*_LOCAL, Old("joe@elsewhere.test", 454)),
    tables={"aliases": _ALIASES},
    hashed=["aliases"],
)


def _level(level: str) -> Setup:
    """One that was brought along from a Postfix of that time, with no word of relay_domains: until
    level 2 it is mydestination, whose subdomains then are relayed."""
    # Each parameter once: of a second line postlogd warns as it starts, into the socket that it has
    # yet to read, and waits for ever where the others have filled that by then.
    main = _DEBIAN.replace("compatibility_level = @level@", f"compatibility_level = {level}")
    below = "shop.example.test"
    return Setup(
        f"level {level}",
        main.replace("compatibility_level = 0\n", "").replace("@relay@", _OLD_RELAY)
        + "transport_maps = hash:@etc@/transport\n",
        (
            *_LOCAL,
            Old(f"anybody@{below}", "primary" if level in "01" else 554),
            Old("joe@elsewhere.test", 554),
        ),
        tables={
            "aliases": _ALIASES,
            "transport": f"{below} smtp:[127.0.0.1]:@primary@\n",
        },
        hashed=["aliases", "transport"],
    )


# SOHO_README and SASL_README: no domain of one's own on the Internet, all goes by the provider.
smarthost = Setup(
    "smarthost",
    """\
compatibility_level = 3.6
myhostname = hostname.localdomain
mydomain = localdomain
myorigin = $myhostname
mydestination = $myhostname, localhost.$mydomain, localhost
mynetworks = 127.0.0.1/32
alias_maps = hash:@etc@/aliases
alias_database = $alias_maps
smtp_generic_maps = hash:@etc@/generic
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:@etc@/sasl_passwd
# The provider wants no TLS here.
smtp_sasl_security_options = noanonymous
relayhost = [127.0.0.1]:@smarthost@
""",
    (
        Old("daemon", "mbox daemon", by="sendmail", sender="bin@hostname.localdomain"),
        Old("root@localhost", "mbox daemon", by="here", sender="bin@hostname.localdomain"),
        Old("joe@elsewhere.test", "smarthost", by="sendmail", sender="daemon@hostname.localdomain"),
        Old("joe@elsewhere.test", "smarthost", by="here", sender="bin@hostname.localdomain"),
        Old("joe@elsewhere.test", 454),
        Old("nobody-here@localhost", 550),
    ),
    tables={
        "aliases": "root: daemon\n",
        "generic": "daemon@hostname.localdomain hisaccount@hisisp.test\n"
        "@hostname.localdomain wholeaccount+local@hisisp.test\n",
        "sasl_passwd": "[127.0.0.1]:@smarthost@ username:password\n",
    },
    hashed=["aliases", "generic", "sasl_passwd"],
    outside="smarthost",
)

# ADDRESS_REWRITING_README: hosts behind a gateway that shows one domain.
rewriting = Setup(
    "rewriting",
    """\
compatibility_level = 2
myhostname = gateway.example.test
mydomain = example.test
myorigin = $mydomain
mydestination = $myhostname localhost.$mydomain localhost $mydomain
mynetworks = 127.0.0.1/32
masquerade_domains = foo.example.test example.test
masquerade_exceptions = root
canonical_maps = hash:@etc@/canonical
sender_canonical_maps = hash:@etc@/sender_canonical
recipient_canonical_maps = regexp:@etc@/recipient_canonical
virtual_alias_domains = hosted.test
virtual_alias_maps = hash:@etc@/virtual
relocated_maps = hash:@etc@/relocated
luser_relay =
local_recipient_maps = proxy:unix:passwd.byname $alias_maps $relocated_maps
alias_maps = hash:@etc@/aliases
header_checks = regexp:@etc@/header_checks
always_bcc = archive@elsewhere.test
local_header_rewrite_clients = permit_inet_interfaces, permit_mynetworks
""",
    (
        Old("daemon@example.test", "mbox daemon"),
        Old("dae.mon@example.test", "mbox daemon"),
        Old("info@hosted.test", "mbox daemon"),
        Old("other@hosted.test", "world", becomes="somebody@elsewhere.test"),
        Old("nobody@hosted.test", 550),
        Old("moved@example.test", 550),
        Old("old-daemon@gateway.example.test", "mbox daemon"),
        Old("joe@elsewhere.test", "world", by="here", sender="daemon@pc.foo.example.test"),
        Old("joe@elsewhere.test", "world", by="here", sender="root@pc.example.test"),
        Old("joe@elsewhere.test", "world", by="sendmail", sender="bin@example.test"),
    ),
    tables={
        "canonical": "dae.mon@example.test daemon@example.test\n",
        "sender_canonical": "bin@example.test Bin.Tools@example.test\n",
        "recipient_canonical": "/^old-(.*)@gateway\\.example\\.test$/ ${1}@example.test\n",
        "virtual": "info@hosted.test daemon\nother@hosted.test somebody@elsewhere.test\n",
        "relocated": "moved@example.test moved@elsewhere.test\n",
        "aliases": "postmaster: daemon\n",
        "header_checks": "/^X-Internal:/ IGNORE\n",
    },
    hashed=["canonical", "sender_canonical", "virtual", "relocated", "aliases"],
)

SETUPS = (debian, *map(_level, ("0", "1", "2", "3.6")), smarthost, rewriting)
