from __future__ import annotations

import json
import math
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from jsonschema import Draft202012Validator
from sample_messages import fat_message, samples, spectrum_message, status_message
from subscribers import PlainSubscriber, until

from birdwatch.errors import SinkError
from birdwatch.messaging.messages import Envelope, detection
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.schemas import schema
from birdwatch.model.manifest import Label
from birdwatch.scores.types import Detection

ENVELOPE = Envelope(station="garden", source="USB Mic", boot_id="b0")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:*", ENVELOPE) as value:
        yield value


def joined(publisher: Publisher, count: int, subscriber: PlainSubscriber) -> None:
    """Wait until so many subscriptions have arrived."""

    def step() -> None:
        publisher.poll()
        subscriber.socket.poll(5)

    until(lambda: publisher.subscriptions >= count, step)


def test_every_message_on_the_wire_fits_its_schema_and_is_numbered(publisher: Publisher) -> None:
    with PlainSubscriber(publisher.endpoint) as subscriber:
        joined(publisher, 1, subscriber)
        for message in samples():
            publisher.publish(message)
        received = [subscriber.receive() for _ in samples()]
    for value in received:
        Draft202012Validator(schema(value["kind"])).validate(value)
    assert [value["seq"] for value in received] == [1, 2, 3, 4, 5]
    assert received[-1]["last_seq"] == 4
    assert {value["boot_id"] for value in received} == {"b0"}


def test_a_prefix_takes_one_kind_of_one_station(publisher: Publisher) -> None:
    with (
        PlainSubscriber(publisher.endpoint, "birdwatch/1/event/garden/") as subscriber,
        PlainSubscriber(publisher.endpoint, "birdwatch/1/gap/shed/") as no,
    ):
        joined(publisher, 2, subscriber)
        for message in samples():
            publisher.publish(message)
        assert subscriber.receive()["kind"] == "event"
        assert subscriber.receives_nothing(0.05)
        assert no.receives_nothing(0)


def test_a_late_subscriber_receives_the_status(publisher: Publisher) -> None:
    publisher.publish(status_message("starting"))
    publisher.publish(status_message("listening"))
    for number in (3, 4):
        with PlainSubscriber(publisher.endpoint) as subscriber:
            until(lambda subscriber=subscriber: bool(subscriber.socket.poll(5)), publisher.poll)  # type: ignore[misc]
            value = subscriber.receive()
        assert (value["kind"], value["state"], value["seq"]) == ("status", "listening", number)


def test_a_subscription_without_status_receives_none(publisher: Publisher) -> None:
    publisher.publish(status_message())
    with PlainSubscriber(publisher.endpoint, "birdwatch/1/detection/") as subscriber:
        joined(publisher, 1, subscriber)
    assert publisher.last_seq == 1


def test_subscribers_that_leave_are_noticed(publisher: Publisher) -> None:
    with PlainSubscriber(publisher.endpoint) as subscriber:
        joined(publisher, 1, subscriber)
    with PlainSubscriber(publisher.endpoint, "birdwatch/1/gap/") as clock:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), clock.socket.poll(5)))


def test_nan_is_refused_and_takes_no_number(publisher: Publisher) -> None:
    bad = detection(Detection(0, math.nan, 0.5, 0, 1), Label("houspa"), rate_hz=1, start_ns=0, end_ns=1, event_id=None)
    with pytest.raises(ValueError):
        publisher.publish(bad)
    assert publisher.publish(samples()[0]) == 1


def test_the_source_can_change_while_it_runs(publisher: Publisher) -> None:
    with PlainSubscriber(publisher.endpoint) as subscriber:
        joined(publisher, 1, subscriber)
        publisher.source = "another microphone"
        publisher.publish(samples()[0])
        assert subscriber.receive()["source"] == "another microphone"


def test_hundreds_of_subscribers_receive_every_message(publisher: Publisher) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscribers = []
    try:
        for _ in range(250):
            subscriber = context.socket(zmq.SUB)
            subscriber.linger = 0
            subscriber.subscribe(b"birdwatch/1/detection/")
            subscriber.connect(publisher.endpoint)
            subscribers.append(subscriber)
        until(lambda: publisher.subscriptions == 250, lambda: (publisher.poll(), subscribers[0].poll(5)))
        for _ in range(20):
            publisher.publish(samples()[0])
        for subscriber in subscribers:
            assert [
                json.loads(subscriber.recv_multipart()[1])["seq"] for _ in range(20) if subscriber.poll(20_000)
            ] == [*range(1, 21)]
        assert publisher.dropped == 0
    finally:
        for subscriber in subscribers:
            subscriber.close()
        context.term()


def test_a_subscriber_that_does_not_read_costs_the_others_nothing_and_is_counted() -> None:
    with (
        Publisher("tcp://127.0.0.1:*", ENVELOPE, high_water=10) as publisher,
        PlainSubscriber(publisher.endpoint, hwm=1, set_up=lambda s: s.setsockopt(zmq.RCVBUF, 4096)) as slow,
        PlainSubscriber(publisher.endpoint) as quick,
    ):
        joined(publisher, 2, slow)
        sent = received = 0
        while not publisher.dropped:
            assert sent < 5_000, "the full queue was never noticed"
            for _ in range(5):
                sent = publisher.publish(fat_message())
            while received < sent:
                received = quick.receive()["seq"]
        # The quick one has received every single one, also those that the slow one lost.
        assert received == sent
        publisher.publish(status_message())
        # The status itself may cost the slow one another message.
        assert 0 < quick.receive()["subscribers_dropped"] <= publisher.dropped


