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
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import zmq

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from chaos_attacks import Attacks  # noqa: E402 - its folder is on the path from here on
from chaos_station import Player, Station, Subscriber  # noqa: E402
from sound_server import Pulse, missing, wait_for  # noqa: E402

from birdwatch.errors import SinkError  # noqa: E402
from birdwatch.messaging.replay import ask  # noqa: E402

SUBSCRIBERS = 10
# Before the first look at the station's resources, and before the last: its buffers are full, closed peers are gone.
SETTLE_S = 12.0
MEMORY_MB, DESCRIPTORS, THREADS = 40.0, 6, 2
# A block of the sound server, and the daemon's turn in which a status is made.
BLOCK_S = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
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
