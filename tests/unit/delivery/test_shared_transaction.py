"""lamson.delivery.run and transaction: a handler that would end the transaction of all, or set
options of the connection.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from lamson.storage.database import Database
from lamson.storage.failure import SharedTransactionError
from lamson.storage.tables import outbox as outbox_table
from lamson.storage.tables import seen
from tests.unit.delivery.jobs import Run, codes, rows, states, words
from tests.unit.support import make_message

HANDLER = """
    def driver(session):
        return session.connection().connection.driver_connection

    def ours(session):
        return session.connection().get_nested_transaction()._previous_nested._savepoint

    def mistake(session):
        {mistake}

    @route("(user)@(host)")
    def START(message, session: Session, delivery: Delivery, user, host):
        session.execute(text("INSERT INTO note VALUES (:word)"), {{"word": message.subject}})
        delivery.forward("joe@example.com")
        if message.subject == "two":
            {call}
        return "NEXT"

    @route("(user)@(host)")
    def NEXT(message, session: Session, user, host):
        raise RuntimeError("nobody gets here")
"""

ANYWHERE = [
    'session.execute(text("COMMIT"))',
    'session.execute(text("-- so\\n /* and so */ commit transaction;"))',
    'session.execute(text("END"))',
    'session.execute(text("ROLLBACK"))',
    'session.execute(text("BEGIN"))',
    'session.connection().exec_driver_sql("COMMIT")',
    'driver(session).execute("COMMIT")',
    'driver(session).cursor().execute("ROLLBACK")',
    "session.connection().connection.commit()",
    "driver(session).commit()",
    "driver(session).rollback()",
    "driver(session).close()",
    "driver(session).__exit__(None, None, None)",
    "session.connection().commit()",
    "session.connection().rollback()",
    "session.connection().close()",
    "session.connection().invalidate()",
    "session.connection().get_transaction().commit()",
    "session.connection().get_transaction().rollback()",
    "session.connection().get_transaction().close()",
    "session.invalidate()",
    "session.connection().detach()",
    "session.connection().connection.close()",
    "session.connection().connection.detach()",
    "session.connection().connection.invalidate()",
    "session.connection().get_nested_transaction().commit()",
    'session.execute(text("RELEASE SAVEPOINT " + ours(session)))',
]
ON_SQLITE = [
    'driver(session).executescript("SELECT 1;")',
    'driver(session).executescript("ROLLBACK;")',
    'driver(session).cursor().executescript("END TRANSACTION;")',
    "session.execute(text(\"INSERT OR ROLLBACK INTO note VALUES ('two')\"))",
    'session.execute(text("PRAGMA query_only=ON"))',
    'session.execute(text("CREATE TEMP TABLE lamson_state (nothing)"))',
    # What cannot be refused is noticed.
    '(driver(session).set_authorizer(None), driver(session).execute("COMMIT"))',
    '(driver(session).set_authorizer(None), driver(session).execute("ROLLBACK"))',
    "(driver(session).set_authorizer(None), "
    'driver(session).execute("COMMIT"), driver(session).execute("BEGIN"))',
    '(driver(session).set_authorizer(None), driver(session).execute("COMMIT"), session.rollback())',
    "(driver(session).set_authorizer(None), "
    'driver(session).execute("ROLLBACK"), session.rollback())',
]
ON_POSTGRES = [
    'session.execute(text("ABORT"))',
    'session.execute(text("START TRANSACTION"))',
    "session.execute(text(\"PREPARE TRANSACTION 'x'\"))",
    'driver(session).execute("SELECT 1; COMMIT")',
    "driver(session).execute(\"SELECT $a$;$a$, ';'; COMMIT; BEGIN\")",
    'driver(session).execute(b"COMMIT AND CHAIN")',
    "driver(session).execute('DO $$ BEGIN COMMIT; END $$')",
    'driver(session).cursor().copy("COMMIT").__enter__()',
    'session.execute(text("CREATE TEMP TABLE lamson_state (nothing text)"))',
    'driver(session).pgconn.exec_(b"COMMIT")',
    'driver(session).pgconn.exec_(b"ROLLBACK")',
    'driver(session).pgconn.exec_(b"COMMIT; BEGIN")',
    '(driver(session).pgconn.exec_(b"COMMIT"), session.rollback())',
    '(driver(session).pgconn.exec_(b"ROLLBACK"), session.rollback())',
]


def mail(word: str) -> Any:
    content = f"From: {word}@e.example\r\nSubject: {word}\r\n\r\n"
    return make_message(content.encode())


@pytest.mark.parametrize("mistake", [*ANYWHERE, *ON_SQLITE, *ON_POSTGRES])
@pytest.mark.parametrize("then", ["", "pass", "refuse"])
def test_a_handler_that_would_end_the_transaction_costs_nobody_else(
    make_run: Callable[..., Run],
    database: Database,
    caplog: pytest.LogCaptureFixture,
    mistake: str,
    then: str,
) -> None:
    """Those before it and after it are handled once, whatever becomes of it.

    Were the refusal taken as it is, what the batch writes after it would be committed at once, and
    done again later.
    """
    if mistake in (ON_POSTGRES if database.is_sqlite else ON_SQLITE):
        pytest.skip("the other database's")
    call = "mistake(session)"
    if then:
        call = f"try: {call}\n            except Exception: pass"
    if then == "refuse":
        call += '\n            raise SMTPError(550, "5.7.1", "no")'
    run = make_run(HANDLER.format(mistake=mistake, call=call))
    caplog.clear()
    keys: list[bytes | None] = [word * 32 for word in (b"1", b"2", b"3")]
    one, two, three = codes(
        run(mail("one"), mail("two"), mail("three"), keys=keys, to_the_end=True)
    )
    assert (one, three) == (250, 250)
    assert two in {"": (451,), "pass": (250, 451), "refuse": (550, 451)}[then]
    if two == 451:
        assert "START" in caplog.text or "answered 451" in caplog.text
    done = ["one", "three", *(["two"] if two == 250 else [])]
    assert sorted({*words(database), "two"}) == ["one", "three", "two"]
    assert states(database) == {f"{word}@e.example": "NEXT" for word in done}
    assert len(rows(database, seen)) == len(rows(database, outbox_table)) == len(done)


def test_a_test_sees_what_was_refused(make_run: Callable[..., Run]) -> None:
    source = HANDLER.format(mistake="session.connection().commit()", call="mistake(session)")
    with pytest.raises(SharedTransactionError, match="must not end the transaction"):
        make_run(source, raise_errors=True)(mail("two"))


OPTIONS_ON_SQLITE = [
    'session.execute(text("PRAGMA query_only=ON"))',
    'session.execute(text("PRAGMA main.query_only(1)"))',
    'driver(session).execute("PRAGMA reverse_unordered_selects=ON")',
]
OPTIONS_ON_POSTGRES = [
    'session.execute(text("SET search_path TO nowhere"))',
    'session.execute(text("SET LOCAL search_path TO nowhere"))',
    'session.execute(text("/* so */ set search_path to nowhere"))',
    "session.execute(text(\"SELECT set_config('search_path', 'nowhere', false)\"))",
    'driver(session).execute("SELECT 1; SET synchronous_commit TO off")',
    'session.execute(text("SET ROLE pg_read_all_data"))',
    'session.execute(text("SET TRANSACTION READ ONLY"))',
    'session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))',
]
SYNCHRONOUS = "SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'"


@pytest.mark.parametrize("mistake", [*OPTIONS_ON_SQLITE, *OPTIONS_ON_POSTGRES])
def test_options_that_a_handler_sets_reach_nobody_else(
    make_run: Callable[..., Run], database: Database, mistake: str
) -> None:
    if mistake in (OPTIONS_ON_POSTGRES if database.is_sqlite else OPTIONS_ON_SQLITE):
        pytest.skip("the other database's")
    run = make_run(HANDLER.format(mistake=mistake, call="mistake(session)"))
    first = codes(run(mail("one"), mail("two"), mail("three")))
    assert first == [250, 451 if database.is_sqlite else 250, 250]
    assert codes(run(mail("four"))) == [250]
    assert {"one", "three", "four"} <= set(words(database))
    if not database.is_sqlite:
        with database.begin() as connection:  # the one that the handler had
            assert connection.execute(text(SYNCHRONOUS)).scalar() == "on"


def test_a_handler_may_look_at_the_tables(make_run: Callable[..., Run]) -> None:
    look = "from sqlalchemy import inspect; inspect(session.connection()).get_columns('note')"
    run = make_run(HANDLER.format(mistake=look, call="mistake(session)"))
    assert codes(run(mail("two"))) == [250]
