"""Sample filters: Postfix asks them while the sender's server is still connected.

Put `smtpd_milters = unix:PROJECT/sockets/milter.sock` into Postfix's main.cf; docs/milter.md has more.
"""

from lamson_milter import (
    Arrival,
    FilteredMail,
    Reject,
    Verdict,
    filter_message,
    filter_recipient,
)


@filter_recipient("guestbook@(host)")
def no_bounces(mail: Arrival, host: str) -> Verdict:
    """Nothing that we send to the guests asks for a bounce."""
    return Reject("5.7.1", "the guest book takes no bounces") if not mail.sender else None


@filter_message("guestbook@(host)")
def no_shouting(message: FilteredMail, host: str) -> Verdict:
    """The handler finds the note as message.notes["shouting"]."""
    is_shouting = message.body.isupper()
    message.add_header("X-Shouting", "yes" if is_shouting else "no")
    message.note("shouting", is_shouting)
    return None
