"""Replay where the message log's thread ends, its file is damaged or what is asked for is too much."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Sized
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from replay_station import asked, station
from sample_messages import samples, status_message
from subscribers import DEADLINE_S, PlainSubscriber, until

from birdwatch.errors import SinkError
from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.message_pages import Entry
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask


def test_a_disk_that_refuses_is_in_the_status_and_counted_as_missing() -> None:
    with station(Path("/proc/birdwatch")) as publisher:
        for _ in range(4):
            publisher.publish(samples()[0])
        assert publisher.replay_endpoint is not None
        (page,) = ask(publisher.replay_endpoint, 0, timeout_s=DEADLINE_S)
        assert page.entries == ()
        with PlainSubscriber(publisher.endpoint) as subscriber:
            publisher.publish(status_message())
            until(lambda: bool(subscriber.socket.poll(5)), publisher.poll)
            state = subscriber.receive()["journal"]
    assert state["written"] == 0
    assert state["dropped"] >= 4
    assert "/proc/birdwatch" in state["fault"]


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"hello",
        b"[]",
        b'{"since": -1}',
        b'{"since": "1"}',
        b'{"since": true}',
        b'{"since": 1e999}',
        b'{"since": 99999999999999999999999}',
        b'{"boot_id": 7}',
        b'{"topic": "\\ud800"}',
        b"[" * 4000,
        b"\xff\xfe",
    ],
)
def test_a_bad_question_gets_an_answer_and_the_next_one_too(publisher: Publisher, question: bytes) -> None:
    publisher.publish(samples()[0])
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        sock.connect(publisher.replay_endpoint or "")
        sock.send(question)
        assert sock.poll(20_000)
        (reply,) = sock.recv_multipart()
        assert json.loads(reply)["error"]
    assert asked(publisher, 0) == [1]


def test_a_question_that_is_too_long_is_cut_off_and_the_next_one_answered(publisher: Publisher) -> None:
    publisher.publish(samples()[0])
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        sock.connect(publisher.replay_endpoint or "")
        sock.send(b"x" * 1_000_000)
        assert asked(publisher, 0) == [1]


def test_a_client_that_never_reads_its_replay_delays_no_other(publisher: Publisher) -> None:
    for _ in range(600):
        publisher.publish(samples()[0])
    with zmq.Context() as context, context.socket(zmq.DEALER) as rude:
        rude.linger = 0
        rude.rcvhwm = 1
        rude.connect(publisher.replay_endpoint or "")
        for _ in range(50):
            rude.send(b'{"since": 0}')
        assert len(asked(publisher, 0)) == 600


def test_a_replay_without_a_station_is_one_clear_error() -> None:
    with pytest.raises(SinkError, match=r"tcp://127\.0\.0\.1:9 did not answer in 0\.05 s; is the station running"):
        list(ask("tcp://127.0.0.1:9", 0, timeout_s=0.05))


def test_a_replay_port_in_use_names_its_own_option(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"is in use .*--replay-bind"):
        station(tmp_path, replay_endpoint=publisher.replay_endpoint)


def test_one_flipped_byte_in_the_schema_is_set_aside_and_reported_without_delay(tmp_path: Path) -> None:
    with station(tmp_path) as publisher:
        publisher.publish(samples()[0])
        asked(publisher, 0)
    content = bytearray((tmp_path / "j.db").read_bytes())
    content[content.index(b"topic TEXT NOT NULL") + 15] = 0xA6
    (tmp_path / "j.db").write_bytes(content)
    with station(tmp_path, "b1") as publisher:
        publisher.publish(samples()[0])
        assert asked(publisher, 0) == [1]
        told = publisher._own_state()["journal"]
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert (told["written"], told["dropped"], told["fault"]) == (1, 0, None)
    assert "was damaged" in told["replaced"]
    assert (tmp_path / "j.db.damaged").exists()


def test_a_thread_that_ends_is_a_state_and_questions_are_answered_with_it(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(log: MessageLog, entries: Iterable[Entry]) -> None:
        raise RuntimeError("a fault of ours")

    asked(publisher, 0)  # it is open
    monkeypatch.setattr(MessageLog, "append", fails)
    publisher.publish(samples()[0])
    with pytest.raises(SinkError, match="the message log has ended: RuntimeError: a fault of ours"):
        asked(publisher, 0)
    publisher.publish(samples()[0])
    told = publisher._own_state()["journal"]
    assert told["fault"] == "the message log has ended: RuntimeError: a fault of ours"
    assert told["dropped"] == 2


def test_a_question_taken_with_the_messages_that_end_the_log_is_answered(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    together: list[bool] = []

    def work() -> Sized:
        assert publisher._replay is not None
        return publisher._replay._work

    def fails(log: MessageLog, entries: Iterable[Entry]) -> None:
        if not entered.is_set():
            entered.set()
            assert go.wait(DEADLINE_S)
            return
        together.append(not work())
        raise RuntimeError("a fault of ours")

    asked(publisher, 0)
    monkeypatch.setattr(MessageLog, "append", fails)
    publisher.publish(samples()[0])
    assert entered.wait(DEADLINE_S)
    publisher.publish(samples()[0])
    faults: list[str] = []

    def ask() -> None:
        try:
            asked(publisher, 0)
        except SinkError as error:
            faults.append(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    until = time.monotonic() + DEADLINE_S
    while len(work()) < 2 and time.monotonic() < until:
        pass
    go.set()
    asker.join()
    assert together == [True]  # the question was not behind: it was taken with the message
    assert len(faults) == 1
    assert "the message log has ended: RuntimeError: a fault of ours" in faults[0]


def test_bodies_that_are_no_longer_the_message_are_missing(tmp_path: Path) -> None:
    with station(tmp_path) as publisher:
        for _ in range(3):
            publisher.publish(samples()[0])
        asked(publisher, 0)
    with closing(sqlite3.connect(tmp_path / "j.db")) as database, database:
        database.execute("UPDATE messages SET body = x'7b22' WHERE seq = 2")
    with station(tmp_path, "b1") as publisher:
        (page,) = ask(publisher.replay_endpoint or "", 0, "b0", timeout_s=DEADLINE_S)
    assert [entry.seq for entry in page.entries] == [1, 3]
    assert page.missing == 1
