"""Tables that are not there, and sockets that cannot be seen."""

from __future__ import annotations

from tests.postfix.faults.fault import PROBE, fault

_US = "lamson:inet:127.0.0.1:8823"
_OURS = f"inline:{{app.test={_US} lists.test={_US}}}"
_ALL = "451 for all mail"
_MISSING = "table-cannot-be-opened"

FAULTS = (
    fault("a table without postmap", _ALL, _MISSING, files={"other": "other.test x\n"},
          main={"transport_maps": f"{_OURS}, hash:<etc>/other"}),
    fault("a table of relay domains without postmap", _ALL, _MISSING,
          files={"other": "other.test x\n"},
          main={"relay_domains": "app.test, lists.test, hash:<etc>/other"}),
    fault("aliases that are not there", _ALL, _MISSING,
          main={"virtual_alias_maps": "texthash:<etc>/virtual"}),
    fault("an access table that is not there", _ALL, _MISSING,
          main={"smtpd_sender_restrictions": "check_sender_access cidr:<etc>/none"}),
    fault("header checks that are not there", _ALL, _MISSING,
          main={"header_checks": "regexp:<etc>/headers"}),
    fault("a canonical map that is not there", _ALL, _MISSING,
          main={"canonical_maps": "hash:<etc>/canonical"}),
    fault("the LMTP client is chrooted", "No such file or directory", "lmtp-chroot", base="unix",
          column={"lamson/unix/4": "y"}),
    fault("smtpd is chrooted", "451 for all of ours", "socketmap-chroot", base="unix",
          column={"<world>/4": "y"}),
    fault("proxymap is chrooted", "451 for all of ours", "proxymap-chroot", base="unix",
          column={"proxymap/unix/4": "y"},
          main={"relay_recipient_maps": "proxy:socketmap:unix:<base>/map.sock:recipient"}),
    fault("a socket that Postfix may not open", "Permission denied", "socket-closed", base="unix",
          found_by=PROBE,
          shown_in="unit/postfix/checks/test_sockets.py"),
    fault("an access table of one service is not there", "451 for all mail of the world", _MISSING,
          override={"<world>/smtpd_recipient_restrictions": "check_recipient_access hash:<etc>/x"}),
    fault("a table of a restriction class is not there", _ALL, _MISSING,
          main={"smtpd_restriction_classes": "few", "few": "check_client_access hash:<etc>/x"}),
    fault("logins of our submission server are not there", "451: the outbox waits", _MISSING,
          override={"<own>/smtpd_sender_login_maps": "hash:<etc>/x"}),
    fault("the provider's password is not there", "deferred: what we send", _MISSING,
          main={"smtp_sasl_auth_enable": "yes", "smtp_sasl_password_maps": "hash:<etc>/x"}),
    fault("policies of TLS without postmap", "deferred: what we send", _MISSING,
          files={"x": "provider.test encrypt\n"},
          main={"smtp_tls_policy_maps": "hash:<etc>/x"}),
    fault("header checks of cleanup are not there", _ALL, _MISSING,
          override={"cleanup/unix/header_checks": "regexp:<etc>/x"}),
    fault("a kind of table that is not installed", _ALL, _MISSING,
          main={"virtual_alias_maps": "mysql:<etc>/x.cf"}),
    fault("a value that Postfix does not take", "nothing of Postfix starts",
          "configuration-is-refused", "transport_maps", main={"line_length_limit": "100"}),
)  # fmt: skip
