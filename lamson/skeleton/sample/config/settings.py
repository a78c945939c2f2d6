"""The settings; `lamson config` shows all of them, and where each comes from."""

from lamson.settings import Lmtp, Settings, Submission

settings = Settings(
    # Where Postfix delivers to.
    lmtp=Lmtp("127.0.0.1:8823"),
    # Where answers and forwarded mail go: here to `lamson log`. In production to Postfix:
    # Submission("mail.example.com:587", user="lamson"), with the password in the file
    # config/secrets/lamson_submission__secret.
    submission=Submission("127.0.0.1:8899"),
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.sample"],
    # What a name in a route stands for, unless the route says so itself.
    route_defaults={"host": r"(localhost|test\.com)"},
)
