"""Windows of many stations on one model: fair shares, bounded waiting, losses where they belong."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np
from fakes import FakeClock, FakeOutlet, FakeScorer
from stations import RATE_HZ
from tiny_model import manifest

from birdwatch.live.listener import MAX_PENDING, Listener
from birdwatch.live.message_builder import Reporter
from birdwatch.live.scheduler import BUDGET_S, Scheduler
from birdwatch.live.source import DEVICE, Chunk
from birdwatch.live.station import Station
from birdwatch.scores.events import EventRule
from birdwatch.scores.policy import ScoringPolicy


class LaterExecutor:
    """Runs a call when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def submit(self, call: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls.append((future, call, arguments))
        return future

    def run_one(self) -> None:
        future, call, arguments = self.calls.pop(0)
        future.set_result(call(*arguments))


class Hall:
    def __init__(self, count: int, **scorer: Any) -> None:
        self.clock = FakeClock()
        self.scorer = FakeScorer(manifest())
        for name, value in scorer.items():
            setattr(self.scorer, name, value)
        self.stations = [self._station(f"s{number}") for number in range(count)]

    def _station(self, name: str) -> Station:
        policy = ScoringPolicy((EventRule(0.5, 0.3),) * 3)
        listener = Listener(self.scorer, policy, self.clock.now(), hop_s=2.5, recording_s=60.0, max_pending=10**6)
        outlet = FakeOutlet()
        reporter = Reporter(listener, outlet.publish, self.clock, station=name, boot_id=name, live=True, minutes=True)
        source: Any = type(
            "Source",
            (),
            {"name": name, "live": True, "finished": False, "lost_reason": "device-lost", "traits": DEVICE},
        )()
        return Station(name, source, listener, reporter, outlet, self.clock)

    def feed(self, number: int, windows: int) -> None:
        """Enough audio for so many windows (five seconds for the first, a hop for each further one)."""
        listener = self.stations[number].listener
        frames = round((2.5 * (windows + (listener.accounting.captured == 0))) * RATE_HZ)
        samples = np.random.default_rng(number).normal(0, 0.1, (frames, 1)).astype(np.float32)
        self.clock.advance(frames / RATE_HZ)
        self.stations[number].report(listener.push(Chunk(samples, RATE_HZ, self.clock.now())))

    def windows(self) -> list[int]:
        return [station.listener.windows for station in self.stations]

    def check(self) -> None:
        for station in self.stations:
            accounting = station.listener.accounting
            assert (
                accounting.captured
                == accounting.analysed + accounting.skipped_silent + accounting.dropped + accounting.pending
            )


def test_a_station_that_floods_gets_its_share_and_no_more():
    hall = Hall(4)
    hall.feed(0, 20)
    for number in (1, 2, 3):
        hall.feed(number, 1)
    scheduler = Scheduler(hall.scorer, hall.clock)
    scheduler.turn(hall.stations)
    assert hall.windows() == [1, 1, 1, 1]
    scheduler.turn(hall.stations)
    assert hall.windows() == [5, 1, 1, 1]
    hall.check()


def test_the_rotation_serves_everybody_where_a_batch_is_smaller_than_the_number_of_stations():
    hall = Hall(6, batch_size=2)
    for number in range(6):
        hall.feed(number, 2)
    scheduler = Scheduler(hall.scorer, hall.clock)
    for _ in range(3):
        scheduler.turn(hall.stations)
    assert hall.windows() == [1] * 6


def test_where_too_much_waits_the_station_that_is_behind_most_loses_its_oldest_windows():
    hall = Hall(3)
    hall.feed(0, MAX_PENDING + 6)
    hall.feed(1, 2)
    hall.feed(2, 2)
    scheduler = Scheduler(hall.scorer, hall.clock)
    scheduler.turn(hall.stations)
    assert [station.listener.dropped_windows for station in hall.stations] == [10, 0, 0]
    while any(station.listener.waiting for station in hall.stations):
        scheduler.turn(hall.stations)
    assert hall.windows() == [MAX_PENDING - 4, 2, 2]
    hall.check()


def test_results_come_in_order_while_batches_are_computed_elsewhere():
    hall = Hall(2)
    executor: Any = LaterExecutor()
    scheduler = Scheduler(hall.scorer, hall.clock, executor=executor, workers=2)
    hall.feed(0, 6)
    scheduler.turn(hall.stations)
    hall.feed(1, 1)
    scheduler.turn(hall.stations)
    # Each station has one batch in flight at most, so that its windows are settled in order.
    assert len(executor.calls) == 2
    assert hall.windows() == [0, 0]
    # Overload while windows are in flight: they are scored, what waits behind them is dropped.
    hall.feed(0, MAX_PENDING)
    scheduler.turn(hall.stations)
    dropped = hall.stations[0].listener.dropped_windows
    assert dropped == 2
    hall.check()
    while executor.calls:
        executor.run_one()
        scheduler.turn(hall.stations)
    assert hall.windows() == [6 + MAX_PENDING - dropped, 1]
    assert hall.stations[0].listener.accounting.pending < 2.5 * RATE_HZ
    hall.check()


def test_on_cuda_a_batch_waits_to_become_full_but_not_longer_than_the_budget():
    hall = Hall(3, batch_size=64, provider="CUDAExecutionProvider")
    executor: Any = LaterExecutor()
    scheduler = Scheduler(hall.scorer, hall.clock, executor=executor)
    hall.feed(0, 1)
    scheduler.turn(hall.stations)
    hall.feed(1, 1)
    hall.clock.advance(-5.0)
    scheduler.turn(hall.stations)
    assert executor.calls == []
    hall.clock.advance(5.0 + BUDGET_S)
    scheduler.turn(hall.stations)
    assert len(executor.calls) == 1
    executor.run_one()
    scheduler.turn(hall.stations)
    assert hall.windows() == [1, 1, 0]


def test_a_failing_network_is_known_and_costs_each_station_its_own_windows():
    hall = Hall(2)
    hall.feed(0, 1)
    hall.feed(1, 1)
    hall.scorer.fault = "no"
    scheduler = Scheduler(hall.scorer, hall.clock)
    scheduler.turn(hall.stations)
    assert scheduler.failing
    assert [station.listener.dropped_windows for station in hall.stations] == [1, 1]
    hall.scorer.fault = None
    hall.feed(0, 1)
    scheduler.turn(hall.stations)
    assert not scheduler.failing
    hall.check()
