"""What submission is asked to report of a mail (RFC 3461): parameters of MAIL and RCPT.

For `submission`, where the server offers DSN. The header alone comes back with a report: of the
mail we know what we need.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^!-*,-<>-~]")  # what is to be written otherwise in xtext (section 4)
_LONGEST = 500  # characters of ORCPT (section 5.1)


def of_mail(envid: str) -> str:
    """The parameters of MAIL."""
    return f" RET=HDRS ENVID={_xtext(envid)}"


def of_recipient(notify: str, recipient: str) -> str:
    """The parameters of RCPT. Of an address in UTF-8 the original one is not told: it would need
    another form where SMTPUTF8 is offered and where it is not (RFC 6533 section 3)."""
    options = f" NOTIFY={notify}" if notify else ""
    if recipient.isascii():
        original = f" ORCPT=rfc822;{_xtext(recipient)}"
        if len(original) <= _LONGEST:
            options += original
    return options


def of_nobody(_recipient: str) -> str:
    """Nothing is asked for."""
    return ""


def _xtext(text: str) -> str:
    return _PLAIN.sub(lambda found: f"+{ord(found[0]):02X}", text)
