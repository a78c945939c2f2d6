"""The images of `postfix/` at work: mail in on port 25, handled on one of two nodes, mail out."""

from __future__ import annotations

import re
import smtplib
import ssl
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lamson.containers import shipped
from tests.docker.load import Load
from tests.waiting import wait_for

if TYPE_CHECKING:
    from lamson.containers import MailSystem
    from lamson.containers.service import Service

SENDER = "zed@world.test"
CONNECTIONS = 4  # of a node to the submission service: as many answers are on their way at a time


def test_a_letter_comes_in_and_its_answer_goes_out(system: MailSystem) -> None:
    queue_id = system.send(SENDER, "count-one@count.test", "count-two@count.test", subject="story")
    answers = system.world.wait(2, to=SENDER, where=lambda one: "story" in str(one["Subject"]))
    system.settle()
    counted = "select recipient, queue_id from counted where letter = 'story' order by recipient"
    rows = wait_for(lambda: system.query(counted), "both to be counted")
    assert rows == [("count-one@count.test", queue_id), ("count-two@count.test", queue_id)]
    assert {answer["Subject"] for answer in answers} == {
        "Counted story for one",
        "Counted story for two",
    }
    for answer in answers:
        assert answer.sender == "", "an automatic answer must not be answered"
        assert answer["Auto-Submitted"] == "auto-replied"
        assert "with ESMTPSA" in str(answer["Received"]), "TLS and a password"


def test_an_address_without_a_route_is_refused_at_the_door(system: MailSystem) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        system.send(SENDER, "nobody@count.test")
    code, text = refused.value.recipients["nobody@count.test"]
    assert (code, text[:5]) == (550, b"5.1.1")


def test_the_service_is_nobody_special_in_the_database(system: MailSystem) -> None:
    role = "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
    assert system.query(role) == [("f", "f", "f")]


def test_the_world_may_not_relay(system: MailSystem) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        system.send(SENDER, "other@elsewhere.test")
    assert refused.value.recipients["other@elsewhere.test"][0] == 554


def test_submission_wants_tls_a_password_and_a_sender_of_ours(system: MailSystem) -> None:
    password = system.nodes[0].run("cat", "/run/secrets/lamson_submission__secret").strip()
    trusted = ssl.create_default_context(cadata=system.nodes[0].run("cat", "/run/secrets/ca.pem"))
    trusted.check_hostname = False  # it is reached as 127.0.0.1 from here
    with smtplib.SMTP(*system.postfix.port(587), timeout=60) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.mail("count-one@count.test")[0] == 530
        client.starttls(context=trusted)
        client.ehlo()
        assert client.mail("count-one@count.test")[0] == 250
        assert client.rcpt(SENDER)[0] == 553, "not logged in"
        client.rset()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("lamson", "wrong")
        client.login("lamson", password)
        assert client.mail("forged@elsewhere.test")[0] == 250
        assert client.rcpt(SENDER)[0] == 553, "not a sender of ours"
        client.rset()
        assert client.mail("count-one@count.test")[0] == 250
        assert client.rcpt(SENDER)[0] == 250


def test_the_containers_are_closed(system: MailSystem) -> None:
    for node in system.nodes:
        assert node.run("id", "-u").strip() == "8823", "not root"
        assert node.run("sh", "-c", "touch /srv/project/x 2>&1 || echo no").strip().endswith("no")
        secret = node.run("cat", "/run/secrets/lamson_submission__secret").strip()
        assert secret not in str(node.attributes), "docker inspect tells no secret"
    secrets = system.postfix.run("ls", "/run/secrets").split()
    assert secrets == ["submission-password", "tls-cert.pem", "tls-key.pem"]


def test_the_image_has_the_locked_releases_and_nothing_else(system: MailSystem) -> None:
    lock = re.findall(r"^([\w.-]+==[^\s;]+)", shipped.lock().read_text(), re.MULTILINE)
    program = (
        "from importlib.metadata import distributions\n"
        "for one in distributions(): print(one.name, one.version)"
    )
    there = {
        f"{re.sub('[-_.]+', '-', name).lower()}=={version}"  # PEP 503
        for name, version in map(
            str.split, system.nodes[0].run("python", "-c", program).splitlines()
        )
    }
    ours = {one for one in there if one.startswith("lamson-postfix==")}
    assert len(ours) == 1
    assert there - ours == {one for one in lock if not one.startswith("setuptools==")}


def is_healthy(service: Service) -> bool:
    return bool(service.attributes["State"]["Health"]["Status"] == "healthy")


def test_the_engine_sees_that_they_are_healthy(system: MailSystem) -> None:
    for service in system.services:
        wait_for(
            partial(is_healthy, service),
            f"{service.name} is healthy",
            timeout=60,
        )


def test_both_nodes_take_their_share(system: MailSystem) -> None:
    with Load(system, "share", 100) as load:
        pass
    system.settle()
    load.check()
    assert load.nodes() == {"lamson1", "lamson2"}


def test_a_node_that_is_killed_loses_nothing(system: MailSystem) -> None:
    victim = system.nodes[0]
    with Load(system, "killed", 300) as load:
        load.wait_counted(50)
        victim.kill()
        load.wait_counted(150)
    victim.start()
    system.settle()
    load.check(resent=2 * CONNECTIONS)


def test_the_address_of_a_dead_node_is_soon_given_up(system: MailSystem) -> None:
    """After seven seconds. Whether a lookup meets one is a matter of luck."""
    sysctls = system.postfix.attributes["HostConfig"]["Sysctls"]
    assert (
        sysctls["net.ipv4.tcp_syn_retries"] == "2"
    )  # seven seconds; Linux's own six are two minutes


def test_a_database_that_goes_away_loses_nothing(system: MailSystem) -> None:
    with Load(system, "database", 300) as load:
        load.wait_counted(50)
        system.postgres.stop()
        wait_for(
            lambda: any("451" in str(entry) for entry in system.queue()),
            "letters wait in Postfix's queue",
        )
        system.postgres.start()
    system.settle()
    load.check(resent=4 * CONNECTIONS)


def test_nodes_are_replaced_one_after_another(system: MailSystem) -> None:
    with Load(system, "replaced", 300) as load:
        for number, node in enumerate(system.nodes, start=1):
            load.wait_counted(50 * number)
            node.replace()
    system.settle()
    load.check()
