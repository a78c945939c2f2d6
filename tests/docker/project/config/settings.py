"""The settings of the counting project; its containers set the rest."""

from lamson.settings import Answers, Settings

settings = Settings(
    handlers=["app.handlers.count", "app.handlers.turns"],
    domains=["count.test", "moved.test"],
    route_defaults={"host": r"(count|moved)\.test"},
    workers=1,
    answers=Answers(per_domain=1_000_000),  # all of the load is from one
)
