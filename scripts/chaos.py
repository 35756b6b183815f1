"""A real station under attack for a long time, and whether it is unharmed in the end.

    python scripts/chaos.py --seconds 3600 [--seed 1]

A PulseAudio server with a null sink, `birdwatch listen` on it, ten subscribers and, at random, what strangers, sound
servers and administrators do: floods of connections, subscriptions, message parts and questions, rubbish, peers that
stop dead, the sound server killed and started, reloads good and bad, the station stopped and continued. Loopback only.

It fails unless, in the end: every subscriber has, with replay, every message exactly once; every second is accounted
for (captured = analysed + skipped_silent + dropped + pending, and wall time = captured + gap + inactive + drift);
memory, descriptors and threads are where they were; and SIGTERM is obeyed in five seconds with exit code 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import zmq

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from peers import GREETING, RawPeer, ready, subscribe  # noqa: E402 - its folder is on the path from here on
from sound_server import Pulse, missing, wait_for  # noqa: E402
from tiny_model import write_tiny_model  # noqa: E402

from birdwatch.errors import SinkError  # noqa: E402
from birdwatch.messaging.replay import ask  # noqa: E402

SUBSCRIBERS = 10
# Before the first look at the station's resources, and before the last: its buffers are full, closed peers are gone.
SETTLE_S = 12.0
MEMORY_MB, DESCRIPTORS, THREADS = 40.0, 6, 2
# A block of the sound server, and the daemon's turn in which a status is made.
BLOCK_S = 0.6
RATE_HZ = 48000


class Subscriber(threading.Thread):
    """Keeps the numbers of what it received."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        super().__init__(daemon=True)
        self.seqs: list[tuple[str, int]] = []
        self.statuses: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._socket = context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self._socket.subscribe(b"birdwatch/1/")

    def run(self) -> None:
        """Receive until `ended`."""
        while not self.ended.is_set():
            if self._socket.poll(100):
                value = json.loads(self._socket.recv_multipart()[1])
                self.seqs.append((value["boot_id"], value["seq"]))
                if value["kind"] == "status":
                    self.statuses.append(value)
        self._socket.close()


class Station:
    """The process under attack."""

    def __init__(self, pulse: Pulse, folder: Path) -> None:
        ports = [free_port() for _ in range(2)]
        self.endpoint, self.replay_endpoint = (f"tcp://127.0.0.1:{port}" for port in ports)
        self.config, self.log = folder / "station.toml", folder / "log"
        self.good = (
            f'station = "chaos"\nmodel = "{write_tiny_model(folder / "tiny.onnx")}"\ndevice = "default"\n'
            f'threshold = 0.01\nrecording_seconds = 5.0\nbind = "{self.endpoint}"\n'
            f'replay_bind = "{self.replay_endpoint}"\njournal = "{folder / "messages.db"}"\n'
        )
        self.config.write_text(self.good)
        self.restarts = 0
        self._pulse, self._folder = pulse, folder
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "birdwatch", "listen", "--config", str(self.config)]
        with self.log.open("a") as stream:
            # Its threads are in the log where it has to be aborted.
            env = {**self._pulse.env, "PYTHONFAULTHANDLER": "1"}
            return subprocess.Popen(command, env=env, stderr=stream, cwd=self._folder, preexec_fn=_no_hangup)

    def ended(self) -> str | None:
        """Why it has ended, if it has; started again, as systemd would, where the sound library hangs for good."""
        code = self.process.poll()
        if code is None:
            return None
        # PortAudio writes there too, between and after birdwatch's own lines.
        log = "\n".join(line for line in self.log.read_text().splitlines() if not line.startswith("Expression"))
        if code == 1 and "the sound system has not answered" in log.strip().splitlines()[-1]:
            self.restarts += 1
            self.process = self._started()
            return None
        return f"the station has ended ({code}): {log[-3000:]}"

    def resources(self) -> tuple[float, int, int]:
        """Resident memory in MB, descriptors, threads."""
        own = Path(f"/proc/{self.process.pid}")
        pages = int((own / "statm").read_text().split()[1])
        return (
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len(list((own / "fd").iterdir())),
            len(list((own / "task").iterdir())),
        )

    def reload(self, text: str) -> None:
        """Read another configuration."""
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)


