"""Pages of `lamson dev`: to write as anybody, to replay, to make submission fail, "as test"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse

from lamson.errors import LamsonError
from lamson.web import story
from lamson.web.as_test import as_test, file_name
from lamson.web.development import MOODS
from lamson.web.pages.mail import found_mail, saved
from lamson.web.view import link, mark, missing, show, tell, text, window_of
from lamson.web.writing import Draft, answer_to, compose

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from lamson.web.development import Development, Mood

_MOST_FILE = 20 * 1024 * 1024  # octets


def write(request: Request) -> Response:
    """The form for a mail: empty, or an answer to one that the application sent."""
    id = request.query_params.get("answer", "")
    author = request.query_params.get("from", "")[:320]
    draft = Draft(
        sender=author or "zed@example.com",
        to=request.query_params.get("to", "")[:320],
    )
    if id:
        mail, message, _ = found_mail(request, id)
        draft = answer_to(message, author or next(iter(mail.correspondents), ""), id)
    return show(request, "write.html", "Write a mail", draft=draft, problem="")


def send(request: Request, form: FormData) -> str | Response:
    """Hand the mail of the form to the service."""
    draft = Draft(
        **{name: text(form, name) for name in ("sender", "to", "cc", "subject", "body", "html")},
        answers=text(form, "answers"),
        files=_files(form),
    )
    try:
        answered = found_mail(request, draft.answers)[1] if draft.answers else None
        sender, recipients, copied, content = compose(draft, answered)
        _deliver(request, sender, recipients, content, copied)
    except (LamsonError, ValueError) as error:
        return show(request, "write.html", "Write a mail", 422, draft=draft, problem=str(error))
    return link("/with", **{"with": sender})


def replay(request: Request, form: FormData) -> str:
    """Hand a mail over once more, as it came."""
    mail, _, content = found_mail(request, text(form, "id"))
    if mail.lack:
        raise LamsonError(f"it cannot be handed over again: {mail.lack}")
    sender = next(iter(mail.correspondents), "")
    _deliver(request, sender, list(mail.ours), content)
    return link("/with", **{"with": sender})


def set_mood(request: Request, form: FormData) -> str:
    """Say what the catching server does from now on with what the application sends."""
    mood: Mood = next((one for one in MOODS if one == text(form, "mood")), "accept")
    _development(request).mood = mood
    tell(request, _MOODS[mood])
    return text(form, "back") or "/"


_MOODS = {
    "accept": "Mail of the application is taken again",
    "refuse": "Mail of the application is refused for good (550) from now on",
    "delay": "Mail of the application is put off (451) from now on: it waits in the outbox",
    "bounce": "Mail of the application is taken, and comes back as a bounce",
}


def faults(request: Request) -> Response:
    """What went wrong in the code, with the lines that did it."""
    found = _development(request).faults
    return show(request, "faults.html", "Errors", faults=found.all())


def clear_faults(request: Request, form: FormData) -> str:
    """Forget them."""
    _development(request).faults.clear()
    return "/errors"


def test(request: Request) -> Response:
    """A conversation as a test."""
    who = request.query_params.get("with", "")[:320]
    mails = window_of(request).mails
    if not mails.page(1, correspondent=who).mails:
        missing("There is no mail with this correspondent")
    code = as_test(who, story.tell(mails, who))
    if request.query_params.get("save") == "1":
        return saved(code.encode(), file_name(who), "text/plain")
    return show(request, "test.html", f"{who} as a test", who=who, code=code, name=file_name(who))


def pulse(request: Request) -> Response:
    """Whether the page that asks is old: for the little JavaScript that there is."""
    window = window_of(request)
    development = window.development
    state = development.state() if development else ""
    return JSONResponse({"mark": mark(window), "state": state})


def _deliver(
    request: Request,
    sender: str,
    recipients: list[str],
    content: bytes,
    copied: Collection[str] = (),
) -> None:
    answers = _development(request).deliver(sender, recipients, content, copied)
    for one in answers:
        tell(request, f"{one.recipient}: {one.code} {one.text}")


def _files(form: FormData) -> list[tuple[str, str, bytes]]:
    found = []
    for one in form.getlist("files"):
        if isinstance(one, UploadFile) and one.filename:
            data = one.file.read(_MOST_FILE + 1)
            if len(data) > _MOST_FILE:
                raise ValueError(f"{one.filename} is larger than 20 MB")
            found.append((one.filename, one.content_type or "application/octet-stream", data))
    return found


def _development(request: Request) -> Development:
    development = window_of(request).development
    if development is None:
        missing("That is for `lamson dev`")
    return development
