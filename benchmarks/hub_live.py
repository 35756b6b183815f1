"""What a hub costs: many browsers on the live page, and many messages a second.

usage: python benchmarks/hub_live.py [--browsers 200] [--rate 2000] [--stations 10] [--seconds 30]

Starts `birdwatch hub` with an empty SQLite store and stations on this machine, and prints the processor time and the
memory of its process. First one station sends what a live one sends (2 spectra and 1 detection a second, an event every
10 s, a status every 5 s) while the browsers read it; then all of them send `--rate` messages a second (7 detections, 2
events, 1 status in 10) without a browser. Every message must be in the store afterwards. The stations are plain PUB
sockets, which send spectra to every subscriber: the hub counts those as unreadable.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import zmq

TICK_S = 0.05
LEVELS = base64.b64encode(bytes(5 * 128)).decode()


def utc() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def message(station: str, kind: str, seq: int | None) -> list[bytes]:
    """A message as a station sends it."""
    now = utc()
    names = {"label": f"sp{(seq or 0) % 50:03d}", "common_name": "Some Bird", "scientific_name": "Avis quaedam"}
    span = {"start": now, "end": now, "start_s": 0.0, "end_s": 5.0, "event_id": f"{station}-{seq}"}
    fields: dict[str, dict[str, Any]] = {
        "detection": {**names, **span, "score": 0.9, "threshold": 0.5, "start_frame": 0},
        "event": {**names, **span, "max_score": 0.9, "mean_score": 0.8, "windows": 2, "clip": None},
        "status": {
            "state": "listening",
            "reason": None,
            "flags": [],
            "device": "mic",
            "model": "birdwatch-647",
            "seconds": {"analysed": (seq or 0) / 10, "skipped_silent": 0.0},
            "latency_ms": {"p50": 40.0, "p95": 60.0},
        },
        "spectrum": {"start": now, "start_s": 0.0, "column_s": 0.1, "columns": 5, "bands": 128, "levels": LEVELS},
    }
    head = {"schema": "birdwatch/1", "kind": kind, "station": station, "source": "mic", "boot_id": station, "sent": now}
    body = {**head, "version": "0", "filter": None, **({} if seq is None else {"seq": seq}), **fields[kind]}
    return [f"birdwatch/1/{kind}/{station}/-/".encode(), json.dumps(body).encode()]


def send(ports: list[int], orders: Any, answers: Any) -> None:
    """Send as ordered: ("live", seconds), ("rate", a second, seconds), None; answers how many were sent so far."""
    sockets = []
    for port in ports:
        sock: Any = zmq.Context.instance().socket(zmq.PUB)
        sock.set_hwm(100_000)
        sock.bind(f"tcp://127.0.0.1:{port}")
        sockets.append(sock)
    seqs = [0] * len(ports)

    def publish(at: int, kind: str) -> None:
        seqs[at] += kind != "spectrum"
        sockets[at].send_multipart(message(f"s{at}", kind, None if kind == "spectrum" else seqs[at]))

    while (order := orders.get()) is not None:
        began = time.perf_counter()
        turn = done = 0
        while time.perf_counter() - began < order[-1]:
            if order[0] == "live":
                for kind, every in (("spectrum", 10), ("detection", 20), ("event", 200), ("status", 100)):
                    if turn % every == 0:
                        publish(0, kind)
            else:
                while done < order[1] * (time.perf_counter() - began):
                    publish(
                        done % len(ports), ["status", "event", "event"][done % 10] if done % 10 < 3 else "detection"
                    )
                    done += 1
            turn += 1
            time.sleep(max(0.0, began + turn * TICK_S - time.perf_counter()))
        answers.put(sum(seqs))


async def browse(port: int, count: int, told: Any, stop: Any) -> None:
    """`count` browsers on the live page of s0."""
    got = [0] * count

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/v1/live?station=s0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        while data := await reader.read(65536):
            got[number] += data.count(b"event: spectrum")

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    while not stop.is_set():
        await asyncio.sleep(0.5)
    told.put((min(got), max(got)))
    for task in tasks:
        task.cancel()


def browsers(port: int, count: int, told: Any, stop: Any) -> None:
    asyncio.run(browse(port, count, told, stop))


def processor_s(process: int) -> float:
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def stored(file: Path) -> int:
    with closing(sqlite3.connect(file)) as database:
        tables = ("events", "detections", "statuses")
        return sum(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


def wait(condition: Any, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if condition():
                return True
        except (OSError, sqlite3.Error):
            pass
        time.sleep(0.1)
    return False


def answering(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/stations", timeout=5) as answer:
        return bool(answer.status == 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=200)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--stations", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    ports, http = [free_port() for _ in range(given.stations)], free_port()
    orders, answers, told = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Queue()  # type: ignore[var-annotated]
    stop = multiprocessing.Event()
    sender = multiprocessing.Process(target=send, args=(ports, orders, answers), daemon=True)
    sender.start()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hub.db"
        options = ["--http", f"127.0.0.1:{http}", "--store", f"sqlite:///{file}"]
        command = [sys.executable, "-m", "birdwatch", "hub", *options]
        for at, port in enumerate(ports):
            command += ["--station", f"s{at}=tcp://127.0.0.1:{port},replay=off"]
        hub = subprocess.Popen(command, env={**os.environ, "XDG_STATE_HOME": folder})
        crowd = multiprocessing.Process(target=browsers, args=(http, given.browsers, told, stop), daemon=True)
        try:
            assert wait(lambda: answering(http), 60), "the hub did not start"
            time.sleep(3)
            print(f"at rest: {resident_mb(hub.pid):.0f} MB")
            crowd.start()
            orders.put(("live", 5.0))
            answers.get()
            before, began = processor_s(hub.pid), time.perf_counter()
            orders.put(("live", given.seconds))
            answers.get()
            took = time.perf_counter() - began
            busy = processor_s(hub.pid) - before
            print(f"{given.browsers} browsers: {100 * busy / took:.1f} % of a core, {resident_mb(hub.pid):.0f} MB")
            stop.set()
            low, high = told.get()
            print(f"spectra received by each: {low} to {high} of about {2 * (given.seconds + 5):.0f}")
            crowd.join()
            before, began = processor_s(hub.pid), time.perf_counter()
            orders.put(("rate", given.rate, given.seconds))
            sent = answers.get()
            behind = time.perf_counter()
            whole = wait(lambda: stored(file) >= sent, 120)
            busy, took = processor_s(hub.pid) - before, time.perf_counter() - began
            print(
                f"{given.rate} messages a second for {given.seconds:g} s: {stored(file)} of {sent} in the store, "
                f"{'all' if whole else 'NOT all'} {time.perf_counter() - behind:.1f} s after the last; "
                f"{100 * busy / took:.0f} % of a core, {resident_mb(hub.pid):.0f} MB"
            )
        finally:
            orders.put(None)
            hub.terminate()
            hub.wait()
            sender.join()


if __name__ == "__main__":
    main()
