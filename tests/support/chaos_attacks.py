"""What other machines, sound servers and administrators do to a station.

python tests/support/chaos_attacks.py NAME ENDPOINT    # one flood
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import zmq
from chaos_station import Player, Station
from peers import GREETING, RawPeer, ready, subscribe
from sound_server import Pulse

# What a flood sends, from which kind of socket, and how often.
FLOODS: dict[str, tuple[int, Callable[[int], list[bytes]], int]] = {
    "subscriptions": (zmq.XSUB, lambda n: [b"\1%08d" % n + b"y" * 3900], 1000),
    "parts": (zmq.XSUB, lambda n: [b"z" * 500] * 2000, 20),
    "question parts": (zmq.DEALER, lambda n: [b"z" * 500] * 2000, 20),
    "user messages": (zmq.XSUB, lambda n: [b"hello"], 50_000),
    "questions": (zmq.DEALER, lambda n: [b'{"since": 0}'], 3000),
}


def flood(name: str, endpoint: str) -> None:
    """Send as fast as the station takes it, for five seconds at most."""
    kind, messages, count = FLOODS[name]
    with zmq.Context() as context, context.socket(kind) as sock:
        sock.linger, sock.sndhwm, end = 0, 5000, time.monotonic() + 5
        sock.connect(endpoint)
        for number in range(count):
            while time.monotonic() < end:
                try:
                    sock.send_multipart(messages(number), zmq.NOBLOCK)
                    break
                except zmq.Again:
                    time.sleep(0.001)


class Attacks:
    """What happens to the station, one at a time; each bounded in count and time."""

    def __init__(self, station: Station, pulse: Pulse, player: Player, rng: random.Random) -> None:
        self.station, self.pulse, self.player, self.rng = station, pulse, player, rng
        self.counts: dict[str, int] = {}

    def one(self) -> None:
        """A random one."""
        names = [name for name in dir(self) if name.startswith("do_")]
        name = self.rng.choice(names)
        self.counts[name[3:]] = self.counts.get(name[3:], 0) + 1
        getattr(self, name)()

    def _any_endpoint(self) -> str:
        return self.rng.choice([self.station.endpoint, self.station.replay_endpoint])

    def _raw(self, make: Callable[[], RawPeer | None], count: int) -> None:
        peers = []
        for _ in range(count):
            try:
                peers.append(make())
            except OSError:
                break
        for peer in peers:
            if peer is not None:
                peer.close()

    def do_silent_connections(self) -> None:
        self._raw(lambda: RawPeer(self._any_endpoint(), timeout_s=2), self.rng.randint(1, 800))

    def do_rubbish(self) -> None:
        def rubbish() -> RawPeer:
            peer = RawPeer(self._any_endpoint(), timeout_s=2)
            session = bytearray(GREETING + ready(b"SUB") + subscribe(b"birdwatch/1/") * 5)
            for _ in range(self.rng.randint(0, 10)):
                session[self.rng.randrange(len(session))] = self.rng.randrange(256)
            peer.send(bytes(session) + self.rng.randbytes(self.rng.randint(0, 2000)))
            return peer

        self._raw(rubbish, self.rng.randint(1, 60))

    def _flood(self, name: str, endpoint: str) -> None:
        # In a process of its own: libzmq aborts one whose connection is closed in the middle of a message.
        subprocess.run([sys.executable, __file__, name, endpoint], stderr=subprocess.DEVNULL, check=False)

    def do_subscriptions(self) -> None:
        self._flood("subscriptions", self.station.endpoint)

    def do_parts(self) -> None:
        if self.rng.random() < 0.5:
            self._flood("parts", self.station.endpoint)
        else:
            self._flood("question parts", self.station.replay_endpoint)

    def do_user_messages(self) -> None:
        self._flood("user messages", self.station.endpoint)

    def do_questions(self) -> None:
        self._flood("questions", self.station.replay_endpoint)

    def do_stopped_subscriber(self) -> None:
        program = (
            "import sys, zmq, os, signal; s = zmq.Context().socket(zmq.SUB); s.rcvhwm = 1; s.connect(sys.argv[1]);"
            "s.subscribe(b''); s.recv_multipart(); os.kill(os.getpid(), signal.SIGSTOP)"
        )
        with subprocess.Popen([sys.executable, "-c", program, self.station.endpoint]) as dead:
            time.sleep(3)
            dead.kill()

    def do_good_reload(self) -> None:
        self.station.reload(self.station.good.replace("0.01", f"0.0{self.rng.randint(1, 9)}"))

    def do_bad_reload(self) -> None:
        self.station.reload(
            self.rng.choice(
                [
                    "treshold = 1\n",
                    "threshold = [",
                    "\0\xff",
                    "threshold = 7\n",
                    "a = " + "[" * 10**5,
                    "hop = " + "9" * 400,
                ]
            )
        )
        self.station.config.write_text(self.station.good)

    def do_kill_sound_server(self) -> None:
        self.player.pause()
        self.pulse.stop()
        time.sleep(self.rng.uniform(0, 3))
        self.pulse.start()
        self.player.play()

    def do_stop_and_continue(self) -> None:
        self.station.process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 2.0))
        self.station.process.send_signal(signal.SIGCONT)

    def do_nothing(self) -> None:
        time.sleep(1)


if __name__ == "__main__":
    flood(*sys.argv[1:])
