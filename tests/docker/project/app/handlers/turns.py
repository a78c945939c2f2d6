"""Says whose turn it is: a state for each correspondent and domain, and a timer with it."""

from lamson import (
    Delivery,
    Expired,
    MailRequest,
    State,
    route,
    route_like,
    state_key_generator,
    timeout,
)


@state_key_generator
def per_domain(module: str, message: MailRequest) -> str:
    return f"{module}:{message.recipient.captures['host']}"


@route(r"turn@(host)")
def START(message: MailRequest, delivery: Delivery, host: str) -> State:
    delivery.reply(subject="First turn", body="Yours.")
    return SECOND


@route_like(START)
def SECOND(message: MailRequest, delivery: Delivery, host: str) -> State:
    delivery.reply(subject="Second turn", body="Yours.")
    return START


@timeout(SECOND, days=2)
def forget(expired: Expired) -> State:
    return START
