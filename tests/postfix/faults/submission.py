"""Our submission server: whether our relay gets in, and what becomes of what it hands over."""

from __future__ import annotations

from tests.postfix.faults.fault import PROBE, fault

_OUTBOX = "the outbox waits"
_SMTPD = "smtpd -o mynetworks=127.0.0.0/8 -o syslog_name=postfix/lamson"
_NO_EXCEPTIONS = {"<own>/smtpd_client_event_limit_exceptions": "192.0.2.0/24"}
_RUNNING = "postfix/test_doctor_running.py"

FAULTS = (
    fault("no submission server", _OUTBOX, "127.0.0.1:10587", gone=("<own>",)),
    fault("another service at its address", _OUTBOX, "127.0.0.1:10587",
          column={"<own>/7": "qmqpd"}),
    fault("this machine is a stranger there", "554 Relay access denied", "mail-is-refused",
          override={"<own>/mynetworks": "192.0.2.0/24"}),
    fault("the world's restrictions are there, too", "554 Relay access denied", "mail-is-refused",
          override={"<own>/smtpd_relay_restrictions": "reject_unauth_destination"}),
    fault("it wants STARTTLS", "530", "submission-tls-differs",
          override={"<own>/smtpd_tls_security_level": "encrypt"}),
    fault("it speaks TLS from the first octet", _OUTBOX, "submission-tls-differs",
          override={"<own>/smtpd_tls_wrappermode": "yes"}),
    fault("it speaks TLS, and we STARTTLS", _OUTBOX, "submission-tls-differs", base="login",
          override={"<own>/smtpd_tls_wrappermode": "yes"}),
    fault("it does not offer TLS", _OUTBOX, "password-in-clear", "submission-service", base="login",
          override={"<own>/smtpd_tls_security_level": "none", "<own>/smtpd_tls_auth_only": "no"}),
    fault("it wants our certificate", _OUTBOX, "submission-tls-differs", base="login",
          override={"<own>/smtpd_tls_req_ccert": "yes"}),
    fault("it speaks old TLS only", _OUTBOX, "submission-tls-differs", base="login",
          override={"<own>/smtpd_tls_mandatory_protocols": "!TLSv1.2, !TLSv1.3"}),
    fault("it has no certificate", _OUTBOX, "submission-certificate", base="login",
          main={"smtpd_tls_chain_files": ""}),
    fault("its certificate is not there", _OUTBOX, "certificate-is-missing", base="login",
          main={"smtpd_tls_chain_files": "/etc/ssl/none.pem"}),
    fault("it takes no passwords", _OUTBOX, "submission-service", base="login",
          override={"<own>/smtpd_sasl_auth_enable": "no"}),
    fault("it lets nobody in who has logged in", _OUTBOX, "submission-service", base="login",
          override={"<own>/smtpd_relay_restrictions": "permit_mynetworks, reject"}),
    fault("it takes no plain passwords", _OUTBOX, "submission-takes-no-password", base="login",
          main={"smtpd_sasl_security_options": "noanonymous, noplaintext"}),
    fault("it offers AUTH to others only", _OUTBOX, "submission-takes-no-password", base="login",
          main={"smtpd_sasl_exceptions_networks": "127.0.0.0/8"}),
    fault("it does not offer AUTH", _OUTBOX, "submission-takes-no-password", base="login",
          override={"<own>/smtpd_discard_ehlo_keywords": "auth"}),
    fault("it does not offer STARTTLS", _OUTBOX, "submission-protocol", base="login",
          override={"<own>/smtpd_discard_ehlo_keywords": "starttls"}),
    fault("it expects a proxy", _OUTBOX, "submission-protocol",
          override={"<own>/smtpd_upstream_proxy_protocol": "haproxy"}),
    fault("it forbids RSET", _OUTBOX, "submission-protocol",
          main={"smtpd_forbidden_commands": "CONNECT GET POST RSET"}),
    fault("it does nothing at RCPT", _OUTBOX, "submission-protocol",
          override={"<own>/smtpd_noop_commands": "RCPT"}),
    fault("it rewrites commands", _OUTBOX, "submission-protocol",
          override={"<own>/smtpd_command_filter": "regexp:<etc>/commands"},
          files={"commands": "/^MAIL FROM:.*/ NOOP\n"}),
    fault("it counts our connections", "421 too many connections", "submission-is-limited",
          override={**_NO_EXCEPTIONS, "<own>/smtpd_client_connection_count_limit": "1"}),
    fault("it counts our messages", "450 too much mail", "submission-is-limited",
          override=_NO_EXCEPTIONS, main={"smtpd_client_message_rate_limit": "10"}),
    fault("it counts our recipients", "450 too many recipients", "submission-is-limited",
          override=_NO_EXCEPTIONS, main={"smtpd_client_recipient_rate_limit": "20"}),
    fault("our password is wrong", _OUTBOX, "submission-login", base="login", found_by=PROBE,
          shown_in="postfix/test_submission.py"),
    fault("it does not answer", _OUTBOX, "submission", found_by=PROBE,
          shown_in=_RUNNING),
    fault("its certificate has expired", _OUTBOX, "submission-tls", base="login", found_by=PROBE,
          shown_in="postfix/test_submission.py"),
)  # fmt: skip
