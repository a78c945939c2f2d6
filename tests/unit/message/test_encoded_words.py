"""Values of header fields as text: unfolded, encoded words decoded, always one line."""

from __future__ import annotations

import pytest

from lamson.message.defects import Defects
from lamson.message.encoded_words import MAX_VALUE, decode_words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"two\r\n lines", "two lines"),
        (b"two\n\tlines", "two\tlines"),
        ("Grüße".encode(), "Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?UTF-8?Q?a_b?=", "a b"),
        (b"=?utf-8?b?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?iso-8859-1*de?q?Gr=FC=DFe?=", "Grüße"),
        (b"Re: =?utf-8?q?=C3=BC?= and", "Re: ü and"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?=\r\n =?iso-8859-1?q?=FC?=", "aü"),
        (b"=?utf-8?b?w7w=?= x =?utf-8?b?w7w=?=", "ü x ü"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),  # a character cut in two
    ],
)
def test_right_ones(value: bytes, text: str) -> None:
    defects = Defects()
    assert decode_words(value, defects, "Subject") == text
    assert not defects


@pytest.mark.parametrize(
    ("value", "text", "defect"),
    [
        (b"=?utf-8?q?open", "=?utf-8?q?open", "malformed encoded word"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?=", "malformed encoded word"),
        (b"=?utf-8?b?YWJjZ?=", "abc", "bad base64 in an encoded word"),
        (b"=?utf-8?b?YW!Jj?=", "abc", None),
        (b"=?x-no?q?abc?=", "abc", "unknown charset 'x-no'"),
        (b"=?utf-8?q?a=0D=0ABcc:_x?=", "a Bcc: x", "holds a line break or NUL"),
        (b"a\rb\0c", "a b c", "holds a line break or NUL"),
        (b"Gr\xfc\xdfe", "Grüße", "not valid in charset 'utf-8'"),
    ],
)
def test_wrong_ones(value: bytes, text: str, defect: str | None) -> None:
    defects = Defects()
    assert decode_words(value, defects, "Subject") == text
    assert list(defects) == ([f"header field subject: {defect}"] if defect else [])


def test_a_long_value_is_given_as_it_is() -> None:
    value = b"=?utf-8?q?x?= " * MAX_VALUE
    defects = Defects()
    assert decode_words(value, defects, "To") == value.decode()
    assert list(defects) == [
        "header field to: longer than 8192 octets, encoded words left as they are"
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"=?utf-8?Q?Really??=", "Really?"),
        (b"=?utf-8?Q?a b?=", "a b"),
        (b"=?utf-8?Q?a=3D=3F?= =?utf-8?Q?=3Db?=", "a=?=b"),
        (b"=?utf-8?B?SGVsbG8=IHdvcmxk?=", "Hello world"),
        (b"=?utf-8?B?SGVsbG8K?=", "Hello"),
        (b"=?utf-8?B?w?= =?utf-8?Q?=C3?=\r\n =?utf-8?Q?=BC?=", "ü"),
        (b"=?iso-8859-1?Q?Fr\xf6sche?=", "Frösche"),
        (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe_M=C3?=", "Grüße M\ufffd"),
        (b"=?iso-2022-jp?b?GyRCLSEbKEI=?=", "①"),
        (b"=?shift_jis?b?h0CHiu7gi7Q=?=", "①㈱髙橋"),
        (b"\x1b$BF|K\\\x1b(B", "日本"),
    ],
)
def test_what_programs_send(value: bytes, text: str) -> None:
    assert decode_words(value, Defects(), "Subject") == text
