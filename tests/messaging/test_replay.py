from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner
from sample_messages import fat_message, samples, status_message
from subscribers import DEADLINE_S, PlainSubscriber, until

from birdwatch.cli.replay import replay
from birdwatch.errors import SinkError
from birdwatch.messaging.message_log import MessageLog
from birdwatch.messaging.message_pages import Entry, Page
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask, ask_clip
from birdwatch.messaging.replay_protocol import page_frames


def station(folder: Path, boot_id: str = "b0", **more: Any) -> Publisher:
    named: dict[str, Any] = {
        "journal": folder / "j.db",
        "journal_max_bytes": 10**7,
        "replay_endpoint": "tcp://127.0.0.1:*",
        **more,
    }
    return Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", boot_id), **named)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with station(tmp_path) as value:
        yield value


def asked(publisher: Publisher, since: int, boot_id: str | None = None, prefix: str = "") -> list[int]:
    assert publisher.replay_endpoint is not None
    pages = list(ask(publisher.replay_endpoint, since, boot_id, prefix=prefix, timeout_s=DEADLINE_S))
    return [entry.seq for page in pages for entry in page.entries]


def test_the_answer_holds_the_very_bytes_that_were_published(publisher: Publisher) -> None:
    with PlainSubscriber(publisher.endpoint) as subscriber:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        for message in samples():
            publisher.publish(message)
        sent = [tuple(subscriber.socket.recv_multipart()) for _ in samples()]
    assert publisher.replay_endpoint is not None
    (page,) = ask(publisher.replay_endpoint, 0)
    assert [(entry.topic, entry.body) for entry in page.entries] == sent
    assert (page.missing, page.more, page.boot_id, page.seq) == (0, False, "b0", 5)


def test_whatever_has_been_published_can_be_had_at_once(publisher: Publisher) -> None:
    for _ in range(30):
        seq = publisher.publish(samples()[0])
        assert asked(publisher, seq - 1) == [seq]


