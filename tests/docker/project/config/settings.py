"""The settings of the counting project; its containers set the rest."""

from lamson.settings import Answers, Settings

settings = Settings(
    handlers=["app.handlers.count"],
    domains=["count.test"],
    workers=1,
    answers=Answers(per_domain=1_000_000),  # all of the load is from one
)