def _no_hangup() -> None:
    """As nohup does: until the interpreter has loaded the station, nobody can take the signal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


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
        subprocess.run([sys.executable, __file__, "--flood", name, endpoint], stderr=subprocess.DEVNULL, check=False)

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


class Player:
    """Sound into the null sink, again and again."""

    def __init__(self, pulse: Pulse, folder: Path) -> None:
        self._pulse, self._path = pulse, folder / "sound.wav"
        rng, t = np.random.default_rng(0), np.arange(30 * RATE_HZ) / RATE_HZ
        sound = 0.05 * rng.normal(size=len(t)) + 0.2 * np.sin(2 * np.pi * 3000 * t) * (t % 7 < 2)
        soundfile.write(self._path, sound, RATE_HZ)
        self._playing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, daemon=True).start()
        self.play()

    def play(self) -> None:
        self._playing.set()

    def pause(self) -> None:
        self._playing.clear()
        if self._process is not None:
            self._process.kill()

    def _run(self) -> None:
        while True:
            self._playing.wait()
            self._process = self._pulse.play(self._path)
            self._process.wait()
            time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flood", nargs=2, metavar=("NAME", "ENDPOINT"), help="Only this attack, on this station.")
    options = parser.parse_args()
    if options.flood is not None:
        flood(*options.flood)
        return
    if (fault := missing()) is not None:
        sys.exit(f"chaos: {fault}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        faults = chaos(Path(name), options.seconds, random.Random(options.seed))
    for fault in faults:
        print(f"FAULT: {fault}")
    print("chaos: " + (f"{len(faults)} faults" if faults else "unharmed"))
    sys.exit(bool(faults))


def chaos(folder: Path, seconds: float, rng: random.Random) -> list[str]:
    """Everything that is wrong in the end."""
    pulse = Pulse(folder)
    pulse.start()
    player = Player(pulse, folder)
    station = Station(pulse, folder)
    context: zmq.Context[Any] = zmq.Context()
    subscribers = [Subscriber(context, station.endpoint) for _ in range(SUBSCRIBERS)]
    try:
        for subscriber in subscribers:
            subscriber.start()
        wait_for(lambda: subscribers[0].statuses and subscribers[0].statuses[-1]["state"] == "listening", "station")
        time.sleep(SETTLE_S)
        before = station.resources()
        attacks = Attacks(station, pulse, player, rng)
        end, peak = time.monotonic() + seconds, before[0]
        while time.monotonic() < end:
            attacks.one()
            if (fault := station.ended()) is not None:
                return [fault]
            peak = max(peak, station.resources()[0])
        print("attacks:", ", ".join(f"{name} {count}" for name, count in sorted(attacks.counts.items())))
        settled = time.monotonic() + SETTLE_S
        while time.monotonic() < settled or subscribers[0].statuses[-1]["state"] != "listening":
            time.sleep(0.5)
            if (fault := station.ended()) is not None:
                return [fault]
            if time.monotonic() > settled + 60:
                return [f"it does not listen again: {station.log.read_text()[-3000:]}"]
        after = station.resources()
        print(
            f"memory MB {before[0]:.0f}, at most {peak:.0f}, then {after[0]:.0f}; descriptors {before[1]}, {after[1]}; "
            f"threads {before[2]}, {after[2]}; started again {station.restarts} times"
        )
        faults = resource_faults(before, after) + replay_faults(station, subscribers)
        statuses = subscribers[0].statuses
        faults += terminated(station)
        time.sleep(1.0)
        print("connections:", statuses[-1]["connections"], "message log:", statuses[-1]["journal"])
        boots = dict.fromkeys(status["boot_id"] for status in statuses)
        return faults + [f for boot in boots for f in accounting_faults([s for s in statuses if s["boot_id"] == boot])]
    finally:
        for subscriber in subscribers:
            subscriber.ended.set()
        for subscriber in subscribers:
            subscriber.join(2)
        context.destroy(0)
        station.process.kill()
        station.process.wait()
        player.pause()
        pulse.stop()


def resource_faults(before: tuple[float, int, int], after: tuple[float, int, int]) -> list[str]:
    limits = zip(
        ("MB of memory", "descriptors", "threads"), before, after, (MEMORY_MB, DESCRIPTORS, THREADS), strict=True
    )
    return [f"{b:.0f} {name} before, {a:.0f} after" for name, b, a, more in limits if a > b + more]


def replay_faults(station: Station, subscribers: list[Subscriber]) -> list[str]:
    """What each subscriber lacks or has twice, once replay has filled the holes."""
    kept: set[tuple[str, int]] = set()
    try:
        # From before everything: an unknown boot is answered with all there is.
        for page in ask(station.replay_endpoint, 0, "none", timeout_s=20):
            kept |= {(entry.boot_id, entry.seq) for entry in page.entries}
    except SinkError as error:
        return [f"replay does not answer: {error}"]
    faults = []
    for number, subscriber in enumerate(subscribers):
        got = list(subscriber.seqs)
        newest: dict[str, int] = {}
        for boot, seq in got:
            newest[boot] = max(seq, newest.get(boot, 0))
        lacks = {(boot, seq) for boot, last in newest.items() for seq in range(1, last + 1)} - set(got) - kept
        if lacks or len(set(got)) != len(got):
            faults.append(f"subscriber {number} lacks {sorted(lacks)[:5]}, has {len(got) - len(set(got))} twice")
    print(f"messages kept {len(kept)}; received live at least {min(len(set(s.seqs)) for s in subscribers)}")
    return faults


def terminated(station: Station) -> list[str]:
    began = time.monotonic()
    station.process.send_signal(signal.SIGTERM)
    try:
        code = station.process.wait(15)
    except subprocess.TimeoutExpired:
        station.process.send_signal(signal.SIGABRT)
        station.process.wait(15)
        return [f"SIGTERM was not obeyed in 15 s: {station.log.read_text()[-5000:]}"]
    took_s = time.monotonic() - began
    print(f"SIGTERM: exit code {code} after {took_s:.1f} s")
    return [f"SIGTERM: exit code {code} after {took_s:.1f} s"] if code or took_s > 5 else []


def accounting_faults(statuses: list[dict[str, Any]]) -> list[str]:
    """The first and the last status against each other and the wall clock."""
    listening = [status for status in statuses if status["state"] == "listening"]
    if not listening:
        return []
    first, last = listening[0], statuses[-1]
    faults = []
    for status in statuses:
        seconds = status["seconds"]
        parts = seconds["analysed"] + seconds["skipped_silent"] + seconds["dropped"] + seconds["pending"]
        if abs(seconds["captured"] - parts) > 0.003:  # each rounded to a millisecond
            faults.append(f"status {status['seq']}: captured {seconds['captured']}, its parts {parts}")

    def told(status: dict[str, Any]) -> float:
        return sum(status["seconds"].get(name, 0.0) for name in ("captured", "gap", "inactive", "drift"))

    wall_s = (datetime.fromisoformat(last["sent"]) - datetime.fromisoformat(first["sent"])).total_seconds()
    told_s = told(last) - told(first)
    print(f"wall {wall_s:.2f} s, accounted {told_s:.2f} s; {json.dumps(last['seconds'])}")
    if abs(wall_s - told_s) > BLOCK_S:
        faults.append(f"wall time {wall_s:.2f} s, captured + gap + inactive + drift {told_s:.2f} s")
    return faults[:5]


if __name__ == "__main__":
    main()
