"""lamson.storage.guard: what a handler sets on its connection ends with its transaction."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from lamson.storage.database import Database
from tests.unit.delivery.jobs import Run, codes, states
from tests.unit.delivery.test_shared_transaction import HANDLER, mail

ON_SQLITE = {
    "ATTACH ':memory:' AS other": ("SELECT count(*) FROM pragma_database_list", 1),
    "CREATE TEMP TABLE kept (x)": ("SELECT count(*) FROM sqlite_temp_master", 0),
}
ON_POSTGRES = {
    "SET synchronous_commit TO off": ("SHOW synchronous_commit", "on"),
    "SET default_transaction_read_only TO on": ("SHOW transaction_read_only", "off"),
    "SELECT set_config('statement_timeout', '1', false)": ("SHOW statement_timeout", "0"),
    "SELECT 1; SET statement_timeout TO 1": ("SHOW statement_timeout", "0"),
    "SELECT pg_advisory_lock(7)": ("SELECT count(*) FROM pg_locks WHERE locktype='advisory'", 0),
    "CREATE TEMP TABLE kept (x text)": ("SELECT to_regclass('kept') IS NULL", True),
}


@pytest.mark.parametrize("statement", [*ON_SQLITE, *ON_POSTGRES])
def test_a_setting_ends_with_its_transaction(
    make_run: Callable[..., Run], database: Database, statement: str
) -> None:
    question = (ON_SQLITE if database.is_sqlite else ON_POSTGRES).get(statement)
    if question is None:
        pytest.skip("the other database's")
    mistake = f"driver(session).execute({statement!r})"
    run = make_run(HANDLER.format(mistake=mistake, call="mistake(session)"))
    jobs = run(mail("one"), mail("two"), mail("three"), to_the_end=True)
    assert codes(jobs) == [250, 250, 250]
    asked, answer = question
    with database.begin() as connection:
        assert connection.execute(text(asked)).scalar() == answer


@pytest.mark.parametrize(
    "mistake",
    [
        "driver(session).row_factory = lambda *arguments: {{}}",
        "driver(session).text_factory = bytes",
    ],
)
def test_how_rows_are_made_is_not_for_handlers_to_say(
    make_run: Callable[..., Run], database: Database, mistake: str
) -> None:
    """Bookkeeping is read from the same connection, by its neighbours and by all later mail."""
    if "text_factory" in mistake and not database.is_sqlite:
        pytest.skip("SQLite's")
    run = make_run(HANDLER.replace("{mistake}", mistake).format(call="mistake(session)"))
    jobs = run(mail("one"), mail("two"), mail("three"), to_the_end=True)
    assert codes(jobs) == [250, 451, 250]
    assert codes(run(mail("four"), to_the_end=True)) == [250]
    assert states(database) == {f"{word}@e.example": "NEXT" for word in ("one", "three", "four")}


def test_a_cursor_of_another_kind_is_the_handlers_alone(
    make_run: Callable[..., Run], database: Database
) -> None:
    if database.is_sqlite:
        pytest.skip("PostgreSQL's")
    mistake = 'setattr(driver(session), "cursor_factory", __import__("psycopg").ClientCursor)'
    run = make_run(HANDLER.format(mistake=mistake, call="mistake(session)"))
    assert codes(run(mail("two"), to_the_end=True)) == [250]
    with database.begin_shared() as connection, pytest.raises(Exception, match="must not end"):
        connection.execute(text("COMMIT"))
