"""Texts taken apart: what is new, and what came along."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamson.message.fragments import Fragment, split
from lamson.message.request import MailRequest
from lamson.smtp.envelope import Envelope, Recipient

QUOTED = "> Shall we meet?\n>\n> Ann\n"
GMAIL = "On Mon, Jan 15, 2024 at 10:04 AM Ann Lee <ann@example.com> wrote:\n\n"
HEADER = "From: Ann Lee <ann@example.com>\nSent: Monday\nTo: Joe\nSubject: meeting\n\nShall we?\n"


def kinds(text: str, subject: str = "Re: x") -> list[tuple[str, str]]:
    found = split(text, subject)
    assert "".join(one.text for one in found) == text
    return [(one.kind, one.text) for one in found]


def test_an_answer_above() -> None:
    assert kinds(f"Yes.\n\nJoe\n\n{GMAIL}{QUOTED}") == [
        ("new", "Yes.\n\nJoe\n\n"),
        ("quote", GMAIL + QUOTED),
    ]


def test_answers_between() -> None:
    text = f"{GMAIL}{QUOTED}\nYes.\n\n> Where?\n\nHere.\n-- \nJoe\n"
    assert [kind for kind, _ in kinds(text)] == ["quote", "new", "quote", "new", "signature"]


def test_an_answer_to_what_is_not_marked() -> None:
    assert kinds(f"Yes.\n\n{GMAIL}Shall we meet?\n\nAnn\n")[1][0] == "quote"
    assert kinds(f"Yes.\n\n-----Original Message-----\n{HEADER}") == [
        ("new", "Yes.\n\n"),
        ("quote", f"-----Original Message-----\n{HEADER}"),
    ]
    assert kinds(f"Yes.\n\n________________________________\n{HEADER}")[1][0] == "quote"
    assert kinds("Yes.\n\n-- reply above this line --\n\nTicket 7\n")[1][0] == "quote"


@pytest.mark.parametrize(
    "quote",
    [
        "On Friday, January 2, 2026, 3:04:05 PM, you wrote:\n\nAL> Hello,\nAL>> hi\nAL>\n",
        "Ann Lee <ann@example.com> wrote:\n   Ann> Hello,\n   Ann> there\n",  # Supercite
        "On Friday, January 2, 2026, Ann wrote:\n| Hello,\n|\n| there\n",
    ],
)
def test_quotes_with_another_mark(quote: str) -> None:
    assert split(f"{quote}\nThanks\n") == [("quote", f"{quote}\n"), ("new", "Thanks\n")]


@pytest.mark.parametrize(
    "line",
    [
        ">>> Ann Lee <ann@example.com> 01/02/26 3:04 PM >>>\n",
        '>>> On 1/2/2026 at 3:04 PM, in message <1.2@x>, "Ann Lee" <ann@example.com> wrote:\n',
    ],
)
def test_quotes_of_groupwise_have_no_mark(line: str) -> None:
    assert split(f"Thanks\n\n{line}Hello\nthere\n") == [
        ("new", "Thanks\n\n"),
        ("quote", f"{line}Hello\nthere\n"),
    ]
    between = f"{line}> Hello\n\nThanks\n"
    assert split(between) == [("quote", f"{line}> Hello\n\n"), ("new", "Thanks\n")]


def test_a_rule_above_the_line_to_answer_above_of() -> None:
    assert split("Thanks\n\n——————\nReply above this line.\n\nOld\n") == [
        ("new", "Thanks\n\n"),
        ("quote", "——————\nReply above this line.\n\nOld\n"),
    ]


def test_mail_that_is_sent_on() -> None:
    marker = "---------- Forwarded message ---------\n"
    assert kinds(f"Look.\n\n{marker}{HEADER}")[1] == ("forwarded", marker + HEADER)
    assert kinds(f"Look.\n\n{HEADER}", "Fwd: meeting")[1] == ("forwarded", HEADER)
    apple = "Begin forwarded message:\n\n> From: Ann\n>\n> Shall we?\n"
    assert kinds(f"Look.\n\n{apple}")[1] == ("forwarded", apple)


def test_signatures() -> None:
    assert kinds("Yes.\n-- \nJoe\n+1 555\n")[1] == ("signature", "-- \nJoe\n+1 555\n")
    assert kinds("Yes.\n--\nJoe\n")[1] == ("signature", "--\nJoe\n")
    assert kinds(f"Yes.\n\nSent from my iPhone\n\n{GMAIL}{QUOTED}")[1] == (
        "signature",
        "Sent from my iPhone\n\n",
    )


def test_footers() -> None:
    footer = "_______________________\nx mailing list\nx@lists.example.com\n"
    assert kinds(f"Yes.\n\n{GMAIL}{QUOTED}{footer}")[-1] == ("footer", footer)
    legal = "This e-mail and any attachments are confidential.\n"
    assert kinds(f"Yes.\n\n{legal}")[-1] == ("footer", legal)


@pytest.mark.parametrize(
    "text",
    [
        "On Monday Ann wrote:\nthat she comes.\n",
        "I wrote this to them, and what do you think:\n\nNo.\n",
        "The agenda for 15.01.2024, 10:04:\n- begin\n- end\n",
        "Write to joe@example.org, before 10:04:\n* one\n* two\n",
        "From: Berlin\nTo: Paris\n\nThat is the way.\n",
        "One.\n---\nTwo is a sentence.\n---\nThree.\n",
        "Sent from the office yesterday, it has not come. What now?\n",
        "One\n-- \n" + "a line of a text that goes on\n" * 100,
        "This e-mail is for you.\n\nThis message is short.\n",
        "----- Forwarded message? No.\n",
        "-5 degrees\n- one\n",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    assert kinds(text) == [("new", text)]


def test_lines_before_an_attribution_are_new() -> None:
    text = f"On it.\n{GMAIL}{QUOTED}"
    assert kinds(text)[0] == ("new", "On it.\n")


def test_an_attribution_in_two_lines() -> None:
    text = "On Mon, Jan 15, 2024 at 10:04 AM Ann Lee\n<ann@example.com> wrote:\n\n" + QUOTED
    assert kinds(text) == [("quote", text)]


def test_nothing() -> None:
    assert split("") == []
    assert kinds("\n") == [("new", "\n")]


@given(
    st.lists(
        st.sampled_from(
            [
                *("a", "", "> a", "-- ", GMAIL.strip(), "From: a", "Sent: b", "To: c", "_____"),
                *("x:\r", "Sent from my iPhone", "\x85", "---- Forwarded message ----"),
            ]
        ),
        max_size=30,
    ),
    st.dictionaries(st.integers(0, 30), st.sampled_from(["quote", "signature", "new"])),
)
def test_nothing_is_lost(lines: list[str], marks: dict[int, str]) -> None:
    text = "\n".join(lines)
    found = split(text, marks=marks)  # type: ignore[arg-type]
    assert "".join(one.text for one in found) == text
    assert all(one.kind != other.kind for one, other in pairwise(found))


@pytest.mark.parametrize(
    "line",
    ["a:\n", "From: a\n", "-- \nx.\n", "On <a@b>\n", "\nThis e-mail and any\n", "> \n", "_____\n"],
)
@pytest.mark.timeout(30)
def test_hostile_texts(line: str) -> None:
    text = line * (1_000_000 // len(line))
    assert "".join(one.text for one in split(text)) == text


def request(content: bytes) -> MailRequest:
    us = Recipient("us@test.com")
    return MailRequest(content, Envelope("joe@example.org", (us.address,)), us)


def test_of_a_message() -> None:
    text = f"Subject: Re: x\n\nYes.\n\n{GMAIL}{QUOTED}".replace("\n", "\r\n")
    message = request(text.encode())
    assert message.fragments[0] == Fragment("new", "Yes.\n\n")
    assert message.new_text == "Yes.\n\n"
    assert request(b"").fragments == []
    assert request(b"").new_text == ""
