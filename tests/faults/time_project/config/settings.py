"""The settings of the project whose time is under faults; the harness sets ports and database."""

from lamson.settings import Settings

settings = Settings(database="sqlite:///run/lamson.db", handlers=["app.handlers.ticking"])
