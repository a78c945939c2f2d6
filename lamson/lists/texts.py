"""What a list writes to people; an application may have other texts (`MailingList.texts`).

``$list`` is its address, ``$title`` how people call it, ``$owner`` the address of its owners; the
rest is said by each text itself. A name that is not there stays as it is written. No word that is
asked for has a line of its own: programs send back what they read, and not each marks it as quoted.
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamson.lists.mailing_list import MailingList

TEXTS = {
    "confirm": """\
Somebody, probably you, wants this address to get the mail of $list.
If it was you, answer this message with a line that has nothing in it but the word "yes".
If it was not you, do nothing.
""",
    "leave": """\
Somebody, probably you, wants this address to get no more mail of $list.
If it was you, answer this message with a line that has nothing in it but the word "yes".
If it was not you, do nothing.
""",
    "unclear": """\
Your answer has no line with nothing in it but the word "yes", so that nothing was done.
If you want it done, answer this message with such a line.
""",
    "welcome": """\
Welcome! Write to $list, and everybody on the list gets it.
To leave, write to $leave.
""",
    "goodbye": "You get no more mail of $list.\n",
    "stranger": "This address is not on the list $list.\n",
    "paused": """\
Mail of $list to this address has failed too often, so that no more is sent there.
The last time it was: $why
If you read this and want to get mail again, answer this message. Nothing is to be written in it.
""",
    "back": "You get the mail of $list again.\n",
    "refused": "Your message to $list was not sent to the list: $why.\n",
    "waits": "Your message to $list waits for a moderator.\n",
    "held": """\
A message of $author to $list waits: $why.

    Subject: $subject

Answer with a line that has nothing in it but the word "approve", or "reject".
It is attached. What nobody decides within thirty days is forgotten.
""",
    "decided": "The message of $author was $decision by $by.\n",
    "help": """\
Write to $list to reach everybody on it,
to $subscribe to get its mail, to $leave to get it no more,
and to $owner to reach its owners.

Who is on the list may write to $request, a line for each:

    set mail            each post as it comes
    set digest          all of a day in one
    set none            no posts, as for holidays
    set own on|off      your own posts too
    set copies on|off   posts that name you in To or Cc too
""",
}


def text(the_list: MailingList, which: str, **more: str) -> str:
    """The text called ``which``."""
    names = {
        "list": the_list.address,
        "title": the_list.title,
        "owner": the_list.at("owner"),
        "leave": the_list.at("leave"),
        "subscribe": the_list.at("subscribe"),
        "request": the_list.at("request"),
        **more,
    }
    return Template(the_list.texts.get(which) or TEXTS[which]).safe_substitute(names)
