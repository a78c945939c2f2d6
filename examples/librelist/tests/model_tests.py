"""The tables of the application."""


def test_the_migrations_make_what_the_models_say(model_differences: list[str]) -> None:
    assert model_differences == []  # else: lamson syncdb -revise "what changed"
