"""The settings of the stories; the tests set ports through the environment."""

from lamson.settings import Settings

settings = Settings(
    database="sqlite:///run/lamson.db",
    handlers=["app.handlers.lists", "app.handlers.app", "app.handlers.invitations"],
    route_defaults={"host": r"lists\.test", "list_name": "[a-z][a-z0-9]*"},
)
