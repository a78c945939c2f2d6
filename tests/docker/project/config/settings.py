"""The settings of the counting project; its containers set the rest."""

from lamson.settings import Settings

settings = Settings(
    handlers=["app.handlers.count"],
    domains=["count.test"],
    workers=1,
)
