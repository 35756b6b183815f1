"""A hub and a station, each a process of its own, killed at random: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hubs import eventually
from sqlalchemy import text

from birdwatch.hub.store import Store

KILLS = 20
SUPPORT = Path(__file__).parents[1] / "support"

STATION = """
import sys, time, uuid
from pathlib import Path
from hubs import event
from birdwatch.messaging.messages import Envelope
from birdwatch.messaging.publisher import Publisher

folder, bind, replay = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
boot = uuid.uuid4().hex
with Publisher(bind, Envelope("garden", "mic", boot), journal=folder / "journal.db", journal_max_bytes=10**8,
               replay_endpoint=replay) as station:
    number = 0
    while True:
        station.poll()
        for _ in range(5):
            station.publish(event(number, boot))
            number += 1
        time.sleep(0.02)
"""

HUB = """
import sys, threading
from birdwatch.hub.intake import Intake
from birdwatch.hub.origin import Origin
from birdwatch.hub.store import Store

intake = Intake(Store(sys.argv[1]), [Origin("garden", sys.argv[2], sys.argv[3])])
intake.start()
threading.Event().wait()
"""


def free_endpoint() -> str:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{sock.getsockname()[1]}"


def read(url: str, query: str) -> list[Any]:
    store = Store(url, read_only=True)
    try:
        with store.reading() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        store.close()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_both_are_killed_twenty_times(tmp_path: Path, store_url: str) -> None:
    Store(store_url).close()
    bind, replay = free_endpoint(), free_endpoint()
    calls = {"station": [STATION, str(tmp_path), bind, replay], "hub": [HUB, store_url, bind, replay]}

    def start(name: str) -> subprocess.Popen[bytes]:
        code, *words = calls[name]
        return subprocess.Popen(
            [sys.executable, "-c", code, *words], env={"PYTHONPATH": str(SUPPORT)}, cwd=SUPPORT.parents[1]
        )

    def count() -> int:
        return int(read(store_url, "SELECT count(*) FROM events")[0][0])

    def grown(by: int) -> Callable[[], bool]:
        before = count()
        return lambda: count() >= before + by

    pick = random.Random(18)
    running = {name: start(name) for name in calls}
    try:
        for _ in range(KILLS):
            # At a random point of what it does: while it starts, asks for what it missed, or stores.
            if pick.random() < 0.7:
                eventually(grown(pick.randrange(1, 200)))
            victim = pick.choice(["hub", "station", "both"])
            for name in calls if victim == "both" else [victim]:
                running[name].send_signal(signal.SIGKILL)
                running[name].wait()
                running[name] = start(name)
        eventually(grown(200))
        running["station"].kill()
        running["station"].wait()
        with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
            kept = Counter(journal.execute("SELECT boot_id, seq FROM messages JOIN boots USING (boot)").fetchall())
        # One more start: what was missed before it is asked for then.
        running["station"] = start("station")
        boots = {boot for boot, _ in kept}
        eventually(lambda: len(read(store_url, "SELECT 1 FROM boots")) > len(boots) and grown(1)())
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    stored = Counter(
        (row[0], row[1]) for row in read(store_url, "SELECT boot_id, seq FROM events JOIN boots ON boots.id = boot")
    )
    assert not [key for key, times in stored.items() if times > 1]
    assert not set(kept) - set(stored)
    for boot_id, through, holes, lost in read(store_url, "SELECT boot_id, through, holes, lost FROM boots"):
        have = sum(boot == boot_id for boot, _ in stored)
        missing = sum(last - first + 1 for first, last in json.loads(holes))
        # Lost is only what was on no disk when the station was killed: it is counted.
        assert have + missing + lost == through
        assert missing == 0
    total = len(stored)
    assert read(store_url, "SELECT sum(events) FROM species_stations") == [(total,)]
    assert read(store_url, "SELECT sum(events) FROM species_weeks") == [(total,)]
