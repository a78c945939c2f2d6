"""Threads behind a real Postfix: a customer asks, an agent answers, and strangers try to get in."""

from __future__ import annotations

from email.utils import make_msgid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from tests.postfix.sender import letter, send
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.sink import Delivered
    from tests.postfix.stage import Stage

pytestmark = [pytest.mark.postfix, pytest.mark.slow]

ZED, ANN, YAN = "zed@sender.test", "ann@agents.test", "yan@sender.test"
EVE = "eve@evil.test"
DESK = {"LAMSON_HANDLERS": "app.handlers.desk", "LAMSON_POSTFIX__TRANSPORT": "lmtp"}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stage(
    request: pytest.FixtureRequest, stories_project: Path, make_stage: Callable[..., Stage]
) -> Stage:
    port = free_port()
    environment = {**DESK, "LAMSON_SOCKETMAP__LISTEN": f"127.0.0.1:{port}"}
    if request.param == "postgres":
        environment["LAMSON_DATABASE"] = request.getfixturevalue("postgres_url")
        LamsonService(stories_project, **environment).command("syncdb")
    return make_stage(
        main={
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipient",
            "unknown_relay_recipient_reject_code": "550",
        },
        environment=environment,
    )


def answer(mail: Delivered, author: str, body: str, *, to: str = "", known: bool = True) -> bytes:
    """As a mail program answers: quoting, and with References where it has them."""
    message = mail.message
    quote = "".join(f"> {line}\r\n" for line in mail.body.decode().splitlines())
    fields = b""
    if known:
        own = str(message["Message-ID"])
        references = " ".join(filter(None, (str(message["References"] or ""), own)))
        fields = f"In-Reply-To: {own}\r\nReferences: {references}\r\n".encode()
    subject = f"Re: {message['Subject']}"
    return fields + letter(
        author, to or str(message["From"]), subject, f"{body}\r\n\r\nThey wrote:\r\n{quote}"
    )


def threads(stage: Stage) -> list[str]:
    """In which thread each message was handled, in order."""
    statement = "SELECT recipient FROM effect ORDER BY id"
    if url := stage.lamson.environment.get("LAMSON_DATABASE"):
        engine = create_engine(url)
        with engine.connect() as connection:
            found = [row[0] for row in connection.execute(text(statement))]
        engine.dispose()
        return found
    return [str(row[0]) for row in stage.query(statement)]


def said(mail: Delivered) -> str:
    return mail.body.decode().replace("\r\n", "\n").strip()


def test_they_ask_answer_and_answer_again(stage: Stage) -> None:
    sink = stage.sink
    stage.write(ZED, "support@app.test", content=letter(ZED, "support@app.test", "Printer", "Fire"))
    (asked,) = sink.wait(to=ANN)
    here = asked.message["From"]
    stage.write(ANN, here, content=answer(asked, ANN, "Which one?"))
    (answered,) = sink.wait(to=ZED)
    assert said(answered).splitlines()[0] == "Which one?"
    assert "> Fire" in said(answered)

    # Zed's program answers to the address in his address book, by References alone.
    again = answer(answered, ZED, "The big one.", to="support@app.test")
    stage.write(ZED, "support@app.test", content=again)
    asked = sink.wait(2, to=ANN)[-1]
    lines = said(asked).splitlines()
    assert lines[0] == "The big one."
    assert [line for line in lines if line.startswith(">")] == ["> Which one?", "> Fire"]

    # A colleague whom he sent it to answers from a telephone, which tells nothing.
    colleague = answer(answered, YAN, "It is out.", known=False)
    stage.write(YAN, answered.message["From"].upper(), content=colleague)
    asked = sink.wait(3, to=ANN)[-1]
    assert "> The big one." in said(asked)
    stage.write(ANN, asked.message["From"], content=answer(asked, ANN, "Thank you."))
    (thanks,) = sink.wait(to=YAN)
    assert set(thanks.recipients) == {ZED, YAN}
    stage.postfix.wait_empty()
    assert len(set(threads(stage))) == 1
    assert len(threads(stage)) == 5


def test_strangers_stay_outside(stage: Stage) -> None:
    sink, port = stage.sink, stage.postfix.smtp_port
    secret = letter(ZED, "support@app.test", "Door", "The code is 1234.")
    stage.write(ZED, "support@app.test", content=secret)
    (asked,) = sink.wait(to=ANN)
    stage.write(ANN, asked.message["From"], content=answer(asked, ANN, "I see."))
    (answered,) = sink.wait(to=ZED)
    here = answered.message["From"]

    # An address that was guessed: Postfix refuses it at RCPT.
    token = here.removeprefix("support+").removesuffix("@app.test")
    for forged in (token[::-1], token[:-1], "a" * 40):
        address = f"support+{forged}@app.test"
        assert send(port, EVE, address).recipients[address][0] == 550

    # A Message-ID that somebody knows, with and without a forged From.
    for number, author in enumerate((EVE, ZED, ANN), 2):
        mail = answer(answered, author, "What did they say?", to="support@app.test")
        stage.write(EVE, "support@app.test", content=mail)
        seen = sink.wait(number, to=ANN)[-1]
        assert "1234" not in said(seen).replace("> > ", "").split("They wrote:")[0]
    # The id of Zed's own mail, and one that is made to look like it.
    own = f"In-Reply-To: {make_msgid(domain='app.test')}\r\n".encode()
    stage.write(EVE, "support@app.test", content=own + letter(EVE, "support@app.test", "Re: Door"))
    sink.wait(5, to=ANN)
    stage.postfix.wait_empty()
    assert not sink.to(EVE)
    assert len(sink.to(ZED)) == 1
    assert [threads(stage).count(one) for one in dict.fromkeys(threads(stage))] == [2, 1, 1, 1, 1]

    # A bounce in the thread says nothing there, and begins none.
    stage.write("", here, subject="Undelivered Mail Returned to Sender")
    stage.postfix.wait_empty()
    assert threads(stage)[-1] == threads(stage)[0]
    assert len(sink.to(ANN)) == 5
