"""What a hostile peer costs a station: memory, a share of a core, and how late others get their messages.

    python benchmarks/hostile_peer.py [SECONDS_PER_ATTACK]

Loopback only. A publisher in a process of its own, ten messages a second to an honest subscriber, one attack at a time.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import zmq

STATION = """
import json, sys, time
from pathlib import Path
from birdwatch.messaging.messages import Envelope, Message
from birdwatch.messaging.publisher import Publisher
from birdwatch.process import open_files, rss_mb
folder = Path(sys.argv[1])
with Publisher("tcp://127.0.0.1:*", Envelope("garden", "mic", "b0"), journal=folder / "j.db", journal_max_bytes=10**7,
               replay_endpoint="tcp://127.0.0.1:*") as publisher:
    print(publisher.endpoint, publisher.replay_endpoint, flush=True)
    clock = time.pthread_getcpuclockid(publisher._server._thread.ident)
    while True:
        publisher.publish(Message("gap", "-", {"at": time.time()}))
        publisher.poll()
        print(json.dumps({"rss_mb": rss_mb(), "cpu_s": time.clock_gettime(clock), "files": open_files(),
                          "shed": publisher._own_state()["connections"]["shed"]}), flush=True)
        time.sleep(0.1)
"""


def floods(endpoint: str, replay_endpoint: str, end: list[float]) -> dict[str, Callable[[], None]]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")

    def silent() -> None:
        held = []
        while time.monotonic() < end[0]:
            held.append(socket.socket())
            held[-1].settimeout(1)
            try:
                held[-1].connect((host, int(port)))
            except OSError:
                held.pop().close()
            if len(held) > 1500:
                held.pop(0).close()
        for sock in held:
            sock.close()

    def sends(kind: int, to: str, make: Callable[[int], bytes], parts: int = 1) -> Callable[[], None]:
        def run() -> None:
            with zmq.Context() as context, context.socket(kind) as sock:
                sock.linger, sock.sndhwm, number = 0, 20_000, 0
                sock.connect(to)
                while time.monotonic() < end[0]:
                    try:
                        # libzmq sends nothing of a message before its last part.
                        sock.send(make(number), zmq.NOBLOCK | (zmq.SNDMORE if number % parts else 0))
                    except zmq.Again:
                        time.sleep(0.001)
                    number += 1

        return run

    return {
        "nothing": lambda: time.sleep(max(0, end[0] - time.monotonic())),
        "silent connections": silent,
        "subscriptions of 4 kB": sends(zmq.XSUB, endpoint, lambda n: b"\1%08d" % n + b"y" * 3900),
        "10 000 parts to --bind": sends(zmq.XSUB, endpoint, lambda n: b"z" * 1000, 10_000),
        "10 000 parts to --replay-bind": sends(zmq.DEALER, replay_endpoint, lambda n: b"z" * 1000, 10_000),
        "user messages to --bind": sends(zmq.XSUB, endpoint, lambda n: b"hello"),
        "questions to --replay-bind": sends(zmq.DEALER, replay_endpoint, lambda n: b'{"since": 0}'),
    }


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", STATION, folder], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        assert process.stdout is not None
        endpoint, replay_endpoint = process.stdout.readline().split()
        told: list[dict[str, float]] = []
        threading.Thread(target=collect, args=(process, told), daemon=True).start()
        late: list[float] = []
        threading.Thread(target=listen, args=(endpoint, late), daemon=True).start()
        time.sleep(1)
        end = [0.0]
        print(f"{'attack':32} {'rss MB before':>13} {'most':>7} {'core':>6} {'files':>6} {'shed':>6} {'p95 ms':>8}")
        for name, flood in floods(endpoint, replay_endpoint, end).items():
            mark, marked, began = len(told), len(late), time.monotonic()
            before = told[-1]
            end[0] = began + seconds
            flood()
            seen, waited = told[mark:], sorted(late[marked:])
            share = (seen[-1]["cpu_s"] - before["cpu_s"]) / (time.monotonic() - began)
            print(
                f"{name:32} {before['rss_mb']:13.1f} {max(s['rss_mb'] for s in seen):7.1f} {share:6.2f} "
                f"{max(s['files'] for s in seen):6.0f} {seen[-1]['shed'] - before['shed']:6.0f} "
                f"{1000 * waited[int(len(waited) * 0.95)]:8.1f}",
                flush=True,
            )
            time.sleep(1)
        process.kill()
        process.wait()


def collect(process: subprocess.Popen[str], told: list[dict[str, float]]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        told.append(json.loads(line))


def listen(endpoint: str, late: list[float]) -> None:
    sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    sock.connect(endpoint)
    sock.subscribe(b"birdwatch/1/gap/")
    while True:
        sent = json.loads(sock.recv_multipart()[1])["at"]
        late.append(time.time() - sent)


if __name__ == "__main__":
    main()
