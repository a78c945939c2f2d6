"""Spans of OpenTelemetry, where the setting ``tracing`` wants them: of a mail that comes in, of the
filters and handlers that it runs, of each attempt to submit what they sent, and of what is done by
time.

By the API package alone (the extra `otel`): the application brings the SDK and says where spans go.
Without the setting nothing is imported, and nothing is called.

All mail of a conversation is in one trace, on whatever node it is handled: the id of the trace is a
digest of the Message-ID that the conversation began with (see `lamson.message.lineage`), and so
nothing has to be stored, or written into a mail. As ids are digests, a sampler by ratio
(TraceIdRatioBased) keeps conversations whole; one that asks the parent takes them all. No text of a
mail is in a span but its Message-ID, addresses and queue id; of an exception its type alone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from lamson.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 1000  # characters of an attribute: some a stranger wrote
_logger = logging.getLogger("lamson")
ACTIVE = False  # look at this first: the rest may be called only then
_trace: Any = None
_tracer: Any = None
_is_failing = False  # and that is told


def start() -> None:
    """Make spans from now on. Raises SettingsError where the API is not installed."""
    global ACTIVE, _trace, _tracer
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        raise SettingsError(
            "opentelemetry is not installed: pip install 'lamson-postfix[otel]'", setting="tracing"
        ) from None
    _trace, _tracer = trace, trace.get_tracer("lamson")
    ACTIVE = True


def stop() -> None:
    """Make none any more: for tests."""
    global ACTIVE, _trace, _tracer, _is_failing
    ACTIVE, _trace, _tracer, _is_failing = False, None, None, False


def begin(name: str, root: str, **attributes: object) -> Any:
    """A span in the trace of the conversation that began with the Message-ID ``root``.

    None where that failed: whoever traces may bring what he likes, and it is no mail's concern.
    """
    try:
        return _tracer.start_span(
            name,
            context=_trace.set_span_in_context(_trace.NonRecordingSpan(_beginning(root))),
            start_time=time.time_ns(),
            attributes=_attributes(attributes),
        )
    except Exception:  # noqa: BLE001 - it is not ours
        _explain()
        return None


def end(span: Any, *, is_failure: bool = False, **attributes: object) -> None:
    """Nothing more happens in it."""
    if span is None:
        return
    try:
        span.set_attributes(_attributes(attributes))
        if is_failure:
            span.set_status(_trace.StatusCode.ERROR)
        span.end()
    except Exception:  # noqa: BLE001 - it is not ours
        _explain()


@contextmanager
def within(parent: Any, name: str, **attributes: object) -> Iterator[None]:
    """A span below ``parent``, which is the current one meanwhile: spans of others are in it."""
    current, span = _enter(parent, name, attributes)
    try:
        yield
    except BaseException as error:
        if span is not None:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(_trace.StatusCode.ERROR)
        raise
    finally:
        try:
            current.close()
        except Exception:  # noqa: BLE001 - it is not ours
            _explain()


def _enter(parent: Any, name: str, attributes: dict[str, object]) -> tuple[ExitStack, Any]:
    current = ExitStack()
    try:
        span = current.enter_context(
            _tracer.start_as_current_span(
                name,
                context=None if parent is None else _trace.set_span_in_context(parent),
                attributes=_attributes(attributes),
                record_exception=False,
                set_status_on_exception=False,
            )
        )
    except Exception:  # noqa: BLE001 - it is not ours
        _explain()
        span = None
    return current, span


def _explain() -> None:
    """Once: it fails for the next mail, too."""
    global _is_failing
    if not _is_failing:
        _is_failing = True
        _logger.exception("a span is lost, and perhaps others after it: tracing failed")


def conversation(root: str) -> Any:
    """What all spans of the conversation that began with the Message-ID ``root`` are below."""
    return _trace.NonRecordingSpan(_beginning(root))


def _beginning(root: str) -> Any:
    """What all mail of the conversation is below."""
    octets = root.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(octets, digest_size=24, person=b"lamson trace").digest()
    return _trace.SpanContext(
        trace_id=int.from_bytes(digest[:16], "big") or 1,
        span_id=int.from_bytes(digest[16:], "big") or 1,
        is_remote=True,
        trace_flags=_trace.TraceFlags(_trace.TraceFlags.SAMPLED),
    )


def _attributes(values: dict[str, object]) -> dict[str, Any]:
    return {
        f"lamson.{key}": value if isinstance(value, int) else str(value)[:_LONGEST]
        for key, value in values.items()
        if value is not None
    }
