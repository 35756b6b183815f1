"""What a hostile peer, or many peers, cost a station in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq
from peers import RawPeer, subscribe
from replay_station import ENVELOPE
from sample_messages import samples
from subscribers import DEADLINE_S, tick, until

from birdwatch.messaging.publisher import Publisher
from birdwatch.messaging.replay import ask
from birdwatch.process import rss_mb

pytestmark = pytest.mark.slow


def attack_subscriptions(sock: zmq.Socket[bytes]) -> None:
    for number in range(1000):
        sock.send(b"\x01%08d" % number + b"y" * 3900)


def attack_parts(sock: zmq.Socket[bytes]) -> None:
    for _ in range(50_000):
        sock.send(b"z" * 1000, zmq.SNDMORE)
    sock.send(b"")


def attack_messages(sock: zmq.Socket[bytes]) -> None:
    for _ in range(100_000):
        sock.send(b"hello")


@pytest.mark.parametrize(
    ("attack", "kind"),
    [
        (attack_subscriptions, zmq.XSUB),
        (attack_parts, zmq.XSUB),
        (attack_messages, zmq.XSUB),
        (attack_parts, zmq.DEALER),
        (attack_messages, zmq.DEALER),
    ],
)
def test_one_hostile_peer_costs_little_memory_and_no_other_peer(
    tmp_path: Path, security: dict[str, Any], attack: Callable[[zmq.Socket[bytes]], None], kind: int
) -> None:
    """The station is a process of its own: the attacker's memory is none of it."""
    program = """
import sys
from pathlib import Path
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher
from birdwatch.process import rss_mb
keys = Path(sys.argv[2]) if len(sys.argv) > 2 else None
with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0"), journal=Path(sys.argv[1]), journal_max_bytes=10**7,
               replay_endpoint="tcp://127.0.0.1:*", keys=keys) as publisher:
    print(publisher.endpoint, publisher.replay_endpoint, flush=True)
    for line in sys.stdin:
        print(rss_mb(), publisher._own_state()["connections"]["shed"], flush=True)
"""
    arguments = [str(tmp_path / "j.db"), *(str(value) for value in security["publisher"].values())]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        endpoint, replay_endpoint = process.stdout.readline().split()

        def told() -> tuple[float, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            memory, shed = process.stdout.readline().split()
            return float(memory), int(shed)

        before, _ = told()
        with zmq.Context() as context, context.socket(kind) as sock:
            sock.linger = 0
            sock.sndhwm = 0
            if security["set_up"]:
                security["set_up"](sock)
            sock.connect(endpoint if kind == zmq.XSUB else replay_endpoint)
            attack(sock)
            # Closed for it, or, where it only asks and asks, not read from while it is being answered.
            end, peak, shed = time.monotonic() + 3.0, 0.0, 0
            while time.monotonic() < end:
                memory, shed = told()
                peak = max(peak, memory)
                tick()
            assert shed or attack is attack_messages
            pages = list(ask(replay_endpoint, 0, keys=security["keys"], timeout_s=DEADLINE_S))
            assert pages[0].missing == 0
        assert peak - before < 8.0
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


def test_many_subscribers_cost_little_memory() -> None:
    with Publisher("tcp://127.0.0.1:*", ENVELOPE) as publisher, ExitStack() as stack:
        stack.enter_context(RawPeer(publisher.endpoint).handshake(b"SUB"))
        before = rss_mb()
        for _ in range(300):
            stack.enter_context(RawPeer(publisher.endpoint).handshake(b"SUB")).send(subscribe(b"birdwatch/1/"))
        until(lambda: publisher.subscriptions == 300, tick)
        for message in samples() * 40:
            publisher.publish(message)
        until(lambda: not publisher._broadcast._inbox, tick)
        assert rss_mb() - before < 30.0
