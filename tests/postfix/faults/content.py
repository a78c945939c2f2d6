"""Checks of headers and bodies."""

from __future__ import annotations

from tests.postfix.faults.fault import fault

_HEADERS = {"header_checks": "regexp:<etc>/headers"}

FAULTS = (
    fault("mail to a list is filtered elsewhere", "brought to another server",
          "mail-goes-elsewhere", main=_HEADERS,
          files={"headers": "/^To:.*@lists\\.test/ FILTER smtp:[192.0.2.1]\n"}),
    fault("mail to a list is discarded", "250, and gone", "mail-is-discarded", main=_HEADERS,
          files={"headers": "/^To: users@/ DISCARD\n"}),
    fault("automatic answers are rejected", "run/undeliverable", "mail-is-refused", main=_HEADERS,
          files={"headers": "/^Auto-Submitted: auto/ REJECT no robots\n"}),
    fault("what lists send is held", "stays in the hold queue", "mail-is-held", main=_HEADERS,
          files={"headers": "/^List-Id:/ HOLD\n"}),
    fault("what is from us is redirected", "to bob", "mail-goes-elsewhere", main=_HEADERS,
          files={"headers": "/^From:.*@app\\.test/ REDIRECT bob@elsewhere.test\n"}),
    fault("references are taken away", "no answer finds its thread", "header-is-changed",
          main=_HEADERS, files={"headers": "/^(References|In-Reply-To):/ IGNORE\n"}),
    fault("Received is taken away", "loops are not seen", "header-is-changed", main=_HEADERS,
          files={"headers": "/^Received:/ IGNORE\n"}),
    fault("subjects are replaced", "signatures break", "header-is-changed", main=_HEADERS,
          files={"headers": "/^Subject: (.*)/ REPLACE Subject: [EXTERNAL] $1\n"}),
    fault("the service of cleanup checks headers", "250, and gone", "mail-is-discarded",
          override={"cleanup/unix/header_checks": "regexp:<etc>/headers"},
          files={"headers": "/^Precedence: list/ DISCARD\n"}),
    fault("the submission server has a cleanup of its own", "run/undeliverable", "mail-is-refused",
          override={"<own>/cleanup_service_name": "own-cleanup"},
          added=("own-cleanup unix n - n - 0 cleanup -o header_checks=regexp:<etc>/headers",),
          files={"headers": "/^From:.*@lists/ REJECT\n"}),
    fault("bodies are held", "stays in the hold queue", "mail-is-held",
          main={"body_checks": "regexp:<etc>/body"}, files={"body": "/./ HOLD\n"}),
    fault("attached mail is rejected", "bounced", "mail-is-refused",
          main={"nested_header_checks": "regexp:<etc>/headers"},
          files={"headers": "/^Subject:/ REJECT no forwards\n"}),
    fault("the SMTP client changes what we send", "answers go elsewhere", "header-is-changed",
          main={"smtp_header_checks": "regexp:<etc>/headers"},
          files={"headers": "/^From:.*@lists/ REPLACE From: me@provider.test\n"}),
    fault("the LMTP client changes what we get", "no thread is found", "header-is-changed",
          override={"lamson/unix/lmtp_header_checks": "regexp:<etc>/headers"},
          files={"headers": "/^Message-ID:/ IGNORE\n"}),
    fault("cleanup drops fields that answers need", "answered automatically in turn",
          "header-is-changed", main={"message_drop_headers": "bcc, Auto-Submitted, return-path"}),
    fault("another client of SMTP sends our mail", "answers go elsewhere", "header-is-changed",
          main={"default_transport": "out:"},
          added=("out unix - - n - - smtp -o smtp_header_checks=regexp:<etc>/headers",),
          files={"headers": "/^From:.*@lists/ REPLACE From: me@provider.test\n"}),
    fault("mail to us is filtered by what there is not", "stays in the queue",
          "mail-goes-elsewhere", main=_HEADERS,
          files={"headers": "/^To:.*@lists\\.test/ FILTER scan:[127.0.0.1]:10024\n"}),
)  # fmt: skip
