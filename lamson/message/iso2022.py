"""Text that switches between charsets by escape sequences, read as mail programs write it.

For `lamson.message.charset`, where Python's own codecs give up: they know neither NEC's nor IBM's
characters, which are everyday in Japanese mail, and one letter that they do not know costs the
whole text. ISO-2022-JP with all its relatives (RFC 1468, 1554, 2237), ISO-2022-KR (RFC 1557),
ISO-2022-CN (RFC 1922) and HZ (RFC 1843) are one thing here: a run of octets is decoded by the
character set that was chosen before it, what is no character becomes U+FFFD, and the rest stays.

Linear and total. Nothing is kept for a run once it is written.
"""

from __future__ import annotations

import codecs
import re
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Escape sequences (ISO 2022), and the shifts of the Korean and Chinese ones.
_SWITCH = re.compile(rb"\x1b(?:\$[()*+]?[@-~]|[()*+./-][@-~]|N|O)|[\x0e\x0f]|\r?\n")
_TILDE = re.compile(rb"~[{}~]|~\r?\n|\r?\n")
_HIGH = bytes(octet | 0x80 for octet in range(256))
_STEP = 1 << 16
_NO_CHARACTER = b"\x85\x40"  # nothing is there in Windows' table


def _one_for_two(error: UnicodeError) -> tuple[str, int]:
    """One U+FFFD for a pair that is no character, so that the next pair is read as one."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd", error.start + 2


_PAIRWISE = "lamson.pairwise"
codecs.register_error(_PAIRWISE, _one_for_two)


def _japanese(pairs: bytes) -> str:
    """JIS X 0208, with the rows that NEC and IBM have added, as Windows has them."""
    shifted = bytearray()
    for lead, trail in zip(pairs[::2], pairs[1::2], strict=False):
        if not (0x21 <= lead <= 0x7E and 0x21 <= trail <= 0x7E):
            shifted += _NO_CHARACTER
            continue
        row = (lead - 0x21) // 2
        shifted.append(row + (0x81 if row < 0x1F else 0xC1))
        if lead % 2:
            shifted.append(trail + (0x1F if trail < 0x60 else 0x20))
        else:
            shifted.append(trail + 0x7E)
    torn = "\ufffd" if len(pairs) % 2 else ""
    return bytes(shifted).decode("cp932", _PAIRWISE) + torn


def _supplement(pairs: bytes) -> str:
    """JIS X 0212 (RFC 2237). A pair that is no character is one U+FFFD."""
    octets = pairs.translate(_HIGH)
    spelt = (b"\x8f%b" % octets[at : at + 2] for at in range(0, len(octets), 2))
    return "".join(one if len(one) == 1 else "\ufffd" for one in map(_euc, spelt))


def _euc(octets: bytes) -> str:
    return octets.decode("euc_jp", "replace")


def _by(codec: str) -> Callable[[bytes], str]:
    return lambda octets: octets.translate(_HIGH).decode(codec, "replace")


def _plain(octets: bytes) -> str:
    """ASCII. The left half of JIS X 0201 differs in two characters, and mail means ASCII there."""
    return octets.decode("ascii" if octets.isascii() else "cp932", "replace")


# By the last octets of what chooses them. What is not here is left as it is.
_SETS: dict[bytes, Callable[[bytes], str]] = {
    b"(B": _plain,
    b"(J": _plain,
    b"(H": _plain,  # a mistake of old programs
    b"(I": _by("cp932"),  # half-width katakana
    b"$@": _japanese,
    b"$B": _japanese,
    b"$(B": _japanese,
    b"$(@": _japanese,
    b"$(D": _supplement,
    b"$A": _by("gb18030"),
    b"$(A": _by("gb18030"),
    b"$(C": _by("cp949"),
    b"$(O": _japanese,  # JIS X 0213: most of it is the same
    b"$(Q": _japanese,
}
_SHIFTED: dict[bytes, Callable[[bytes], str]] = {
    b"$)C": _by("cp949"),
    b"$)A": _by("gb18030"),
    b"$)G": _by("big5hkscs"),
}


def decode(data: bytes, *, shifted: str = "cp949", tilde: bool = False) -> str:
    """The text of ``data``.

    ``shifted`` is the codec of what follows a shift-out where nothing chose another; with ``tilde``
    it is HZ, in which ``~{`` begins Chinese and ``~}`` ends it.
    """
    text = StringIO(newline="")
    current: Callable[[bytes], str] = _plain
    out = _by(shifted)
    at = 0
    for switch in (_TILDE if tilde else _SWITCH).finditer(data):
        what = switch[0]
        _write(text, current, data[at : switch.start()])
        at = switch.end()
        if what.endswith(b"\n"):
            # RFC 1468 and 1843: a line begins in ASCII, and programs rely on that.
            text.write("" if what.startswith(b"~") else what.decode("ascii"))
            current = _plain
        elif what == b"\x0e":
            current = out
        elif what in (b"\x0f", b"~}"):
            current = _plain
        elif what == b"~{":
            current = _by("gb18030")
        elif what == b"~~":
            text.write("~")
        elif what[1:] in _SETS:
            current = _SETS[what[1:]]
        elif what[1:] in _SHIFTED:
            out = _SHIFTED[what[1:]]
    _write(text, current, data[at:])
    return text.getvalue()


def japanese(pairs: bytes) -> str:
    """EUC-JP's two octets a character as text, with NEC's and IBM's characters."""
    return _japanese(bytes(octet & 0x7F for octet in pairs))


def _write(text: StringIO, current: Callable[[bytes], str], octets: bytes) -> None:
    for at in range(0, len(octets), _STEP):
        text.write(current(octets[at : at + _STEP]))
