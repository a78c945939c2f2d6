"""Who gets in, and what the window does for others: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from lamson.errors import SettingsError
from lamson.settings import Settings, Web
from lamson.web.guard import MAX_REQUEST
from lamson.web.sessions import ATTEMPTS, COOKIE, IDLE, Sessions
from tests.web.conftest import HOST, PASSWORD

if TYPE_CHECKING:
    from tests.web.conftest import House, Visitor

MAIL = b"From: a@example.com\r\nSubject: hi\r\n\r\nsecret words\r\n"


@pytest.mark.parametrize(
    "path",
    ["/", "/with?with=a@example.com", "/outbox", "/states", "/routes", "/pulse", "/errors"],
)
def test_nobody_sees_a_page_without_the_password(house: House, path: str) -> None:
    stranger = house.visitor(is_in=False, follow_redirects=False)
    answer = stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login"


def test_a_guessed_attachment_is_refused(house: House) -> None:
    id = house.went(MAIL)
    stranger = house.visitor(is_in=False, follow_redirects=False)
    for path in (f"/mail/{id}/part/0", f"/mail/{id}/source", f"/mail/{id}/html"):
        answer = stranger.get(path)
        assert answer.status_code == 303
        assert b"secret" not in answer.content


def test_a_path_leads_to_mail_and_nowhere_else(house: House, visitor: Visitor) -> None:
    (house.window.settings.run_dir / "queue" / "secret").write_text("words")
    for path in ("/mail/sent/..%2Fsecret", "/mail/sent/../secret", "/mail/run/x", "/static/../x"):
        for more in ("", "/source", "/part/0"):
            assert visitor.get(path + more).status_code == 404


def test_a_stolen_cookie_is_worth_nothing_after_logout(house: House, visitor: Visitor) -> None:
    stolen = visitor.client.cookies[COOKIE]
    thief = house.visitor(is_in=False, follow_redirects=False, cookies={COOKIE: stolen})
    assert thief.get("/").status_code == 200  # the session lives
    visitor.post("/logout")
    assert thief.get("/").status_code == 303
    assert visitor.get("/").url.path == "/login"


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(house: House) -> None:
    stranger = house.visitor(is_in=False, follow_redirects=False)
    cookie = stranger.enter(PASSWORD).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_a_password_is_not_tried_often(house: House) -> None:
    stranger = house.visitor(is_in=False)
    assert [stranger.enter(f"guess {n}").status_code for n in range(ATTEMPTS)] == [
        *[403] * (ATTEMPTS - 1),
        429,
    ]
    assert stranger.enter(PASSWORD).status_code == 429  # nor is the right one looked at
    assert stranger.get("/").url.path == "/login"


def test_attempts_are_forgotten_after_a_minute_and_sessions_when_unused() -> None:
    now = [0.0]
    sessions = Sessions(lambda: "right", clock=lambda: now[0])
    for _ in range(ATTEMPTS):
        sessions.enter("wrong", "192.0.2.1")
    assert sessions.enter("right", "192.0.2.1") is None
    assert (cookie := sessions.enter("right", "192.0.2.2")) is not None
    now[0] = 61.0
    assert sessions.enter("right", "192.0.2.1") is not None
    assert sessions.of_cookie(cookie) is not None
    now[0] += IDLE + 1
    assert sessions.of_cookie(cookie) is None
    assert Sessions(lambda: None).enter("", "x") is None  # no password lets nobody in


def test_who_entered_by_a_password_that_was_changed_is_out() -> None:
    """It is changed where somebody else knows it, and he may be in."""
    password: list[str | None] = ["the first"]

    def read() -> str | None:
        if not password:
            raise SettingsError("it cannot be read")
        return password[0]

    sessions = Sessions(read)
    thief = sessions.enter("the first", "192.0.2.1")
    assert thief is not None
    assert sessions.of_cookie(thief) is not None
    ann = sessions.of_user("ann")
    password[0] = "the second"
    assert sessions.of_cookie(thief) is None
    password[0] = "the first"
    assert sessions.of_cookie(thief) is None, "nor when it is as it was"
    mine = sessions.enter("the first", "192.0.2.1")
    password.clear()
    assert sessions.of_cookie(mine or "") is None
    assert sessions.of_user("ann") is ann, "the proxy lets in who comes by it"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": HOST},
    ],
)
def test_a_form_of_another_site_is_refused(
    house: House, visitor: Visitor, headers: dict[str, str]
) -> None:
    (session,) = house.sessions._sessions.values()
    form = {"csrf": session.csrf, "mood": "refuse"}
    assert visitor.client.post("/mood", data=form, headers=headers).status_code == 403
    assert house.window.development is not None
    assert house.window.development.mood == "accept"


def test_a_form_needs_the_token_of_its_own_session(house: House, visitor: Visitor) -> None:
    other = house.visitor()
    theirs = other.client.get("/").text.partition('name="csrf" value="')[2].partition('"')[0]
    for token in ("", "guess", theirs):
        answer = visitor.client.post("/mood", data={"csrf": token, "mood": "refuse"})
        assert answer.status_code == 403
    assert house.window.development is not None
    assert house.window.development.mood == "accept"


def test_a_page_of_another_site_cannot_have_ours_loaded(visitor: Visitor) -> None:
    for dest in ("image", "iframe", "script"):
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert visitor.get("/", headers={**headers, "Sec-Fetch-Dest": dest}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_name_that_was_made_to_lead_here_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.get("/", headers={"Host": host}).status_code == 421


def test_names_of_the_settings_are_ours(house: House) -> None:
    web = Web(hosts=["mail.example.com"])
    house.window.settings = house.window.settings.model_copy(update={"web": web})
    answer = house.visitor().get("/", headers={"Host": "Mail.example.com:8443"})
    assert answer.status_code == 200


def test_a_user_is_believed_of_the_proxy_alone(house: House) -> None:
    web = Web(user_header="X-Remote-User", proxies=["192.0.2.1"])
    house.window.settings = house.window.settings.model_copy(update={"web": web})
    named = {"X-Remote-User": "ann"}
    proxy = house.visitor(is_in=False, client=("192.0.2.1", 1), follow_redirects=False)
    assert proxy.get("/", headers=named).status_code == 200
    assert proxy.get("/").status_code == 303
    assert proxy.get("/", headers={"X-Remote-User": " "}).status_code == 303
    other = house.visitor(is_in=False, client=("192.0.2.2", 1), follow_redirects=False)
    assert other.get("/", headers=named).status_code == 303


def test_a_window_that_only_shows_changes_nothing(house: House) -> None:
    id = house.keep(MAIL, "no handler")
    house.window.is_writable, house.window.development = False, None
    visitor = house.visitor()
    assert "Remove" not in visitor.get("/undeliverable").text
    for path in ("/undeliverable", "/outbox", "/states", "/timers", "/suppressed"):
        assert visitor.post(path, id=id, do="remove").status_code == 403
    for path in ("/write", "/mood", "/replay", "/test?with=a@example.com", "/errors"):
        assert visitor.get(path).status_code == 404
    assert house.kept.count() == 1


def test_every_answer_forbids_what_the_pages_do_not_need(house: House, visitor: Visitor) -> None:
    stranger = house.visitor(is_in=False)
    for answer in (visitor.get("/"), visitor.get("/nothing"), stranger.get("/login")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
        assert " onclick" not in answer.text


def test_too_much_is_refused(visitor: Visitor) -> None:
    answer = visitor.client.post("/write", content=b"", headers={"Content-Length": str(10**9)})
    assert answer.status_code == 413
    assert visitor.client.put("/").status_code == 405
    assert MAX_REQUEST < 10**8


@pytest.mark.parametrize(
    "values",
    [{"user_header": "X Y"}, {"proxies": ["nowhere"]}, {"listen": "nowhere"}],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Web(**values)


@pytest.mark.parametrize(
    ("web", "key"),
    [
        (Web("0.0.0.0:80"), "listen"),
        (Web(user_header="X-User"), "user_header"),
        (Web(secret="a", secret_file="b"), "secret"),
        (Web(secret=""), "secret"),
    ],
)
def test_settings_that_do_not_go_together_are_told(web: Web, key: str) -> None:
    found = web.problem()
    assert found is not None
    assert found[0] == key


def test_settings_that_go_together() -> None:
    assert Web("0.0.0.0:80", secret="x").problem() is None
    assert Web(user_header="X-User", proxies=["127.0.0.1"]).has_door
    assert not Web().has_door
    assert Settings(handlers=[]).web.problem() is None
