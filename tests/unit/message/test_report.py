"""What machines report: RFC 3464, 6533, 5965, 8098, and the words of servers that know of none."""

from __future__ import annotations

import pytest

from lamson.message.report import Report, ReportedRecipient
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient

DAEMON = "From: MAILER-DAEMON@mx.example.net\nSubject: {}\n\n"


def report(text: str, sender: str = "") -> Report | None:
    return request(text, sender).report


def request(text: str, sender: str = "") -> MailRequest:
    us = Recipient("us@test.com")
    raw = text.replace("\n", "\r\n").encode()
    return MailRequest(raw, Envelope(sender, (us.address,)), us)


def of_type(report_type: str, fields: str, *, kind: str = "", more: str = "") -> str:
    return (
        f"From: {more or 'Joe <joe@example.com>'}\nSubject: a report\n"
        f"Content-Type: multipart/report; report-type={report_type}; boundary=b\n\n"
        "--b\n\nhello\n"
        f"--b\nContent-Type: message/{kind or report_type}\n\n{fields}\n"
        "--b\nContent-Type: message/rfc822\n\nTo: ann@example.com\nMessage-ID: <1@test.com>\n\nx\n"
        "--b--\n"
    )


FAILED = """\
Reporting-MTA: dns; mx.example.com

Original-Recipient: rfc822;ann+2Bnews@example.com
Final-Recipient: RFC822; <ann@inner.example.com>
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1
 no such user
"""


@pytest.mark.parametrize("sender", ["", "postmaster@example.net", "joe@example.com"])
def test_mail_that_failed(sender: str) -> None:
    message = request(of_type("delivery-status", FAILED), sender)
    found = message.report
    assert found is not None
    assert found.kind == "failed"
    assert message.is_bounce
    assert message.is_automatic
    assert message.automatic_kind == "report"
    # Whom it was written to, not what became of the address on the way.
    assert found.recipients == [
        ("ann+news@example.com", "failed", "5.1.1", "550 5.1.1 no such user")
    ]
    assert found.recipients[0].is_permanent
    assert found.recipients[0].reason == "unknown-user"
    assert found.original is not None
    assert found.original.message_id == "<1@test.com>"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_no_failure(action: str) -> None:
    fields = f"Final-Recipient: rfc822; ann@example.com\nAction: {action} (so far)\nStatus: 4.4.1\n"
    message = request(of_type("delivery-status", fields))
    assert message.report is not None
    assert message.report.kind == action
    assert not message.is_bounce
    assert message.is_automatic


def test_the_worst_of_several() -> None:
    fields = (
        "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822;a@example.com\nAction: delivered\n"
        "Status: 2.0.0\n\nFinal-Recipient: rfc822;b@example.com\nAction: failed\nStatus: 5.0.0\n"
        "Diagnostic-Code: smtp; 552 5.2.2 mailbox full\n"
    )
    found = report(of_type("delivery-status", fields))
    assert found is not None
    assert found.kind == "failed"
    assert [one[:3] for one in found.recipients] == [
        ("a@example.com", "delivered", "2.0.0"),
        ("b@example.com", "failed", "5.2.2"),
    ]
    assert found.recipients[1].reason == "mailbox-full"


def test_addresses_in_utf_8() -> None:
    fields = "Final-Recipient: utf-8; j\\x{FC}rgen@example.com\nAction: failed\nStatus: 5.1.1\n"
    found = report(of_type("global-delivery-status", fields))
    assert found is not None
    assert found.recipients[0].address == "jürgen@example.com"


def test_a_report_without_its_fields() -> None:
    text = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\nnothing"
    assert report(text, "joe@example.com") == Report("failed", [], None)


def test_reports_of_other_things() -> None:
    message = request(of_type("tlsrpt", "{}", kind="tlsrpt+json"), "noreply@example.com")
    assert message.report is None
    assert message.is_automatic


