"""lamson.postfix.sample: some addresses of every domain and every map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lamson.postfix import sample
from lamson.postfix.sample import ELSEWHERE, NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.postfix.paper import Paper


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("mydestination", "a.test, localhost", {f"{NOBODY}@a.test", "postmaster@localhost"}),
        ("relay_domains", "!a.test, inline:{b.test=x}", {f"{NOBODY}@a.test", f"{NOBODY}@b.test"}),
        ("transport_maps", "inline:{.c.test=x}", {f"{NOBODY}@lamson-proof.c.test"}),
        ("transport_maps", "inline:{*=x, joe@d.test=x}", {"joe@d.test", "postmaster@d.test"}),
        ("relay_recipient_maps", "inline:{@e.test=x}", {f"{NOBODY}@e.test"}),
        ("virtual_alias_maps", "inline:{i@f.test=j@g.test}", {"i@f.test", "j@g.test"}),
        ("alias_maps", "inline:{list.one=x}", {"list.one@mail.postfix.test"}),
        ("local_recipient_maps", "proxy:unix:passwd.byname", {"root@mail.postfix.test"}),
        ("virtual_mailbox_maps", "inline:{bob=x}", {"bob@mail.postfix.test"}),
        (
            "smtpd_recipient_restrictions",
            "permit_mynetworks, check_recipient_access inline:{h@i.test=REJECT}",
            {"h@i.test"},
        ),
    ],
)
def test_each_kind_of_key_makes_addresses(
    paper: Callable[..., Paper], name: str, value: str, expected: set[str]
) -> None:
    one = paper()
    one.main["myorigin"] = "mail.postfix.test"
    one.run("-e", f"{name}={value}")
    found = sample.of(one.site()).addresses
    assert expected <= set(found)
    assert f"{NOBODY}@{ELSEWHERE}" in found
    assert len(set(found)) == len(found)


def test_no_address_is_made_that_smtp_could_not_carry(paper: Callable[..., Paper]) -> None:
    one = paper()
    text = one.directory.parent / "odd"
    text.write_text('a<b@c.test x\n"q q"@d.test x\nx@e.test>\r x\n|prog@f.test x\n')
    one.run("-e", f"virtual_mailbox_maps=texthash:{text}")
    assert not [
        address for address in sample.of(one.site()).addresses if set(address) & set('<>"\r\n |')
    ]


def test_a_large_map_leaves_room_for_the_others(
    paper: Callable[..., Paper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = paper()
    large = tmp_path / "large"
    large.write_text("".join(f"u{number}@d{number}.test x\n" for number in range(5_000)))
    many = ", ".join(f"x{number}.test" for number in range(3_000))
    one.run("-e", f"relay_recipient_maps=texthash:{large}", f"relay_domains={many}")
    one.run("-e", "virtual_mailbox_maps=inline:{bob@boxes.test=x}")
    found = sample.of(one.site())
    assert sum("@x" in address for address in found.addresses) <= sample.MOST_OF_A_MAP
    monkeypatch.setattr(sample, "MOST", 300)
    found = sample.of(one.site())
    assert len(found.addresses) == sample.MOST
    assert "bob@boxes.test" in found.addresses
    assert [note for note in found.notes if "has 5000 keys" in note]
    assert [note for note in found.notes if f"{sample.MOST} are asked about" in note]


def test_what_cannot_be_listed_is_said(paper: Callable[..., Paper]) -> None:
    one = paper()
    one.run("-e", "virtual_mailbox_maps=ldap:/etc/x.cf")
    notes = sample.of(one.site()).notes
    assert [
        note for note in notes if note.startswith("virtual_mailbox_maps: ldap:/etc/x.cf cannot")
    ]
