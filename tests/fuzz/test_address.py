"""Addresses against anything: only AddressError, and canonical forms that stay as they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lamson.errors import AddressError
from lamson.smtp import address

# Texts made of what addresses are made of go deeper than texts of any characters.
_parts = st.one_of(
    st.sampled_from(list('aB.@"\\<>()[]:;,+-=_\0\u00e9\u0130\udc80')),
    st.sampled_from(["zed", "..", "~2e", "192.0.2.1", "IPv6:", "::1", "x.example", "postmaster"]),
)
_blanks = st.sampled_from([" ", "\t", "\r\n"])
texts = st.one_of(st.text(), st.lists(_parts | _blanks, max_size=25).map("".join))
atoms = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-.\u00e9 @\"\\", min_size=1, max_size=20)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=3).map(".".join)


@st.composite
def mailboxes(draw: st.DrawFn) -> str:
    """A valid mailbox, its local part in quotes."""
    escaped = draw(atoms).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@{draw(domains)}'


@given(texts, st.booleans(), st.booleans())
def test_a_path_is_canonical_or_refused(text: str, smtputf8: bool, null: bool) -> None:
    for path in (text, f"<{text}>"):
        try:
            found = address.parse_path(path, smtputf8=smtputf8, null=null)
        except AddressError:
            continue
        assert address.parse_path(f"<{found}>", smtputf8=smtputf8, null=null) == found
        assert not set(found) & set("\r\n\0")
        assert len(found.encode()) <= address.MAX_PATH - 2


@given(texts)
def test_mailboxes_and_paths_agree(text: str) -> None:
    try:
        found = address.parse_mailbox(text, smtputf8=True)
    except AddressError:
        return
    assert address.parse_path(f"<{text}>", smtputf8=True) == found


@given(texts)
def test_a_from_field_gives_one_valid_address_or_none(text: str) -> None:
    found = address.single_mailbox(text)
    if found is not None:
        assert address.parse_mailbox(found, smtputf8=True) == found


@given(mailboxes(), st.sampled_from(["{}", "Zed <{}>", '"Shaw, Z" <{}>', "(c {{) <{}> (d)"]))
def test_every_mailbox_is_found_in_a_from_field(mailbox: str, form: str) -> None:
    canonical = address.parse_mailbox(mailbox, smtputf8=True)
    assert address.single_mailbox(form.format(mailbox)) == canonical


@given(texts)
def test_split_takes_anything(text: str) -> None:
    local, domain = address.split(text)
    assert text in (local, f"{local}@{domain}")