def test_complaints() -> None:
    fields = "Feedback-Type: abuse\nVersion: 1\nOriginal-Rcpt-To: <ann@example.com>\n"
    message = request(of_type("feedback-report", fields), "fbl@example.com")
    assert message.report is not None
    assert message.report[:2] == ("complaint", [("ann@example.com", "abuse", "", "")])
    assert not message.is_bounce
    without = report(of_type("feedback-report", "Feedback-Type: fraud\n"))
    assert without is not None
    assert without.recipients == [("ann@example.com", "fraud", "", "")]


def test_read_receipts() -> None:
    fields = (
        "Final-Recipient: rfc822;ann@example.com\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\n"
    )
    message = request(of_type("disposition-notification", fields))
    assert message.report is not None
    assert message.report[:2] == ("disposition", [("ann@example.com", "displayed", "", "")])
    assert not message.is_bounce


def test_a_refusal_in_the_form_of_a_receipt() -> None:
    fields = (
        "Final-Recipient: rfc822; ann@example.com\n"
        "Disposition: automatic-action/MDN-sent-automatically; deleted\n"
    )
    text = "Auto-Submitted: auto-replied (rejected)\n" + of_type("disposition-notification", fields)
    found = report(text)
    assert found is not None
    assert (found.kind, found.recipients[0].action) == ("failed", "failed")


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        ("Auto-Submitted: auto-replied\nSubject: Re: hi", ""),
        ("Auto-Submitted: auto-replied (vacation)\nSubject: away", "joe@example.com"),
        ("Subject: Automatic reply: hi\nAuto-Submitted: auto-generated", ""),
        ("Subject: Out of office: hi", ""),
        ("Subject: Abwesenheitsnotiz\nPrecedence: bulk", ""),
        ("Subject: hi\nX-Autoreply: yes", "joe@example.com"),
    ],
)
def test_who_is_away(fields: str, sender: str) -> None:
    message = request(f"From: Joe <joe@example.com>\n{fields}\n\nI am away.\n", sender)
    assert message.report == Report("vacation", [ReportedRecipient("joe@example.com")], None)
    assert not message.is_bounce


@pytest.mark.parametrize(
    "fields",
    [
        "Subject: Re: Undelivered Mail Returned to Sender",
        "Subject: Out of office",
        "Subject: hi\nList-Id: <x.example.com>",
        "Subject: Delivery failure\nPrecedence: list",
        "Subject: news\nX-Auto-Response-Suppress: All",
        "Subject: hi\nContent-Type: multipart/mixed; report-type=delivery-status; boundary=b",
    ],
)
def test_what_people_write(fields: str) -> None:
    text = f"From: Joe <joe@example.com>\n{fields}\n\n<ann@example.com>: user unknown\n"
    assert report(text, "joe@example.com") is None


def test_a_person_who_sends_a_bounce_on() -> None:
    inner = of_type("delivery-status", FAILED)
    text = (
        "From: Joe <joe@example.com>\nSubject: Fwd: failure\n"
        f"Content-Type: multipart/mixed; boundary=c\n\n--c\n\nlook\n"
        f"--c\nContent-Type: message/rfc822\n\n{inner}\n--c--\n"
    )
    assert report(text, "joe@example.com") is None


COPY = (
    "\n\nReturn-Path: <us@test.com>\nReceived: from x by y\nMessage-ID: <7@test.com>\nTo: b@c.de\n"
)


