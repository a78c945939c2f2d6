"""The settings of the list server under faults; the harness sets ports and database."""

from lamson.settings import Settings

settings = Settings(
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.lists"],
    domains=["count.test"],
)
