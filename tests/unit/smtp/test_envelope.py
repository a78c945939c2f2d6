"""lamson.smtp.envelope"""

import pytest

from lamson.smtp.envelope import Daemon, Envelope, Peer, QueueId, Recipient, Sasl, Tls


@pytest.mark.parametrize("text", ["4QzXwN0Jk1z5tVb", "3Pt2mN2VXxznjll", "4bXYZ12345z2B"])
def test_long_queue_ids(text: str) -> None:
    assert QueueId(text).is_long


def test_a_long_queue_id_tells_the_time() -> None:
    """By the digits that Postfix itself uses: 28 November 2026, 20:14:55 UTC."""
    assert QueueId("4jcM2l6H2ZzKfZC").microseconds == 1795896895_884342
    # Later ones sort behind, whatever the inode.
    assert QueueId("4jcM2l6H2bz1").microseconds == 1795896895_884343


@pytest.mark.parametrize("text", ["", "A1B2C3D4E5", "3F2A19C0B7", "4QzXwN0Jk1", "-", "zzzz"])
def test_short_queue_ids_and_none(text: str) -> None:
    assert not QueueId(text).is_long


def test_the_queue_id_is_the_peers_ident() -> None:
    assert Envelope("a@b", peer=Peer(ident=QueueId("ABC"))).queue_id == "ABC"
    assert Envelope("a@b").queue_id == ""


def test_a_recipient_reads_as_its_address() -> None:
    assert str(Recipient("x@y", {"user": "x"})) == "x@y"


def test_what_a_peer_was_not_told_is_false() -> None:
    assert not any((Sasl(), Tls(), Daemon()))
    assert Sasl("zed")
    assert Tls("TLSv1.3")
    assert Daemon("submission")
    assert Peer(sasl=Sasl("zed")).is_authenticated
    assert not Peer(sasl=Sasl(author="zed")).is_authenticated
    assert Peer(source="LOCAL").is_local
    assert not Peer().is_local
