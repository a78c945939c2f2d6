"""The settings; `lamson config` shows all of them, and where each comes from."""

from lamson.settings import Lmtp, Settings, Submission

settings = Settings(
    lmtp=Lmtp("127.0.0.1:8823"),
    submission=Submission("127.0.0.1:8899"),
    database="sqlite:///run/lamson.db",
    authserv_id="mail.test.com",
    handlers=["app.handlers.lists"],
    route_defaults={"host": r"test\.com", "name": "[a-z][a-z0-9]{1,29}"},
)
