"""The how-to's main.cf and transport map, on a real Postfix, with a mailing list behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lamson.postfix import plan, transport, wanted
from lamson.routing.domains import Domains
from lamson.settings import Settings, Socketmap, Submission
from tests.docs.blocks import DOCS, blocks
from tests.intro.shell import Shell
from tests.postfix.instance import PostfixInstance, why_not
from tests.postfix.patient import site_of
from tests.postfix.sender import letter, send
from tests.service import LamsonService
from tests.waiting import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postfix.sink import Sink

HOWTO = "how-to/postfix.md"
# What the fixture keeps: its own transport map, which gets the page's lines.
OWN = {"transport_maps", "relay_domains"}
# What names an address or a domain: copied by hand, it is what goes stale.
ADDRESSED = {"relay_domains", "relay_recipient_maps", "transport_maps", "smtpd_milters"}


def settings_of(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _without_remarks(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() and not line.startswith("#"))


def the(language: str) -> str:
    [block] = [one for one in blocks(HOWTO) if one.language == language]
    return block.text


def add_service(postfix: PostfixInstance) -> None:
    with (postfix.base / "etc" / "master.cf").open("a") as master:
        master.write(the("master"))


def test_the_lines_stand_on_one_page() -> None:
    """The others point to it: nobody has to find out which of four copies is the newest."""
    root = DOCS.parent
    page_has = settings_of(the("main")) | settings_of(the("milter"))
    assert set(page_has) > ADDRESSED
    line = re.compile(
        # On a line of its own none of them; with an address or a domain of ours not even in a
        # sentence. `key = yes` may stand in one, that says what for.
        rf"^ *(?:{'|'.join(page_has)}) *=.*$|\b(?:{'|'.join(ADDRESSED)}) *= *\S+",
        re.MULTILINE,
    )
    pages = {root / "README.md", root / "postfix" / "README.md", *DOCS.rglob("*.md")}
    cells = DOCS / "explanation" / "scale.md"  # another map, by domain; tests/docker types it
    for file in pages - {DOCS / HOWTO, cells, *(DOCS / "decisions").iterdir()}:
        assert line.findall(file.read_text(encoding="utf-8")) == [], file
    for page in ("README.md", "docs/postfix.md", "docs/milter.md", "postfix/README.md"):
        assert HOWTO in (root / page).read_text(encoding="utf-8"), page
    assert len(the("main").splitlines()) <= 10


def test_the_files_to_copy_say_the_same() -> None:
    page = settings_of(the("main"))
    example = DOCS.parent / "postfix" / "example"
    common = settings_of(_without_remarks(example / "common.cf"))
    assert {key: value for key, value in page.items() if key in common} == common
    asked = settings_of(_without_remarks(example / "2-socketmap.cf"))
    tables = settings_of(_without_remarks(example / "1-tables.cf"))
    wanted = page["relay_recipient_maps"].replace(r"lists\.example\.com", "OURS")
    assert _of_one_domain(asked["relay_recipient_maps"]) == wanted
    assert _of_one_domain(tables["relay_recipient_maps"]) == re.sub(
        r"socketmap:[^}]*", "regexp:${config_directory}/lamson/recipients", wanted
    )
    assert set(page) == set(common) | set(asked)
    services = _without_remarks(example / "master.cf")
    assert services.startswith(the("master"))
    assert settings_of(the("milter")) == settings_of(_without_remarks(example / "3-milter.cf"))


def test_the_tables_are_written_where_the_lines_look() -> None:
    postfix = DOCS.parent / "postfix"
    recipe = postfix / "example" / "1-tables.cf"
    read = re.findall(r"\bregexp:(\S+)/\w+", _without_remarks(recipe))
    [directory] = {path.replace("${config_directory}", "/etc/postfix") for path in read}
    for text in (recipe, postfix / "README.md"):
        assert f"lamson postfix maps -directory {directory}" in text.read_text(encoding="utf-8")


def test_the_readme_has_the_settings_of_the_howto() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    howto = (DOCS / HOWTO).read_text(encoding="utf-8")
    for line in (
        'submission=Submission("127.0.0.1:25"),',
        'lmtp=Lmtp("unix:sockets/lmtp", socket_group="postfix"),',
        'socketmap=Socketmap("unix:sockets/socketmap", socket_group="postfix"),',
        "postconf -F smtp/inet/chroot=n",
    ):
        assert line in readme
        assert line in howto


def _of_one_domain(value: str) -> str:
    return value.replace(r"([@.]lists\.test|[@.]app\.test)", "[@.]OURS").replace(
        r"(lists\.test|app\.test)", "OURS"
    )


@pytest.mark.postfix
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "Postfix is here")
def test_by_hand_it_is_what_the_command_would_do() -> None:
    page = settings_of(the("main"))
    domain, next_hop = the("transport").split()
    settings = Settings(
        handlers=["app"],
        socketmap=Socketmap("127.0.0.1:8824"),
        submission=Submission("127.0.0.1:25"),
        domains=[domain],
    )
    domains = Domains([], settings.domains)
    own = {key: value for key, value in page.items() if key not in OWN}
    postfix = PostfixInstance(sink_port=1, routes={domain: next_hop}, main=own)
    try:
        add_service(postfix)
        site = replace(site_of(settings, postfix.base / "etc"), domains=domains)
        [service] = transport.wanted(site)
        assert service.entry == " ".join(the("master").split())
        assert plan.make(site, wanted.of_main(site), [service]) == []
    finally:
        postfix.close()


@pytest.mark.slow
@pytest.mark.postfix
def test_a_list_behind_a_postfix_so_configured(
    make_postfix: Callable[..., PostfixInstance], sink: Sink, tmp_path: Path
) -> None:
    with Shell(tmp_path) as shell:
        assert shell.enter("lamson gen -from empty -project lists").status == 0
        for block in blocks("how-to/mailing-list.md"):
            if block.file:
                (tmp_path / "lists" / block.file).write_text(block.text)
        for line in ("cd lists", "lamson syncdb", "lamson syncdb -revise all", "lamson syncdb"):
            assert shell.enter(line).status == 0

    asked = f"127.0.0.1:{free_port()}"
    lamson = LamsonService(
        tmp_path / "lists",
        LAMSON_ROUTE_DEFAULTS__HOST=r"lists\.example\.com",
        LAMSON_SOCKETMAP__LISTEN=asked,
    )
    page = settings_of(the("main").replace("127.0.0.1:8824", asked))
    domain, next_hop = the("transport").replace("8823", str(lamson.port)).split()
    assert page["relay_domains"] == domain
    postfix = make_postfix(
        routes={domain: next_hop},
        main={key: value for key, value in page.items() if key not in OWN},
        incoming={
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        },
    )
    postfix.stop()
    add_service(postfix)
    postfix.start()
    lamson.environment["LAMSON_SUBMISSION__SERVER"] = f"127.0.0.1:{postfix.submission_port}"
    with lamson:
        sent = send(
            postfix.smtp_port,
            "zed@sender.example",
            "users-subscribe@lists.example.com",
            "nolist-subscribe@lists.example.com",
            "joe@elsewhere.example",
        )
        assert [code for code, _ in sent.recipients.values()] == [250, 550, 554]
        [question] = sink.wait(to="zed@sender.example")
        assert question.message["Subject"] == "Please confirm"
        send(postfix.smtp_port, "zed@sender.example", question.message["From"], body="Yes\r\n")
        _, welcome = sink.wait(2, to="zed@sender.example")
        assert welcome.message["Subject"] == "Welcome"
        spammer = "spammer@evil.example"
        forged = letter("zed@sender.example", "users@lists.example.com", body="yes\r\n")
        for name in ("users", "users-unsubscribe"):
            sent = send(postfix.smtp_port, spammer, f"{name}@lists.example.com", content=forged)
        unsigned = "users-leave-0123@lists.example.com"
        refused = send(postfix.smtp_port, spammer, unsigned, content=forged)
        assert [code for code, _ in refused.recipients.values()] == [550]
        sink.wait(2, to=spammer)
        assert len(sink.to("zed@sender.example")) == 2
        assert lamson.wait_log("received", sent.queue_id)
        postfix.wait_empty()
