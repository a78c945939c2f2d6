"""lamson_milter.filters: what modules declare, and what is wrong with it, at load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.errors import RouteError
from tests.unit.milter.support import make_filters

if TYPE_CHECKING:
    from pathlib import Path


def test_all_stages(tmp_path: Path) -> None:
    filters = make_filters(
        tmp_path,
        """
        @filter_connection
        def a(client): ...
        @filter_sender(helo=True)
        def b(mail): ...
        @filter_sender
        def c(mail): ...
        @filter_recipient("(user)@(host)")
        @filter_recipient("other@(host)", user="x")
        def d(mail, user="", host=""): ...
        """.replace(', user="x"', ""),
    )
    assert [one.handler.name for one in filters.all] == ["a", "b", "c", "d", "d"]
    assert filters.helo
    assert filters.body == 0
    ((found, captures),) = filters.recipient.match("zed@test.com")
    assert (found.format, captures) == ("(user)@(host)", {"user": "zed", "host": "test.com"})
    assert len(filters.recipient.match("other@test.com")) == 1, "a function is asked once"
    assert filters.recipient.match("zed@elsewhere.test") == []


def test_a_filter_verifies_no_token(tmp_path: Path) -> None:
    with pytest.raises(RouteError, match=r"py:5: .*\.a: a filter's capture cannot be Signed"):
        make_filters(
            tmp_path,
            """
            from lamson import Signed
            @filter_recipient("(token)@(host)", token=Signed("a"))
            def a(mail, token, host): ...
            """,
        )


def test_each_filter_says_where_its_decorator_stands(tmp_path: Path) -> None:
    filters = make_filters(
        tmp_path,
        """
        @filter_connection
        def a(client): ...
        @filter_sender(helo=True)
        def b(mail): ...
        @filter_message("first@(host)")
        @filter_recipient("second@(host)")
        def c(mail, host): ...
        """,
    )
    assert [(one.stage, one.format, one.line) for one in filters.all] == [
        ("connection", "", 4),
        ("sender", "", 6),
        ("message", "first@(host)", 8),
        ("recipient", "second@(host)", 9),
    ]
    assert {one.file for one in filters.all} == {filters.all[0].handler.file}


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [(("False",), 0), (("100", "False", "200"), 200), (("100", "True"), None), (("0",), 0)],
)
def test_how_much_of_the_body_is_read(
    tmp_path: Path, bodies: tuple[str, ...], expected: int | None
) -> None:
    source = "\n".join(
        f'@filter_message("(user)@(host)", body={body})\ndef f{number}(m, user, host): ...'
        for number, body in enumerate(bodies)
    )
    assert make_filters(tmp_path, source).body == expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "has no filter"),
        ("@filter_message(7)\ndef f(m): ...", "needs a format"),
        ('@filter_message("(nobody)@(host)")\ndef f(m): ...', "names the capture"),
        ('@filter_message("(user)@(host)")\ndef f(m): ...', "has no parameter 'user'"),
        ('@filter_message("x@(host)")\ndef f(m, user, host): ...', "needs 'user'"),
        ('@filter_message("x@y", a="b")\ndef f(m): ...', "has no capture"),
        ('@filter_message("x@y", body=-1)\ndef f(m): ...', "body is True, False"),
        (
            "@filter_message(inline=True)\ndef f(m, p: Policy): ...",
            "a Session or a Policy, which wait",
        ),
        ("@filter_connection\nasync def f(m): ...", "async def"),
        ("@filter_sender\nclass f: ...", "is no function"),
        ("@filter_sender\ndef f(m): ...\n@filter_sender\ndef f(m): ...", "a second time"),
        ("1/0", "ZeroDivisionError"),
    ],
)
def test_mistakes_are_found_at_load(tmp_path: Path, source: str, problem: str) -> None:
    with pytest.raises(RouteError, match=problem):
        make_filters(tmp_path, source)


def test_filters_say_whether_they_may_run_inline(tmp_path: Path) -> None:
    filters = make_filters(
        tmp_path,
        """
        @filter_connection(inline=True)
        def a(client): ...
        @filter_sender(inline=True)
        def b(mail): ...
        @filter_recipient("(user)@(host)", inline=True)
        def c(mail, user, host): ...
        @filter_message("(user)@(host)", inline=True)
        def d(mail, user, host): ...
        @filter_message("(user)@(host)")
        def e(mail, user, host): ...
        """,
    )
    assert [one.is_inline for one in filters.all] == [True, True, True, True, False]
    source = """
        from sqlalchemy.orm import Session
        @filter_sender(inline=True)
        def b(mail, db: Session): ...
    """
    with pytest.raises(RouteError, match=r"py:5: .*\.b takes a Session.*leave out inline=True"):
        make_filters(tmp_path, source)


def test_a_message_as_a_whole(tmp_path: Path) -> None:
    filters = make_filters(
        tmp_path,
        """
        @filter_message
        def a(mail): ...
        @filter_message(body=10)
        def b(mail): ...
        @filter_message("(user)@(host)", body=20)
        def c(mail, user, host): ...
        """,
    )
    assert [one.handler.name for one in filters.whole] == ["a", "b"]
    assert [one.handler.name for one in filters.message.routes] == ["c"]
    assert filters.asks_message
    assert filters.body is None