@pytest.mark.parametrize(
    ("subject", "words", "address", "status", "reason"),
    [
        (
            "failure notice",
            "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to "
            "deliver your message to the following addresses.\n\n<ann@example.com>:\n192.0.2.1 "
            "does not like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up."
            f"\n\n--- Below this line is a copy of the message.{COPY}",
            *("ann@example.com", "5.1.1", "unknown-user"),
        ),
        (
            "Mail delivery failed: returning message to sender",
            "This message was created automatically by mail delivery software.\n\nA message that "
            "you sent could not be delivered to one or more of its\nrecipients. This is a permanent"
            " error. The following address(es) failed:\n\n  ann@example.com\n    SMTP error from "
            "remote mail server after RCPT TO:<ann@example.com>:\n    host mx.example.com "
            "[192.0.2.1]: 552 mailbox is full\n\n------ This is a copy of the message, including "
            f"all the headers. ------{COPY}",
            *("ann@example.com", "5.2.2", "mailbox-full"),
        ),
        (
            "Undeliverable: hello",
            "Your message\n\n  To:      all@example.com\n  Subject: hello\n  Sent:    Mon, 1 Jan "
            "2001 10:00:00 +0000\n\ndid not reach the following recipient(s):\n\nann@example.com "
            "on Mon, 1 Jan 2001 10:00:01 +0000\n    The recipient name is not recognized\n",
            *("ann@example.com", "5.1.1", "unknown-user"),
        ),
        (
            "DELIVERY FAILURE: User ann (ann@example.com) not listed in Domino Directory",
            "Your message\n\n  Subject: hello\n\nwas not delivered to:\n\n  ann@example.com\n\n"
            "because:\n\n  User ann (ann@example.com) not listed in Domino Directory\n",
            *("ann@example.com", "5.1.1", "unknown-user"),
        ),
        (
            "Returned mail: see transcript for details",
            "   ----- The following addresses had permanent fatal errors -----\n<ann@example.com>\n"
            "    (reason: 554 5.7.1 Message rejected as spam)\n\n   ----- Transcript of session "
            "follows -----\n... while talking to mx.example.com.:\n>>> DATA\n<<< 554 5.7.1 Message "
            "rejected as spam\n",
            *("ann@example.com", "5.7.1", "spam"),
        ),
        (
            "Delivery Status Notification (Failure)",
            "Delivery to the following recipient failed permanently:\n\n     ann@example.com\n\n"
            "Technical details of permanent failure:\nDNS Error: Domain name not found\n\n"
            f"----- Original message -----{COPY}",
            *("ann@example.com", "5.1.2", "unknown-domain"),
        ),
        (
            "系统退信",
            "您的邮件被退回来了。\n收件人\uff1aann@example.com\n退信原因\uff1a收件人邮箱已满\n",
            *("ann@example.com", "5.2.2", "mailbox-full"),
        ),
        (
            "Unzustellbar: hallo",
            "Ihre Nachricht an ann@example.com konnte nicht zugestellt werden.\n"
            "Grund: Empfänger unbekannt\n",
            *("ann@example.com", "5.1.1", "unknown-user"),
        ),
        (
            "Undeliverable mail",
            "Error: Invalid user address\n550 - no such user here\n\nMAIL FROM: us@test.com\n"
            "RCPT TO: ann@example.com\n",
            *("ann@example.com", "5.1.1", "unknown-user"),
        ),
    ],
)
def test_words_of_servers(subject: str, words: str, address: str, status: str, reason: str) -> None:
    message = request(DAEMON.format(subject) + words, "MAILER-DAEMON@mx.example.net")
    found = message.report
    assert found is not None
    assert message.is_bounce
    assert [one.address for one in found.recipients] == [address]
    assert (found.recipients[0].status, found.recipients[0].reason) == (status, reason)
    if COPY in words:
        assert found.original is not None
        assert found.original.message_id == "<7@test.com>"


@pytest.mark.parametrize("sender", ["", "joe@example.com"])
def test_a_mail_system_that_names_no_domain(sender: str) -> None:
    found = report(
        "From: Mail Delivery Subsystem <MAILER-DAEMON>\n"
        "Subject: Returned mail: see transcript for details\nAuto-Submitted: auto-replied\n\n"
        "   ----- The following addresses had permanent fatal errors -----\n<ann@example.com>\n"
        "    (reason: 550 5.1.1 no such user)\n",
        sender,
    )
    assert found is not None
    assert found.kind == "failed"
    assert [(one.address, one.status) for one in found.recipients] == [("ann@example.com", "5.1.1")]