def test_a_subscriber_that_was_stopped_dead_does_not_hold_publishing_up() -> None:
    program = (
        "import sys, zmq, os, signal\n"
        "s = zmq.Context().socket(zmq.SUB); s.rcvhwm = 1; s.connect(sys.argv[1]); s.subscribe(b'')\n"
        "s.recv_multipart(); print('received', flush=True); os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with (
        Publisher("tcp://127.0.0.1:*", ENVELOPE, high_water=10) as publisher,
        subprocess.Popen([sys.executable, "-c", program, publisher.endpoint], stdout=subprocess.PIPE) as dead,
    ):
        try:
            received = threading.Event()
            assert dead.stdout is not None
            waiter = threading.Thread(target=lambda: (dead.stdout.read(5), received.set()))  # type: ignore[union-attr]
            waiter.start()
            until(received.is_set, lambda: (publisher.poll(), publisher.publish(fat_message()), received.wait(0.01)))
            waiter.join()
            while not publisher.dropped:
                assert publisher.publish(fat_message()) < 5_000
        finally:
            dead.kill()


def test_a_port_in_use_is_one_clear_error(publisher: Publisher) -> None:
    with pytest.raises(SinkError, match=rf"{publisher.endpoint} is in use by another program.*--bind"):
        Publisher(publisher.endpoint, ENVELOPE)


def test_an_ipc_endpoint_in_use_is_not_taken_over(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/birdwatch.sock"
    with Publisher(endpoint, ENVELOPE) as publisher:
        with pytest.raises(SinkError, match="in use"):
            Publisher(endpoint, ENVELOPE)
        with PlainSubscriber(endpoint) as subscriber:
            joined(publisher, 1, subscriber)
            publisher.publish(samples()[0])
            assert subscriber.receive()["seq"] == 1
    assert not (tmp_path / "birdwatch.sock").exists()
    # The socket of a killed daemon is replaced.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "birdwatch.sock"))
    Publisher(endpoint, ENVELOPE).close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_ipc_never_removes_what_is_no_socket(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "notes.txt"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "other").write_text("kept")
        path.symlink_to(tmp_path / "other")
    else:
        path.write_text("kept")
    with pytest.raises(SinkError, match=r"notes\.txt is a file, which is not replaced.*--bind"):
        Publisher(f"ipc://{path}", ENVELOPE)
    assert path.is_dir() if kind == "folder" else path.read_text() == "kept"


def test_ipc_can_be_opened_by_other_users_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with Publisher(f"ipc://{tmp_path}/birdwatch.sock", ENVELOPE):
            assert stat.S_IMODE((tmp_path / "birdwatch.sock").stat().st_mode) == 0o666
    finally:
        os.umask(before)


def test_ipv6_loopback_and_abstract_ipc_serve() -> None:
    for endpoint in ("tcp://[::1]:*", f"ipc://@birdwatch-test-{os.getpid()}"):
        with (
            Publisher(endpoint, ENVELOPE) as publisher,
            PlainSubscriber(publisher.endpoint, set_up=lambda s: setattr(s, "ipv6", 1)) as subscriber,
        ):
            joined(publisher, 1, subscriber)
            publisher.publish(samples()[0])
            assert subscriber.receive()["seq"] == 1


def test_the_last_messages_leave_before_the_end() -> None:
    publisher = Publisher("tcp://127.0.0.1:*", ENVELOPE)
    with PlainSubscriber(publisher.endpoint) as subscriber:
        joined(publisher, 1, subscriber)
        for _ in range(50):
            publisher.publish(samples()[0])
        publisher.publish(status_message("stopping"))
        publisher.close()
        assert [subscriber.receive()["seq"] for _ in range(51)] == [*range(1, 52)]


def test_a_publisher_leaves_no_descriptor_and_no_thread_behind(tmp_path: Path) -> None:
    def once() -> None:
        Publisher(
            "tcp://127.0.0.1:*",
            ENVELOPE,
            journal=tmp_path / "j.db",
            journal_max_bytes=10**6,
            replay_endpoint="tcp://127.0.0.1:*",
        ).close()

    once()
    before = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for _ in range(5):
        once()
    assert (len(list(Path("/proc/self/fd").iterdir())), threading.active_count()) == before


def test_rubbish_from_a_peer_changes_nothing(publisher: Publisher) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.XSUB) as rude, PlainSubscriber(publisher.endpoint) as subscriber:
        rude.linger = 0
        rude.connect(publisher.endpoint)
        for request in (b"", b"\x07hello", b"\x01" + b"x" * 100_000, b"\x01\xff\xfe"):
            rude.send(request)
        joined(publisher, 1, subscriber)
        publisher.publish(samples()[0])
        assert subscriber.receive()["seq"] == 1


def test_a_spectrum_is_wanted_only_while_its_kind_is_subscribed_and_takes_no_number(publisher: Publisher) -> None:
    with PlainSubscriber(publisher.endpoint) as everything:
        joined(publisher, 1, everything)
        assert not publisher.spectrum_wanted
        with PlainSubscriber(publisher.endpoint, "birdwatch/1/spectrum/garden/") as display:
            joined(publisher, 2, display)
            assert publisher.spectrum_wanted
            publisher.publish_spectrum(spectrum_message())
            publisher.publish(samples()[0])
            value = display.receive()
            assert (value["kind"], value["columns"]) == ("spectrum", 5)
        until(lambda: not publisher.spectrum_wanted, lambda: (publisher.poll(), everything.socket.poll(5)))
    assert publisher.last_seq == 1
