"""lamson.delivery.dispatcher, without a database; what it commits is tests/unit/delivery."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from lamson.delivery.chore import Chore
from lamson.delivery.dispatcher import Dispatcher
from lamson.delivery.job import Job
from lamson.delivery.run import Handlers
from lamson.delivery.transaction import Transactions
from lamson.routing.signing import Signer
from lamson.smtp.envelope import Envelope, Peer, QueueId
from lamson.smtp.reply import OK, Reply
from lamson.storage import seen_key
from lamson.storage.outgoing import Outgoing
from lamson.storage.suspects import TOO_OFTEN, Suspects
from tests.unit.support import make_router

LONG = QueueId("4QzXwN0Jk1z5tVb")
CONTENT = b"From: z@e.example\r\n\r\nx\r\n"

HANDLERS = """
    import sys
    hooks = sys.modules[__name__]
    ran = []

    @route("(user)@(host)")
    @stateless
    def handle(message, user, host):
        ran.append(user)
        if user == "slow":
            hooks.gate.wait(10)
        if user == "bad":
            raise RuntimeError("broken")
"""


def name_of(recipient: str) -> bytes:
    """What the delivery under the long queue id is called."""
    source = seen_key.source(Envelope("z@e.example", peer=Peer(ident=LONG)), CONTENT)
    assert source is not None
    return source.key("z@e.example", recipient).name


class Bench:
    """A dispatcher and the replies it gave."""

    def __init__(self, dispatcher: Dispatcher, hooks: Any) -> None:
        self.dispatcher, self.hooks = dispatcher, hooks
        self.replies: dict[tuple[int, int], Reply] = {}
        self.again = ""
        self._message = 0
        self._changed = asyncio.Event()

    def deliver(self, *recipients: str, queue_id: str = "") -> int:
        self._message += 1
        number = self._message
        envelope = Envelope("z@e.example", recipients, Peer(ident=QueueId(queue_id)))

        def done(index: int, reply: Reply) -> None:
            assert (number, index) not in self.replies
            self.replies[number, index] = reply
            self._changed.set()

        routed = [self.dispatcher.route(one) for one in recipients]
        self.dispatcher.deliver(envelope, CONTENT, routed, done, again=self.again)
        return number

    async def wait_for(self, count: int) -> list[int]:
        async with asyncio.timeout(10):
            while len(self.replies) < count:
                self._changed.clear()
                await self._changed.wait()
        return [self.replies[key].code for key in sorted(self.replies)]


@asynccontextmanager
async def running(
    directory: Path,
    *,
    source: str = HANDLERS,
    transactions: Callable[[Handlers], Any] = Transactions,
    **options: Any,
) -> AsyncIterator[Bench]:
    router = make_router(directory, source)
    hooks = __import__("sys").modules[router.modules[0]]
    hooks.gate = threading.Event()
    made = transactions(Handlers(router, hostname="mx.test.com"))
    dispatcher = Dispatcher(router, made, **{"threads": 2, **options})
    dispatcher.start(asyncio.get_running_loop())
    try:
        yield Bench(dispatcher, hooks)
    finally:
        hooks.gate.set()
        dispatcher.stop()


def test_each_recipient_has_one_reply(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as bench:
            bench.deliver("a@test.com", "bad@test.com", "c@test.com")
            assert await bench.wait_for(3) == [250, 451, 250]
            assert bench.dispatcher.pending == 0

    asyncio.run(story())


def test_what_a_token_matches_is_asked_anew_each_time(tmp_path: Path) -> None:
    source = """
        @stateless
        @route("(user)-(token)@(host)", token=Signed("a"))
        @route("(user)@(host)")
        def handle(message, user, host, token=""): ...
    """
    signer = Signer(lambda: (b"k",), clock=lambda: now)
    router = make_router(tmp_path, source, signer)
    dispatcher = Dispatcher(router, Transactions(Handlers(router, hostname="mx.test.com")))
    now = 1_700_000_000.0
    token, said = router.purposes.sign("a", "payload")
    (match,) = dispatcher.route(f"zed-{token}@test.com")
    assert match.captures["token"] == "payload"
    now = said.expires
    assert dispatcher.route(f"zed-{token}@test.com") == ()
    assert dispatcher.route("zed@test.com")
    for letters in product("abc", repeat=5):
        assert not dispatcher.route(f"zed-{token}{''.join(letters)}@test.com")
    assert dispatcher._match.cache_info().currsize == 1


def test_one_recipient_twice_runs_once_and_is_answered_twice(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as bench:
            bench.deliver("a@test.com", "A@test.com", "b@test.com")
            assert await bench.wait_for(3) == [250, 250, 250]
            assert sorted(bench.hooks.ran) == ["a", "b"]

    asyncio.run(story())


def test_an_attempt_that_overlaps_is_told_to_come_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as bench:
            bench.deliver("slow@test.com", queue_id=LONG)
            bench.deliver("slow@test.com", queue_id=LONG)
            assert await bench.wait_for(1) == [451]
            bench.hooks.gate.set()
            assert await bench.wait_for(2) == [250, 451]
            assert bench.hooks.ran == ["slow"]

    asyncio.run(story())


def test_a_slow_handler_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path) as bench:
            bench.deliver("slow@test.com")
            for _ in range(50):
                bench.deliver("quick@test.com")
            await bench.wait_for(50)
            assert (1, 0) not in bench.replies
            bench.hooks.gate.set()
            assert await bench.wait_for(51) == [250] * 51

    asyncio.run(story())


def test_a_handler_past_its_deadline_is_answered_451(tmp_path: Path) -> None:
    async def story() -> None:
        stuck = asyncio.Event()
        async with running(tmp_path, deadline=0.0, on_stuck=stuck.set) as bench:
            bench.deliver("slow@test.com")
            assert await bench.wait_for(1) == [451]
            assert stuck.is_set()

    asyncio.run(story())


def test_an_instantaneous_handler_answers_before_deliver_returns(tmp_path: Path) -> None:
    source = """
        ran = []

        @route("(user)@(host)")
        @stateless
        def handle(message, user, host):
            ran.append(user)
            message.recipient.captures["user"] = "somebody else"
            if user == "bad":
                raise RuntimeError("broken")
    """

    async def story() -> None:
        async with running(tmp_path, source=source, is_inline=True, run_dir=tmp_path) as bench:
            for count in range(1, 30):  # until it is known to be instantaneous
                bench.deliver("a@test.com")
                await bench.wait_for(count)
            (handler,) = [match.handler for match in bench.dispatcher.route("a@test.com")]
            # Whatever else the machine did meanwhile.
            bench.dispatcher._costs._seconds[handler] = 0.0
            number = bench.deliver("a@test.com", "A@test.com", "bad@test.com")
            codes = [bench.replies[number, index].code for index in range(3)]
            assert codes == [250, 250, 451]
            assert bench.hooks.ran[-2:] == ["a", "bad"]

    asyncio.run(story())


DOUBTFUL = Outgoing("4Qz", "<1@test>", "l@test.com", ("zed@example.com",), b"x\r\n", id=42)


class BrokenDatabase:
    """Transactions whose database is gone."""

    def __init__(self, handlers: Handlers) -> None:
        self.outgoing: deque[Outgoing] = deque()
        self.doubtful: deque[Outgoing] = deque()

    def run(self, jobs: list[Job], record: object) -> None:
        self.doubtful.append(DOUBTFUL)
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))


def test_the_loop_never_waits_for_the_state_that_a_slow_handler_has(tmp_path: Path) -> None:
    source = """
        import sys
        hooks = sys.modules[__name__]
        ran = []

        @route("slow@(host)")
        def START(message, host):
            ran.append("slow")
            hooks.gate.wait(10)

        @route("(user)@(host)")
        def OTHER(message, user, host):
            pass

        @route("(user)@(host)")
        @stateless
        def note(message, user, host):
            pass
    """

    async def story() -> None:
        async with running(tmp_path, source=source, is_inline=True) as bench:
            for count in range(1, 30):  # until it is known to be instantaneous
                bench.deliver("a@test.com")
                await bench.wait_for(count)
            bench.deliver("slow@test.com")
            async with asyncio.timeout(10):
                while not bench.hooks.ran:
                    await asyncio.sleep(0.01)
            began = time.monotonic()
            bench.deliver("a@test.com")
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 5
            bench.hooks.gate.set()
            await bench.wait_for(31)

    asyncio.run(story())


class Listening:
    """An outlet that notes what it is told, and may raise then."""

    def __init__(self, surprise: Exception | None = None) -> None:
        self.told: list[tuple[str, Sequence[Outgoing]]] = []
        self.surprise = surprise

    def submit(self, rows: Sequence[Outgoing]) -> None:
        self._listen("submit", rows)

    def give_back(self, rows: Sequence[Outgoing]) -> None:
        self._listen("give back", rows)

    def _listen(self, what: str, rows: Sequence[Outgoing]) -> None:
        self.told.append((what, rows))
        if self.surprise is not None:
            raise self.surprise


def test_a_database_that_fails_means_451(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outlet = Listening()

    async def story() -> None:
        async with running(tmp_path, transactions=BrokenDatabase, outlet=outlet) as bench:
            bench.deliver("a@test.com", "b@test.com")
            assert await bench.wait_for(2) == [451, 451]
            assert {what for what, _ in outlet.told} == {"give back"}
            assert {row.id for _, rows in outlet.told for row in rows} == {42}

    asyncio.run(story())
    assert "the database failed: server closed the connection" in caplog.text
    assert "Traceback" not in caplog.text


class Sending:
    """Transactions whose mail is committed, in doubt, or both."""

    def __init__(self, handlers: Handlers) -> None:
        self.outgoing: deque[Outgoing] = deque()
        self.doubtful: deque[Outgoing] = deque()

    def run(self, jobs: list[Job], record: object) -> None:
        self.doubtful.append(DOUBTFUL)
        for job in jobs:
            job.reply = OK
        self.outgoing.append(DOUBTFUL)


def test_mail_in_doubt_is_told_before_mail_that_was_committed(tmp_path: Path) -> None:
    """Later mail of the same conversation waits for it then."""
    outlet = Listening()

    async def story() -> None:
        async with running(tmp_path, transactions=Sending, outlet=outlet) as bench:
            bench.deliver("a@test.com")
            assert await bench.wait_for(1) == [250]

    asyncio.run(story())
    assert outlet.told == [("give back", [DOUBTFUL]), ("submit", [DOUBTFUL])]


def test_an_outlet_that_fails_costs_nobody_his_reply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        outlet = Listening(RuntimeError("a bug"))
        async with running(tmp_path, transactions=Sending, outlet=outlet) as bench:
            bench.deliver("a@test.com")
            assert await bench.wait_for(1) == [250]
            assert bench.dispatcher.pending == 0

    asyncio.run(story())
    assert "is not taken on for now\nTraceback" in caplog.text


class Deadlocking:
    """Transactions of which the first two are the victims of a deadlock."""

    def __init__(self, handlers: Handlers) -> None:
        self.runs = 0
        self.outgoing: deque[Outgoing] = deque()
        self.doubtful: deque[Outgoing] = deque()

    def run(self, jobs: list[Job], record: object) -> None:
        self.runs += 1
        if self.runs > 2:
            for job in jobs:
                job.reply = OK


def test_the_victim_of_a_deadlock_is_run_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, transactions=Deadlocking) as bench:
            bench.deliver("a@test.com")
            assert await bench.wait_for(1) == [250]

    asyncio.run(story())


class Careful(Transactions):
    """Transactions that tell which delivery was given up."""

    def give_up(self, job: Job) -> None:
        self.given_up = job.message.recipient.address
        job.reply = OK


def test_a_message_that_kills_workers_is_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, transactions=Careful, run_dir=tmp_path) as bench:
            key = name_of("a@test.com")
            for _ in range(TOO_OFTEN):
                dead = tmp_path / "running" / "1"
                dead.mkdir(parents=True)
                (dead / "0").write_bytes(key)
                Suspects(tmp_path).blame(1)
            bench.deliver("a@test.com", "b@test.com", queue_id=LONG)
            assert await bench.wait_for(2) == [250, 250]
            assert bench.dispatcher._transactions.given_up == "a@test.com"  # type: ignore[attr-defined]
            assert bench.hooks.ran == ["b"]

    asyncio.run(story())


def test_no_other_suspect_is_under_way_when_one_kills_the_worker(tmp_path: Path) -> None:
    """Several threads: those that came back together would else be counted together each time."""

    def suspect(*recipients: str) -> None:
        dead = tmp_path / "running" / "1"
        dead.mkdir(parents=True)
        keys = [name_of(one) for one in recipients]
        (dead / "0").write_bytes(b"".join(keys))
        assert Suspects(tmp_path).blame(1) == len(recipients)

    async def story() -> None:
        async with running(tmp_path, run_dir=tmp_path, threads=3) as bench:
            suspect("slow@test.com", "a@test.com", "b@test.com")
            bench.deliver("slow@test.com", queue_id=LONG)
            while not bench.hooks.ran:
                await asyncio.sleep(0.001)
            bench.deliver("a@test.com", "b@test.com", queue_id=LONG)
            bench.deliver("c@test.com", "d@test.com")  # these have nothing to do with it
            await bench.wait_for(2)
            assert sorted(bench.hooks.ran) == ["c", "d", "slow"]
            noted = b"".join(path.read_bytes() for path in tmp_path.glob("running/*/*"))
            for innocent in ("a@test.com", "b@test.com"):
                assert name_of(innocent) not in noted
            bench.hooks.gate.set()
            assert await bench.wait_for(5) == [250] * 5

    asyncio.run(story())


def test_a_chore_is_done_by_a_thread_under_the_same_deadline(tmp_path: Path) -> None:
    async def story() -> None:
        stuck: list[bool] = []
        async with running(
            tmp_path, threads=1, deadline=0.5, on_stuck=lambda: stuck.append(True)
        ) as bench:
            here = threading.current_thread()
            ran: list[object] = []
            done = asyncio.Event()

            def work(deaths: int) -> None:
                ran.append((deaths, threading.current_thread() is here))
                bench.hooks.gate.wait(20)

            def aside(deaths: int) -> None:
                ran.append("aside")

            async with asyncio.timeout(20):
                bench.dispatcher.do(Chore("slow", b"x" * 32, work, done.set))
                bench.dispatcher.do(Chore("quick", b"y" * 32, aside, done.set), aside=True)
                await done.wait()  # it does not wait for the slow one
                while len(ran) < 2:
                    await asyncio.sleep(0.01)
                assert set(ran) == {(0, False), "aside"}
                done.clear()
                while not stuck:
                    await asyncio.sleep(0.05)
                bench.hooks.gate.set()
                await done.wait()
            assert stuck == [True]

    asyncio.run(story())