def test_words_of_a_delay() -> None:
    words = (
        "A message that you sent has not yet been delivered to one or more of its\nrecipients "
        "after more than 24 hours.\n\nThe address to which the message has not yet been delivered "
        "is:\n\n  ann@example.com\n    Delay reason: connection timed out\n\nNo action is required "
        "on your part. Eventually the mail delivery software will give up,\nand the message will "
        "be returned to you.\n"
    )
    message = request(DAEMON.format("Warning: message 1-2-3 delayed 24 hours") + words)
    assert message.report is not None
    assert message.report.kind == "delayed"
    assert message.report.recipients[0][:3] == ("ann@example.com", "delayed", "4.4.1")
    assert not message.is_bounce


def test_a_field_that_names_the_recipients() -> None:
    text = (
        "X-Failed-Recipients: ann@example.com, bob@example.com\n"
        "From: Mail Delivery System <Mailer-Daemon@example.net>\n\nIt failed.\n"
    )
    found = report(text, "x@example.net")
    assert found is not None
    assert [one.address for one in found.recipients] == ["ann@example.com", "bob@example.com"]


def test_the_mail_behind_the_report_names_whom_it_was_for() -> None:
    text = (
        "From: MAILER-DAEMON@example.net\nSubject: failure notice\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nSorry.\n"
        "--b\nContent-Type: message/rfc822\n\nTo: Ann <ann@example.com>\n\nx\n--b--\n"
    )
    found = report(text)
    assert found is not None
    assert [one.address for one in found.recipients] == ["ann@example.com"]


@pytest.mark.parametrize(
    "raw",
    [
        b"From: mailer-daemon@x\r\nSubject: failed\r\n\r\n" + b"a@b:" * 500_000,
        b"From: mailer-daemon@x\r\nSubject: failed\r\n\r\n" + b"user a@b.c unknown\r\n" * 100_000,
        b"From: mailer-daemon@x\r\nSubject: failed\r\n\r\nmailbox" + b" a" * 500_000,
        b"Content-Type: message/delivery-status\r\n\r\n" + b"Final-Recipient: a@b\r\n\r\n" * 90_000,
        b"Content-Type: message/delivery-status\r\n\r\nStatus: 5" + b"\r\n x" * 500_000,
        b"Content-Type: message/delivery-status\r\n\r\nDiagnostic-Code: " + b"5.1.1." * 300_000,
    ],
)
@pytest.mark.timeout(20)
def test_hostile_reports(raw: bytes) -> None:
    us = Recipient("us@test.com")
    found = MailRequest(raw, Envelope("", (us.address,)), us).report
    assert found is not None
    assert len(found.recipients) <= 1000


SAID = "connect user a " * 270


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        f"{'-' * 990}\n" * 66,
        f"{'a@' * 490}\n" * 66,
        "".join(f"a{number}@b.example\n" for number in range(1000)) + f"{'500 ' * 190}\n" * 40,
    ],
    ids=["dashes", "at signs", "many with codes"],
)
def test_a_hostile_bounce_takes_linear_time(text: str) -> None:
    report(DAEMON.format("failure notice") + text)


@pytest.mark.timeout(20)
def test_of_many_recipients_a_part_of_the_words_is_kept() -> None:
    named = ",\n ".join(f"a{number}@b.example" for number in range(1000))
    head = f"X-Failed-Recipients: {named}\n" + DAEMON.format("failure notice")
    found = report(head + SAID * 16)
    assert found is not None
    assert len(found.recipients) == 1000
    groups = "\n\n".join(
        f"Final-Recipient: rfc822; a{number}@b.example\nAction: failed\nStatus: 5.0.0\n"
        f"Diagnostic-Code: smtp; {number} {SAID}"
        for number in range(1000)
    )
    fields = report(of_type("delivery-status", groups))
    assert fields is not None
    assert len(fields.recipients) > 900
    for one in (found, fields):
        assert sum(len(recipient.diagnostic) for recipient in one.recipients) < 1 << 19
        assert {recipient.reason for recipient in one.recipients}