def test_messages_published_while_the_disk_was_busy_are_replayed_at_once(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = MessageLog.append

    def slowly(journal: MessageLog, entries: Iterable[Entry]) -> None:
        keep(journal, entries)
        time.sleep(0.02)  # a disk that takes its time, not a wait for anything

    monkeypatch.setattr(MessageLog, "append", slowly)
    with PlainSubscriber(publisher.endpoint) as subscriber:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        for _ in range(5):
            before = publisher.last_seq
            for message in samples():
                publisher.publish(message)
            for _ in samples():
                subscriber.socket.recv_multipart()
            assert asked(publisher, before) == [*range(before + 1, publisher.last_seq + 1)]


def test_many_pages_come_in_order(publisher: Publisher) -> None:
    for _ in range(1100):
        publisher.publish(samples()[0])
    assert asked(publisher, 100) == [*range(101, 1101)]


def test_a_prefix_takes_one_kind(publisher: Publisher) -> None:
    for message in samples():
        publisher.publish(message)
    assert asked(publisher, 0, prefix="birdwatch/1/gap/") == [4]


def test_a_subscriber_that_lost_messages_gets_exactly_those_back(tmp_path: Path) -> None:
    """Received and replayed messages are together every message, once."""
    with (
        station(tmp_path, journal_max_bytes=10**9, high_water=5) as publisher,
        PlainSubscriber(publisher.endpoint, hwm=1, set_up=lambda s: s.setsockopt(zmq.RCVBUF, 4096)) as subscriber,
    ):
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        while not publisher.dropped:
            publisher.publish(fat_message())
        for _ in range(20):
            publisher.publish(fat_message())
        last = publisher.last_seq
        received: list[int] = []
        while subscriber.socket.poll(200):
            received.append(subscriber.receive()["seq"])
        assert len(received) < last
        have = 0
        complete: list[int] = []
        for seq in [*received, last + 1]:
            if seq != have + 1:
                complete += [s for s in asked(publisher, have, "b0") if s < seq]
            if seq <= last:
                complete.append(seq)
            have = seq
    assert complete == [*range(1, last + 1)]


def test_a_subscriber_that_was_away_over_a_restart_loses_nothing(tmp_path: Path) -> None:
    with station(tmp_path, "b0") as publisher:
        for _ in range(10):
            publisher.publish(samples()[0])
    with station(tmp_path, "b1") as publisher:
        for _ in range(5):
            publisher.publish(samples()[0])
        assert asked(publisher, 7, "b0") == [8, 9, 10, 1, 2, 3, 4, 5]
        assert asked(publisher, 3) == [4, 5]


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


def test_a_clean_message_log_is_in_the_status(publisher: Publisher) -> None:
    for _ in range(3):
        publisher.publish(samples()[0])
    asked(publisher, 0)  # by now it is written
    with PlainSubscriber(publisher.endpoint) as subscriber:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        publisher.publish(status_message())
        assert subscriber.receive()["journal"] == {"written": 3, "dropped": 0, "fault": None, "replaced": None}


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


def test_publishing_continues_while_many_replay(publisher: Publisher) -> None:
    for _ in range(600):
        publisher.publish(samples()[0])
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(asked(publisher, 0))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            publisher.publish(samples()[0])
            thread.join(0.01)
    assert len(answers) == 4
    assert all(numbers[:600] == [*range(1, 601)] for numbers in answers)
    assert asked(publisher, 0) == [*range(1, publisher.last_seq + 1)]


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


def test_replay_needs_a_journal_and_can_be_turned_off(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as publisher:
        assert publisher.replay_endpoint is None
    with station(tmp_path, replay_endpoint=None) as publisher:
        publisher.publish(samples()[0])
        assert publisher.replay_endpoint is None
    assert (tmp_path / "j.db").exists()


def test_a_replay_port_in_use_names_its_own_option(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"is in use .*--replay-bind"):
        station(tmp_path, replay_endpoint=publisher.replay_endpoint)


def test_the_command_shows_lines_or_json_and_says_what_is_missing(publisher: Publisher, tmp_path: Path) -> None:
    for message in samples():
        publisher.publish(message)
    endpoint = publisher.replay_endpoint or ""
    shown = CliRunner().invoke(replay, [endpoint, "--since", "1"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.stdout.splitlines()) == 4
    assert "House Sparrow, 7.5 s in 2 windows" in shown.stdout
    as_json = CliRunner().invoke(replay, ["--journal", str(tmp_path / "j.db"), "--since", "0", "--json"])
    assert [json.loads(line)["seq"] for line in as_json.stdout.splitlines()] == [1, 2, 3, 4, 5]
    unknown = CliRunner().invoke(replay, [endpoint, "--since", "1", "--boot", "gone"])
    assert unknown.exit_code == 3
    assert "knows nothing of boot gone" in unknown.stderr
    none = CliRunner().invoke(replay, ["--journal", str(tmp_path / "none"), "--since", "0"])
    assert isinstance(none.exception, SinkError)


def test_a_clip_is_had_in_chunks_and_messages_in_between(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "20250501T041203Z_garden_houspa_b0-7.flac").write_bytes(content)
    with station(tmp_path, clips=tmp_path / "clips") as publisher:
        publisher.publish(samples()[0])
        chunks = list(ask_clip(publisher.replay_endpoint or "", "b0-7", timeout_s=DEADLINE_S))
        assert b"".join(chunk.content for chunk in chunks) == content
        assert len(chunks) == 3
        with pytest.raises(SinkError, match="there is no clip of event 'b0-8'"):
            list(ask_clip(publisher.replay_endpoint or "", "b0-8", timeout_s=DEADLINE_S))
        assert asked(publisher, 0) == [1]


def test_a_station_without_clips_says_so(publisher: Publisher) -> None:
    with pytest.raises(SinkError, match="there is no clip"):
        list(ask_clip(publisher.replay_endpoint or "", "b0-7", timeout_s=DEADLINE_S))


def test_a_station_of_an_older_version_answers_a_question_for_a_clip_with_messages() -> None:
    def older(context: zmq.Context[Any], ready: list[str], bound: threading.Event) -> None:
        with context.socket(zmq.REP) as sock:
            ready.append(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
            bound.set()
            sock.recv()
            sock.send_multipart(page_frames(Page((), "b0", 0, False, 0)))

    with zmq.Context() as context:
        ready: list[str] = []
        bound = threading.Event()
        thread = threading.Thread(target=older, args=(context, ready, bound))
        thread.start()
        assert bound.wait(DEADLINE_S)
        with pytest.raises(SinkError, match="is the station of a version that serves clips"):
            list(ask_clip(ready[0], "b0-7", timeout_s=DEADLINE_S))
        thread.join()


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
