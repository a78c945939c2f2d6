"""The lists: every name is one, as soon as somebody has made it."""

from lamson.lists import MailingList, memberships
from sqlalchemy.orm import Session

HOST = "test.com"
SITE = "https://lists.test.com"
OPERATOR = "operator@example.org"
STAFF = {"abuse", "hostmaster", "postmaster", "security", "webmaster"}  # are no lists
MOST = 20  # lists of one owner


def named(name: str) -> MailingList:
    """A value: it costs nothing to make one for each mail."""
    name = name.lower()
    return MailingList(
        f"{name}@{HOST}",
        max_size=500_000,
        one_click=f"{SITE}/leave/",
        archive_url=f"{SITE}/archive/{name}",
    )


def at(address: str) -> MailingList:
    """The one with that address."""
    return named(address.partition("@")[0])


def may_found(db: Session, who: str) -> bool:
    """Whether he owns few enough."""
    return len([one for one in memberships(db, who) if one.is_owner]) < MOST
