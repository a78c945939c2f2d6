"""Services of master.cf: how many, and which."""

from __future__ import annotations

from tests.postfix.faults.fault import fault

_FEW = "too-few-processes"
_QUEUE = "stays in the queue"

FAULTS = (
    fault("one process of each", "one connection at a time", _FEW,
          main={"default_process_limit": "1"}),
    fault("one LMTP client", "idle threads", _FEW, column={"lamson/unix/6": "1"}),
    fault("one smtpd at our submission server", "the outbox waits", _FEW,
          column={"<own>/6": "1"}),
    fault("one smtpd for the world", "one stranger at a time", _FEW, column={"<world>/6": "1"}),
    fault("no LMTP client", "mail transport unavailable", "lamson", gone=("lamson/unix",)),
    fault("a misspelt LMTP client", "mail transport unavailable", "lamson", gone=("lamson/unix",),
          added=("lamsom unix - - n - - lmtp -o lmtp_send_xforward_command=yes",)),
    fault("an SMTP client as ours", "500 EHLO", "lamson", column={"lamson/unix/7": "smtp"}),
    fault("the LMTP client tells no queue ids", "no redelivery is known",
          "lmtp_send_xforward_command", override={"lamson/unix/lmtp_send_xforward_command": "no"}),
    fault("all clients are disabled", _QUEUE, "lmtp-disabled",
          main={"master_service_disable": "unix"}),
    fault("our client is disabled", _QUEUE, "lmtp-disabled",
          main={"master_service_disable": "lamson/unix"}),
    fault("everything that listens is disabled", "no mail comes in", "service-is-disabled",
          main={"master_service_disable": "inet"}),
    fault("our submission server is disabled", "the outbox waits", "service-is-disabled",
          main={"master_service_disable": "<own>"}),
    fault("no cleanup", "451 4.3.0", "service-is-missing", gone=("cleanup/unix",)),
    fault("no qmgr", _QUEUE, "service-is-missing", gone=("qmgr/unix",)),
    fault("no trivial-rewrite", "451 4.3.0", "service-is-missing", gone=("rewrite/unix",)),
    fault("no bounce", "no sender hears of it", "service-is-missing", gone=("bounce/unix",)),
    fault("no retry", _QUEUE, "service-is-missing", gone=("retry/unix",)),
    fault("no SMTP client", _QUEUE, "no-such-transport", gone=("smtp/unix",)),
    fault("no proxymap, which a map needs", "451 for all of ours", "service-is-missing",
          gone=("proxymap/unix",),
          main={"relay_recipient_maps": "proxy:socketmap:inet:127.0.0.1:8824:recipient"}),
    fault("proxymap may not ask our map", "451 for all of ours", "proxymap-may-not",
          main={"relay_recipient_maps": "proxy:socketmap:inet:127.0.0.1:8824:recipient",
                "proxy_read_maps": "$virtual_alias_maps $transport_maps"}),
    fault("postscreen has nobody behind it", "no mail comes in", "service-is-missing",
          added=("25 inet n - n - 1 postscreen",)),
    fault("a content filter that there is not", _QUEUE, "no-such-transport",
          main={"content_filter": "smtp-amavis:[127.0.0.1]:10024"}),
    fault("a content filter of one service that there is not", _QUEUE, "no-such-transport",
          override={"<world>/content_filter": "scan:dummy"}),
    fault("we are the content filter", "all mail is brought to us", "filter-is-us",
          main={"content_filter": "lamson:inet:127.0.0.1:8823"}),
    fault("the site's lmtp filters by us", "all mail is brought to us", "filter-is-us",
          override={"<world>/content_filter": "lmtp:inet:127.0.0.1:8823"}),
)  # fmt: skip
