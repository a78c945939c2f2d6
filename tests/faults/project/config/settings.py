"""The settings of the project under faults; the harness sets ports and database."""

from lamson.settings import Answers, Settings

settings = Settings(
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.counting"],
    answers=Answers(per_mailbox=1_000, per_domain=1_000_000),  # all of the load is from one
)
