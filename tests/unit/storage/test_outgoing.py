"""lamson.storage.outgoing; what a row holds is tested with the outbox."""

import pytest

from lamson.errors import LamsonError
from lamson.storage.outgoing import MAX_CONTENT, Outgoing


def test_a_message_that_could_not_be_kept_is_refused_where_it_is_made() -> None:
    """Not by the database, with the work of all neighbours."""
    content = bytes(MAX_CONTENT + 1)
    with pytest.raises(LamsonError, match=f"<1@test> of {len(content)} octets is too big"):
        Outgoing("4Qz", "<1@test>", "", ("zed@b.example",), content)


def test_a_conversation_is_one_however_its_addresses_are_spelt() -> None:
    """Its rows go out in order."""
    one, other = (
        Outgoing("4Qz", "<1@test>", f"list@{ours}", recipients, b"")
        for ours, recipients in (
            ("test.com", ("zed@b\u00fccher.example", "joe@test.com")),
            ("Test.com", ("Joe@test.com", "Zed@xn--bcher-kva.example")),
        )
    )
    assert one.conversation == other.conversation


def test_tracked_mail_to_one_is_a_conversation_though_its_senders_differ() -> None:
    one, other = (
        Outgoing("4Qz", "<1@test>", f"bounces+{id}@test.com", ("a@b.example",), b"", envid=id)
        for id in ("one", "other")
    )
    assert one.conversation == other.conversation
