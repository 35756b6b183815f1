from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner
from replay_station import asked, station
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


def test_a_clean_message_log_is_in_the_status(publisher: Publisher) -> None:
    for _ in range(3):
        publisher.publish(samples()[0])
    asked(publisher, 0)  # by now it is written
    with PlainSubscriber(publisher.endpoint) as subscriber:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), subscriber.socket.poll(5)))
        publisher.publish(status_message())
        assert subscriber.receive()["journal"] == {"written": 3, "dropped": 0, "fault": None, "replaced": None}


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


def test_replay_needs_a_journal_and_can_be_turned_off(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as publisher:
        assert publisher.replay_endpoint is None
    with station(tmp_path, replay_endpoint=None) as publisher:
        publisher.publish(samples()[0])
        assert publisher.replay_endpoint is None
    assert (tmp_path / "j.db").exists()


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
    assert "does not contain boot gone" in unknown.stderr
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
