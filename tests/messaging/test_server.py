"""One hostile peer, or many, cost a station a bounded amount, and other peers nothing."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peers import GREETING, RawPeer, command, long_frame, ready, subscribe
from replay_station import ENVELOPE
from sample_messages import samples, status_message
from subscribers import DEADLINE_S, PlainSubscriber, tick, until

from birdwatch.messaging import peer as peer_module
from birdwatch.messaging import server as server_module
from birdwatch.messaging.broadcast import MAX_SUBSCRIPTIONS
from birdwatch.messaging.peer import INPUT_BURST_BYTES
from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask

pytestmark = pytest.mark.slow


@pytest.fixture
def publisher(tmp_path: Path, security: dict[str, Any]) -> Iterator[Publisher]:
    with Publisher(
        "tcp://127.0.0.1:*",
        ENVELOPE,
        journal=tmp_path / "j.db",
        journal_max_bytes=10**7,
        replay_endpoint="tcp://127.0.0.1:*",
        **security["publisher"],
    ) as value:
        yield value


def state(publisher: Publisher) -> dict[str, Any]:
    return dict(publisher._own_state()["connections"])


def still_serves(publisher: Publisher, security: dict[str, Any]) -> None:
    """A new subscriber and a new question are served."""
    with PlainSubscriber(publisher.endpoint, "birdwatch/1/detection/", set_up=security["set_up"]) as subscriber:

        def step() -> None:
            publisher.publish(samples()[0])
            subscriber.socket.poll(20)

        until(lambda: bool(subscriber.socket.poll(0)), step)
        last = subscriber.receive()["seq"]
    pages = list(ask(publisher.replay_endpoint or "", last - 1, keys=security["keys"], timeout_s=DEADLINE_S))
    assert pages[0].entries[0].seq == last


def test_silent_connections_are_shed_and_others_are_served(publisher: Publisher, security: dict[str, Any]) -> None:
    with ExitStack() as stack:
        for endpoint in (publisher.endpoint, publisher.replay_endpoint or ""):
            for _ in range(300):
                stack.enter_context(RawPeer(endpoint))
        still_serves(publisher, security)
        assert state(publisher)["open"] < 300
        assert state(publisher)["shed"] > 300


def test_a_silent_connection_has_seconds(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "HANDSHAKE_S", 0.2)
    with RawPeer(publisher.endpoint) as silent:
        assert silent.closed()
    assert state(publisher)["shed_reason"] == "no handshake"


def test_the_descriptors_of_the_process_are_never_used_up(tmp_path: Path, tiny_model: Path) -> None:
    """A station with 192 descriptors and 400 silent connections continues to listen."""
    program = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (192, 192))
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.process import open_files, rss_mb
with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0")) as publisher:
    print(publisher.endpoint, flush=True)
    for line in sys.stdin:
        files = [open("/dev/null") for _ in range(60)]
        print(open_files(), rss_mb() > 1, publisher._own_state()["connections"]["shed"], flush=True)
        for file in files: file.close()
"""
    with (
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        ExitStack() as stack,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        shed, end = 0, time.monotonic() + DEADLINE_S
        for _ in range(400):
            stack.enter_context(RawPeer(endpoint))
        while shed < 300:
            assert time.monotonic() < end
            process.stdin.write("\n")
            process.stdin.flush()
            used, told, count = process.stdout.readline().split()
            shed = int(count)
            assert int(used) < 192
            assert told == "True"
        with PlainSubscriber(endpoint) as subscriber:
            assert subscriber.receives_nothing(0.1)
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


def test_without_descriptors_connections_are_refused_and_nothing_spins(
    publisher: Publisher, security: dict[str, Any]
) -> None:
    assert publisher.replay_endpoint is not None
    # Answered, so the message log has opened its files.
    list(ask(publisher.replay_endpoint, 0, None, keys=security["keys"], timeout_s=DEADLINE_S))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = [socket.socket() for _ in range(3)]
    host, _, port = publisher.endpoint.removeprefix("tcp://").rpartition(":")
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    spare: list[int] = []
    refused: list[bool] = []
    try:
        for sock in waiting:
            with contextlib.suppress(OSError):
                while len(spare) < 10_000:
                    spare.append(os.open("/dev/null", os.O_RDONLY))
            sock.settimeout(DEADLINE_S)
            sock.connect((host, int(port)))
            # Refused, not left waiting (or greeted, where another thread has closed a file meanwhile).
            refused.append(sock.recv(64) == b"")
    finally:
        for number in spare:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for sock in waiting:
            sock.close()
    assert any(refused)
    assert state(publisher)["shed_reason"] == "no descriptor is left"


def test_each_limit_of_one_peer_closes_its_connection(publisher: Publisher, security: dict[str, Any]) -> None:
    if security["keys"]:
        pytest.skip("the same code behind the decryption; floods with keys are above")
    cases = [
        (b"SUB", b"".join(subscribe(b"%06d" % number) for number in range(MAX_SUBSCRIPTIONS + 1)), "subscriptions"),
        (b"SUB", b"".join(subscribe(b"%06d" % number + b"y" * 3000) for number in range(12)), "subscriptions"),
        (b"SUB", b"\x00\x05hello" * (INPUT_BURST_BYTES // 7 + 1000), "bytes"),
        (b"SUB", b"\x01\x00" * 100, "parts"),
        (b"SUB", long_frame(bytes(5000)), "frame of 5000 bytes"),
        (b"SUB", command(b"\x04PING\x00\x00") * 60_000, "bytes"),
    ]
    for kind, data, reason in cases:
        with RawPeer(publisher.endpoint).handshake(kind) as rude:
            rude.send(data)
            assert rude.closed()
        assert reason in state(publisher)["shed_reason"]
    with RawPeer(publisher.replay_endpoint or "").handshake(b"DEALER") as rude:
        rude.send(b"\x00\x02{}" * 2000)
        assert rude.closed()
    still_serves(publisher, security)


def test_one_address_cannot_hold_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_PEERS", 16)
    monkeypatch.setattr(server_module.Server.__init__, "__kwdefaults__", {"max_peers": 16, "clock": time.monotonic})
    with Publisher("tcp://127.0.0.1:*", ENVELOPE) as publisher, ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(RawPeer(publisher.endpoint).handshake(b"SUB"))
        with RawPeer(publisher.endpoint) as one_more:
            assert one_more.closed()
        assert state(publisher)["open"] == 12
        assert "127.0.0.1 has as many connections as one address may have" in state(publisher)["shed_reason"]


def test_a_peer_that_answers_no_heartbeat_is_dropped(
    publisher: Publisher, security: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if security["keys"]:
        pytest.skip("the heartbeat is the same")
    monkeypatch.setattr(peer_module, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(peer_module, "TIMEOUT_S", 0.6)
    with RawPeer(publisher.endpoint).handshake(b"SUB") as dead, PlainSubscriber(publisher.endpoint) as alive:
        until(lambda: state(publisher)["open"] == 2, tick)
        assert dead.receive(2) == b"\x04\x07"
        assert dead.closed()
        until(lambda: state(publisher)["open"] == 1, tick)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            tick()
        assert state(publisher)["open"] == 1  # libzmq answers
        assert alive.receives_nothing(0)
    assert state(publisher)["shed"] == 0


def test_a_flood_leaves_the_processor_to_others(publisher: Publisher, security: dict[str, Any]) -> None:
    """Connections that come and go as fast as a process can make them: the server takes its share and no more."""
    program = """
import socket, sys, time
host, port = sys.argv[1].removeprefix("tcp://").rsplit(":", 1)
end = time.monotonic() + 3
while time.monotonic() < end:
    try:
        sock = socket.create_connection((host, int(port)), timeout=1)
        sock.send(bytes.fromhex(sys.argv[2]))
        sock.close()
    except OSError:
        pass
"""
    greeting = GREETING + ready(b"SUB") + subscribe(b"x") * 20
    with subprocess.Popen([sys.executable, "-c", program, publisher.endpoint, greeting.hex()]) as process:
        clock = time.pthread_getcpuclockid(publisher._server._thread.ident or 0)
        began, cpu = time.monotonic(), time.clock_gettime(clock)
        until(lambda: process.poll() is not None, tick)
        share = (time.clock_gettime(clock) - cpu) / (time.monotonic() - began)
    assert share < 0.45
    still_serves(publisher, security)


def test_greetings_cannot_fill_the_message_log(publisher: Publisher, security: dict[str, Any]) -> None:
    if security["keys"]:
        pytest.skip("the same greeting")
    publisher.publish(status_message())
    with RawPeer(publisher.endpoint).handshake(b"SUB") as rude:
        for _ in range(200):
            rude.send(subscribe(b"birdwatch/") + long_frame(b"\x06CANCELbirdwatch/", 4))
            publisher.poll()
            tick()
    # One a second.
    assert publisher.last_seq < 10


def test_a_server_that_ends_is_a_state(publisher: Publisher) -> None:
    def fails() -> None:
        raise RuntimeError("a fault of ours")

    publisher._server.call(fails)
    until(lambda: state(publisher)["fault"] is not None, tick)
    assert state(publisher)["fault"] == "the server has ended: RuntimeError: a fault of ours"
    publisher.publish(samples()[0])


def test_the_status_says_what_was_shed(publisher: Publisher, security: dict[str, Any]) -> None:
    with RawPeer(publisher.endpoint) as web:
        web.send(b"GET / HTTP/1.1\r\n\r\n")
        assert web.closed()
    with PlainSubscriber(publisher.endpoint, set_up=security["set_up"]) as subscriber:
        until(lambda: publisher.subscriptions == 1, lambda: (publisher.poll(), tick()))
        publisher.publish(status_message())
        told = subscriber.receive()["connections"]
    assert told == {"open": 1, "shed": 1, "shed_reason": "no ZMTP 3 greeting", "fault": None}
    assert json.dumps(told)
