"""The way of Postfix's LMTP client to us, and what it does to mail there."""

from __future__ import annotations

from tests.postfix.faults.fault import MAIL, PROBE, fault

_BROKEN = "signatures break"
_RUNNING = "postfix/test_doctor_running.py"

FAULTS = (
    fault("another server is asked while ours is down", "brought to another server",
          "mail-goes-elsewhere", main={"lmtp_fallback_relay": "[192.0.2.1]"}),
    fault("TLS is wanted, and we have none", "deferred", "lmtp-tls",
          override={"lamson/unix/lmtp_tls_security_level": "encrypt"}),
    fault("a certificate is wanted, and we have none", "deferred", "lmtp-tls",
          override={"lamson/unix/lmtp_tls_security_level": "secure"}),
    fault("Lamson's LMTP server is down", "deferred", "lmtp-does-not-answer", found_by=PROBE,
          shown_in=_RUNNING),
    fault("postfix.next_hop has a wrong port", "deferred", "next-hop-does-not-answer",
          found_by=PROBE,
          shown_in="server/test_known.py"),
    fault("a firewall between both", "deferred", "next-hop-does-not-answer", found_by=PROBE,
          shown_in="server/test_known.py"),
    fault("our certificate has expired", "Server certificate not verified",
          "lmtp-certificate",
          found_by=PROBE, shown_in="server/test_certificates.py"),
    fault("our certificate has another name", "Server certificate not verified",
          "lmtp-certificate-name",
          found_by=PROBE, shown_in="server/test_certificates.py"),
    fault("XFORWARD is overlooked", "no redelivery is known", "lmtp-keyword-discarded",
          override={"lamson/unix/lmtp_discard_lhlo_keywords": "xforward"}),
    fault("8BITMIME is overlooked", _BROKEN, "lmtp-keyword-discarded",
          main={"lmtp_discard_lhlo_keywords": "8bitmime, dsn"}),
    fault("SMTPUTF8 is overlooked", "bounced", "lmtp-keyword-discarded",
          override={"lamson/unix/lmtp_discard_lhlo_keywords": "SMTPUTF8"}),
    fault("short lines", _BROKEN, "lmtp-breaks-lines",
          override={"lamson/unix/lmtp_line_length_limit": "80"}),
    fault("the client comes from the network", "not let in", "lmtp-bind-address",
          main={"lmtp_bind_address": "192.0.2.9"}),
    fault("the client gives LHLO up", "deferred", "limit",
          override={"lamson/unix/lmtp_lhlo_timeout": "1s"}),
    fault("all clients give the message up", "deferred", "limit",
          main={"lmtp_data_xfer_timeout": "2s"}),
    fault("our 4xx become 5xx", "bounced", "reply-is-changed",
          main={"lmtp_reply_filter": "regexp:<etc>/replies"},
          files={"replies": "/^4(.*)/ 5$1\n"}),
    fault("our 4xx become 2xx", "lost", "reply-is-changed",
          override={"lamson/unix/lmtp_reply_filter": "regexp:<etc>/replies"},
          files={"replies": "/^451/ 250 2.0.0 well\n"}),
    fault("delays become failures", "bounced", "reply-is-changed",
          main={"default_delivery_status_filter": "regexp:<etc>/status"},
          files={"status": "/^4(\\.\\d+\\.\\d+.*|.*)/ 5$1\n"}),
    fault("quoted local parts are not quoted", "501", "arrived-otherwise-in", found_by=MAIL,
          main={"lmtp_quote_rfc821_envelope": "no"}),
)  # fmt: skip
