"""lamson.delivery.job"""

from pathlib import Path

from lamson.delivery.job import Job
from tests.unit.support import make_message, make_router

HANDLERS = """
    @route("(user)@(host)")
    @stateless
    def ONE(message, user, host):
        pass

    @route("(whole)@test.com", whole=".+")
    @stateless
    def TWO(message, whole):
        pass
"""


def test_each_handler_sees_the_captures_of_its_own_route(tmp_path: Path) -> None:
    matches = make_router(tmp_path, HANDLERS).match("zed@test.com")
    job = Job(make_message(recipient="zed@test.com"), matches, None)
    captures = [job.message_for(match).recipient.captures for match in matches]
    assert captures == [{"user": "zed", "host": "test.com"}, {"whole": "zed"}]


def test_what_one_handler_does_to_its_captures_the_next_message_does_not_see(
    tmp_path: Path,
) -> None:
    (match, _) = make_router(tmp_path, HANDLERS).match("zed@test.com")
    job = Job(make_message(recipient="zed@test.com"), [match], None)
    captures = job.message_for(match).recipient.captures
    captures["user"] = "somebody else"  # type: ignore[index] # a handler may have no types
    assert job.message_for(match).recipient.captures["user"] == "zed"


def test_log_lines_call_it_by_mail_and_recipient() -> None:
    job = Job(make_message(queue_id="4QzXwN0Jk1z5tVb"), [], None)
    assert str(job) == "id=4QzXwN0Jk1z5tVb recipient=list@test.com"
