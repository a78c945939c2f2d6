"""lamson.delivery.context"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lamson.delivery.answer_limit import AnswerLimit
from lamson.delivery.context import Delivery
from lamson.errors import AddressError, LamsonError, TemplateError
from lamson.message.attachment import Attachment
from lamson.message.mailboxes import Mailbox
from lamson.message.notes import Notary
from lamson.message.response import MailResponse
from lamson.message.templates import Templates
from lamson.smtp.reply import SMTPError
from tests.unit.support import make_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lamson.message.request import MailRequest


def make_delivery(message: MailRequest | None = None, **options: object) -> Delivery:
    values: dict[str, object] = {"digest": bytes(range(32)), "hostname": "mx.test.com", **options}
    return Delivery(message or make_message(), **values)  # type: ignore[arg-type]


def parsed(delivery: Delivery, number: int = 0) -> MailRequest:
    return make_message(delivery.outgoing[number].content)


def test_a_reply_goes_to_the_author_from_the_address_written_to() -> None:
    delivery = make_delivery()
    assert delivery.reply(body="Welcome.") is not None
    (row,) = delivery.outgoing
    assert (row.sender, row.recipients) == ("", ("zed@example.com",))
    answer = parsed(delivery)
    assert answer["From"] == "list@test.com"
    assert answer["To"] == "zed@example.com"
    assert answer["Subject"] == "Re: hello"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer.body == "Welcome.\n"


def test_a_reply_threads() -> None:
    content = (
        b"From: zed@example.com\r\nSubject: Re: x\r\nMessage-ID: <2@example.com>\r\n"
        b"References: <0@example.com>\r\n <1@example.com>\r\n\r\nbody\r\n"
    )
    delivery = make_delivery(make_message(content))
    delivery.reply(body="x")
    answer = parsed(delivery)
    assert answer["Subject"] == "Re: x"
    assert answer["In-Reply-To"] == "<2@example.com>"
    assert answer["References"] == "<0@example.com> <1@example.com> <2@example.com>"


def test_message_ids_derive_from_the_digest() -> None:
    first, again = make_delivery(), make_delivery()
    for delivery in (first, again):
        delivery.reply(body="one")
        delivery.reply(body="two")
    ids = [row.message_id for row in first.outgoing]
    assert ids == [row.message_id for row in again.outgoing]
    assert len(set(ids)) == 2
    assert parsed(first, 1)["Message-ID"] == ids[1]
    assert ids[0].endswith(".1@test.com>"), "the From domain"


@pytest.mark.parametrize(
    "message",
    [
        make_message(sender=""),
        make_message(b"From: a@b.example\r\nAuto-Submitted: auto-replied\r\n\r\n"),
        make_message(b"From: a@b.example\r\nPrecedence: bulk\r\n\r\n"),
        make_message(b"From: a@b.example\r\nList-Id: <x.y>\r\n\r\n"),
        make_message(b"From: list@test.com\r\n\r\n", sender="list@test.com"),
        make_message(b"From: MAILER-DAEMON@b.example\r\n\r\n", sender="MAILER-DAEMON@b.example"),
    ],
)
def test_programs_get_no_answer(message: MailRequest, caplog: pytest.LogCaptureFixture) -> None:
    delivery = make_delivery(message)
    with caplog.at_level("INFO"):
        assert delivery.reply(body="x") is None
    assert delivery.outgoing == []
    assert "unanswered" in caplog.text


def test_one_correspondent_gets_so_many_answers_an_hour() -> None:
    limit = AnswerLimit(2)
    answers = [make_delivery(answers=limit).reply(body="x") for _ in range(3)]
    assert [answer is not None for answer in answers] == [True, True, False]
    other = make_message(b"Subject: x\r\n\r\n", sender="somebody@else.example")
    assert make_delivery(other, answers=limit).reply(body="x") is not None


def test_a_template_sees_message_captures_and_variables(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("${user}, ${message.subject}, ${token}\n")
    delivery = make_delivery(templates=Templates([tmp_path]), captures={"user": "zed"})
    delivery.reply("hello.txt", subject="Hi", token="x1")
    assert parsed(delivery).body == "zed, hello, x1\n"


def test_a_template_without_templates() -> None:
    with pytest.raises(LamsonError, match="no templates"):
        make_delivery().reply("hello.txt")


def test_a_strangers_subject_cannot_inject_a_header() -> None:
    message = make_message(b"From: a@b.example\r\nSubject: x\x00y\r\n\tBcc: evil@example\r\n\r\n")
    delivery = make_delivery(message)
    delivery.reply(body="x")
    assert parsed(delivery)["Bcc"] is None


def test_an_envelope_address_cannot_carry_a_line_end() -> None:
    response = MailResponse(to="a@b.example", sender="c@test.com", subject="x", body="x")
    for bad in ("a@b.example\r\nDATA", "a b@c", "", "a@b>\x00"):
        with pytest.raises(AddressError):
            make_delivery().send(response, to=bad)
        if bad:
            with pytest.raises(AddressError):
                make_delivery().send(response, sender=bad)


def test_send_uses_the_responses_own_envelope() -> None:
    response = MailResponse(
        to=["A <a@b.example>", "c@b.example"], sender="Desk <desk@test.com>", subject="x", body="x"
    )
    delivery = make_delivery()
    delivery.send(response)
    assert delivery.outgoing[0].sender == "desk@test.com"
    assert delivery.outgoing[0].recipients == ("a@b.example", "c@b.example")


def test_forward_keeps_every_byte() -> None:
    content = b"From: a@b.example\r\nDKIM-Signature: v=1; b=xyz\r\n\r\nbody \xe9 \r\n.\r\n"
    delivery = make_delivery(make_message(content))
    delivery.forward("c@d.example")
    (row,) = delivery.outgoing
    assert row.content == b"Delivered-To: list@test.com\r\n" + content
    assert (row.sender, row.recipients) == ("zed@example.com", ("c@d.example",))


@pytest.mark.parametrize("here", ["desk@bücher.example", "ü@test.com", "k@\uff54est.com"])
def test_forward_writes_the_address_that_was_written_to(here: str) -> None:
    delivery = make_delivery(make_message(b"Subject: x\r\n\r\nbody\r\n", recipient=here))
    delivery.forward("c@d.example")
    (row,) = delivery.outgoing
    assert row.content.startswith(f"Delivered-To: {here}\r\nSubject: x\r\n".encode())


def test_forward_writes_anew_what_was_changed_in_place() -> None:
    delivery = make_delivery(make_message(b"Subject: x\r\n\r\nbody\r\n"))
    addresses: list[str | Mailbox] = ["a@b.example"]
    for one in ("a@b.example", "c@d.example"):
        addresses[0] = one
        delivery.forward(one, headers={"To": addresses})
    assert [b"To: c@d.example" in row.content for row in delivery.outgoing] == [False, True]
    delivery.forward("e@f.example", headers={"To": addresses})
    assert delivery.outgoing[2].content is delivery.outgoing[1].content


@pytest.mark.parametrize("how", ["one", "list", "generator"])
def test_recipients_may_be_mailboxes(how: str) -> None:
    """`message.cc` is a list of them."""
    mailbox = Mailbox("Amy, of Test", "amy@bücher.example")
    delivery = make_delivery()
    response = delivery.compose(to="zed@example.com", sender="list@test.com", subject="x", body="y")

    def to() -> Any:
        return {"one": mailbox, "list": [mailbox], "generator": (one for one in [mailbox])}[how]

    delivery.forward(to(), headers={"To": to()})
    delivery.send(response, to=to())
    delivery.send(b"Subject: x\r\n\r\ny\r\n", sender="list@test.com", to=to())
    delivery.reply(body="x", to=to())
    whom = ("amy@xn--bcher-kva.example",)
    assert [row.recipients for row in delivery.outgoing] == [whom] * 4
    assert parsed(delivery)["To"] == '"Amy, of Test" <amy@xn--bcher-kva.example>'
    assert parsed(delivery, 3)["To"] == '"Amy, of Test" <amy@xn--bcher-kva.example>'


@pytest.mark.parametrize("what", ["hello", make_message(), None])
def test_only_what_can_be_sent_is_sent(what: Any) -> None:
    delivery = make_delivery()
    with pytest.raises(TypeError, match="takes what compose"):
        delivery.send(what)
    with pytest.raises(TypeError, match="header field X-Priority takes a text, not int"):
        delivery.forward("c@d.example", headers={"X-Priority": 1})  # type: ignore[dict-item]
    assert delivery.outgoing == []


def test_a_text_is_no_template(tmp_path: Path) -> None:
    delivery = make_delivery(templates=Templates([tmp_path]))
    with pytest.raises(TemplateError, match="a text is given as body="):
        delivery.reply("Welcome to the list!")
    with pytest.raises(TemplateError, match=f"{tmp_path}$"):
        delivery.reply("mail/welcome.txt")


def test_what_is_sent_has_no_bare_line_ends() -> None:
    delivery = make_delivery(make_message(b"Subject: x\n\nsmuggled\n.\r\rMAIL FROM\n"))
    delivery.forward()
    content = delivery.outgoing[0].content
    assert content.replace(b"\r\n", b"").count(b"\r") == 0
    assert content.replace(b"\r\n", b"").count(b"\n") == 0


def test_forward_refuses_what_it_forwarded_before() -> None:
    first = make_delivery(mark=Notary(b"secret").mark)
    first.forward("c@d.example")
    back = b"Received: from x\r\n" + first.outgoing[0].content
    for recipient in ("list@test.com", "LIST@test.com"):
        again = make_delivery(make_message(back, recipient=recipient), mark=Notary(b"secret").mark)
        with pytest.raises(SMTPError, match=r"5\.4\.6"):
            again.forward()
    for recipient, secret in (("other@test.com", b"secret"), ("list@test.com", b"another")):
        make_delivery(make_message(back, recipient=recipient), mark=Notary(secret).mark).forward()


def test_forward_refuses_what_has_come_too_far() -> None:
    with pytest.raises(SMTPError, match=r"5\.4\.6"):
        make_delivery(make_message(b"Received: from x\r\n" * 51 + b"\r\n")).forward()


@pytest.mark.parametrize("field", [b"Delivered-To: list@test.com", b"X-Lamson-Forwarded: 0123"])
def test_no_stranger_can_make_a_loop(field: bytes) -> None:
    delivery = make_delivery(make_message(field + b"\r\n\r\n"), mark=Notary(b"secret").mark)
    delivery.forward()
    assert len(delivery.outgoing) == 1


def test_an_address_beyond_ascii_needs_smtputf8() -> None:
    delivery = make_delivery()
    delivery.forward("jos\u00e9@b.example")
    assert delivery.outgoing[0].smtputf8


def test_who_is_proven_to_write_names_others_within_the_cap_of_their_domain() -> None:
    """Of a large provider: it vouches for From, and for nothing that stands in Reply-To."""
    limit = AnswerLimit(30, 2)

    def answered(number: int, reply_to: str) -> bool:
        head = f"From: me@large.example\r\nReply-To: {reply_to}\r\n\r\n"
        message = make_message(head.encode(), sender="me@large.example", proven="large.example")
        delivery = make_delivery(message, answers=limit)
        return delivery.reply(body="x") is not None

    others = [answered(number, f"victim{number}@large.example") for number in range(4)]
    assert others == [True, True, False, False]
    assert answered(5, "ME@large.example")


def test_an_answer_has_fields_attachments_and_copies_of_its_own() -> None:
    delivery = make_delivery()
    answer = delivery.reply(
        body="hi",
        cc=[Mailbox("Boss, the", "boss@b.example")],
        headers={"Reply-To": "desk@test.com", "X-Ticket": "1", "Message-ID": "<mine@test.com>"},
        attachments=[Attachment(b"1", "a.bin")],
    )
    (row,) = delivery.outgoing
    assert answer is not None
    assert row.content == answer.to_bytes()
    assert row.recipients == ("zed@example.com", "boss@b.example")
    sent = parsed(delivery)
    assert sent["Cc"] == '"Boss, the" <boss@b.example>'
    assert (sent["Reply-To"], sent["X-Ticket"]) == ("desk@test.com", "1")
    assert [one.filename for one in sent.attachments] == ["a.bin"]
    assert row.message_id == sent["Message-ID"] == "<mine@test.com>"


@pytest.mark.parametrize("method", ["reply", "compose"])
def test_unknown_names_are_errors(method: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    delivery = make_delivery(templates=Templates([tmp_path]))
    more = {} if method == "reply" else {"to": "a@b.c", "sender": "d@test.com", "subject": "x"}
    call = getattr(delivery, method)
    with pytest.raises(TypeError, match="takes no sujbect without a template"):
        call(body="hi", sujbect="typo", **more)
    with pytest.raises(TypeError, match="a template or a body, not both"):
        call("x.txt", body="B", **more)
    with pytest.raises(TypeError, match="sujbect"):
        delivery.forward(sujbect="typo")  # type: ignore[call-arg]
    assert delivery.outgoing == []


def test_what_was_sent_cannot_be_changed() -> None:
    delivery = make_delivery()
    answer = delivery.reply(body="hi")
    assert answer is not None

    def change(*, field: str) -> None:
        setattr(answer, field, "x@test.com")

    attempts: list[Callable[[], object]] = [
        lambda: answer.attach(b"", filename="x"),
        lambda: answer.__setitem__("X", "y"),
        lambda: answer.__delitem__("To"),
        lambda: answer.add_header("X", "y"),
        lambda: change(field="body"),
        lambda: change(field="html"),
        lambda: change(field="envelope_sender"),
    ]
    for attempt in attempts:
        with pytest.raises(LamsonError, match="was sent and cannot be changed"):
            attempt()
    assert delivery.outgoing[0].content == answer.to_bytes()
    delivery.send(answer, to="another@b.example")
    assert delivery.outgoing[1].content == delivery.outgoing[0].content


def test_an_international_domain_needs_no_smtputf8() -> None:
    delivery = make_delivery()
    delivery.forward("user@b\u00fccher.example")
    delivery.reply(body="x", to="user@b\u00fccher.example")
    for row in delivery.outgoing:
        assert (row.recipients, row.smtputf8) == (("user@xn--bcher-kva.example",), False)
    assert parsed(delivery, 1)["To"] == "user@xn--bcher-kva.example"


def test_fields_and_a_prefix_on_what_is_passed_on() -> None:
    content = b"From: a@b.example\r\nSubject: x\r\nDKIM-Signature: v=1\r\n\r\n\xe9\r\n"
    delivery = make_delivery(make_message(content))
    delivery.forward("c@d.example", headers={"List-Id": "<users.test.com>"})
    delivery.forward("c@d.example", headers=[("X", "1")], subject_prefix="[users]")
    first, second = (row.content for row in delivery.outgoing)
    assert first == b"Delivered-To: list@test.com\r\nList-Id: <users.test.com>\r\n" + content
    assert second == b"Delivered-To: list@test.com\r\nX: 1\r\n" + content.replace(
        b"Subject: x", b"Subject: [users] x"
    )
    assert first.endswith(delivery.message.raw)


def test_one_content_for_many_copies() -> None:
    delivery = make_delivery()
    for number in range(3):
        delivery.forward(f"user{number}@b.example", sender=f"bounce-{number}@test.com")
    first, *others = (row.content for row in delivery.outgoing)
    assert all(other is first for other in others)


def test_a_token_is_not_told_to_everybody() -> None:
    captures = {"list_name": "users", "token": "7f3a9c", "host": "test.com"}
    message = make_message(b"To: x@y.z\r\n\r\n", recipient="users-7f3a9c@test.com")
    delivery = make_delivery(message, captures=captures)
    delivery.forward(["a@b.example", "c@d.example"], sender="users@test.com")
    assert b"7f3a9c" not in delivery.outgoing[0].content
    delivery.forward()
    assert delivery.outgoing[1].content.startswith(b"Delivered-To: users-7f3a9c@test.com\r\n")


def test_a_message_without_an_id_has_none_in_the_log_either() -> None:
    delivery = make_delivery(make_message(b"Subject: x\r\n\r\n"))
    delivery.forward("a@b.example")
    assert delivery.outgoing[0].message_id == ""
