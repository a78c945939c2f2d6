"""The settings; `lamson config` shows all of them, and where each comes from."""

from lamson.settings import Lmtp, Settings, Submission

settings = Settings(
    lmtp=Lmtp("127.0.0.1:8823"),
    submission=Submission("127.0.0.1:8899"),
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.helpdesk"],
    route_defaults={"host": r"test\.com"},
)
