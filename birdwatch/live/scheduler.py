"""Scores the windows of all stations on one model: in batches, in rotation, with bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

from birdwatch.audio.types import FloatArray, Window
from birdwatch.live.listener import MAX_PENDING
from birdwatch.live.results import Fault, Found, Silent
from birdwatch.live.scorer import Scorer, scores_of
from birdwatch.live.source import Clock
from birdwatch.live.station import Station

__all__ = ["Scheduler"]

# How long a batch may wait to become full where only full ones are efficient (CUDA). Detections are to be published
# within half a second.
BUDGET_S = 0.15
# Windows of one station that may wait on average when there are many: two hold the 4 MB that a station may take.
WAITING_PER_STATION = 2
# Batches that are ready for each worker beside the one that it computes: it need not wait for the next turn.
READY = 3


@dataclass(slots=True)
class _Batch:
    """Windows that are being scored, and the stations that they belong to, in order."""

    parts: list[tuple[Station, list[Window]]]
    answers: Future[list[FloatArray | str]]


class Scheduler:
    """`turn` scores a part of what waits and gives the results to the stations that the windows belong to.

    executor: where batches are computed, `workers` at a time and READY more for each, while stations capture;
    None computes them in `turn`.
    Every station with waiting windows gets the same share of each batch, so one that floods or lags costs no other.
    Where more waits in all than the machine can score in time, the station with most waiting windows loses its oldest.
    """

    def __init__(self, scorer: Scorer, clock: Clock, *, executor: Executor | None = None, workers: int = 1) -> None:
        self.failing = False
        self._scorer = scorer
        self._clock = clock
        self._executor = executor
        self._at_once = 1 if executor is None else workers * (1 + READY)
        self._batches: deque[_Batch] = deque()
        self._rotation = 0
        self._waiting_since: float | None = None

    @property
    def busy(self) -> bool:
        """Whether windows are being scored."""
        return bool(self._batches)

    def turn(self, stations: Sequence[Station]) -> bool:
        """Take in finished batches, begin others; True when anything was settled. Never waits with an executor."""
        settled = self._collect()
        self._shed(stations)
        while len(self._batches) < self._at_once and self._worthwhile(stations):
            parts, passed = self._take(stations)
            settled |= passed
            if not parts:
                break
            self._begin(parts)
            if self._executor is None:
                settled |= self._collect()
                break
        return settled

    def wait(self, timeout_s: float) -> None:
        """Wait for the oldest batch, at most `timeout_s`."""
        if self._batches:
            wait([self._batches[0].answers], timeout=timeout_s)

    def _take(self, stations: Sequence[Station]) -> tuple[list[tuple[Station, list[Window]]], bool]:
        """A batch of windows, taken in rotation, and whether any were passed by as silent."""
        order = [*stations[self._rotation :], *stations[: self._rotation]]
        waiting = [station for station in order if station.listener.queued]
        room = self._scorer.batch_size
        share = max(1, room // max(1, len(waiting)))
        parts: list[tuple[Station, list[Window]]] = []
        passed = False
        # A station without a waiting window may still have events to end.
        for station in order:
            if station.listener.idle:
                continue
            results, windows = station.listener.take(min(share, room))
            passed |= self._report(station, results)
            if windows:
                parts.append((station, windows))
                room -= len(windows)
            if not room:
                self._rotation = (stations.index(station) + 1) % len(stations)
                break
        return parts, passed

    def _begin(self, parts: list[tuple[Station, list[Window]]]) -> None:
        windows = [window for _, part in parts for window in part]
        if self._executor is None:
            answers: Future[list[FloatArray | str]] = Future()
            answers.set_result(scores_of(self._scorer, windows))
        else:
            answers = self._executor.submit(scores_of, self._scorer, windows)
        self._batches.append(_Batch(parts, answers))
        self._waiting_since = None

    def _collect(self) -> bool:
        """Give finished batches' scores to their stations, in the order in which they were begun."""
        settled = False
        while self._batches and self._batches[0].answers.done():
            batch = self._batches.popleft()
            answers, start = batch.answers.result(), 0
            for station, windows in batch.parts:
                end = start + len(windows)
                settled |= self._report(station, station.listener.settle(windows, answers[start:end]))
                start = end
        return settled

    def _report(self, station: Station, results: Sequence[object]) -> bool:
        station.report(results)  # type: ignore[arg-type]
        scored = any(isinstance(result, Found | Silent) for result in results)
        if scored:
            self.failing = False
        elif any(isinstance(result, Fault) and result.kind == "inference" for result in results):
            self.failing = True
        return scored

    def _shed(self, stations: Sequence[Station]) -> None:
        """Drop whole oldest windows where more wait than can be scored in time, at the station that is behind most."""
        urgent = [station for station in stations if not station.source.traits.can_wait]
        limit = max(MAX_PENDING, WAITING_PER_STATION * len(stations))
        for _ in range(sum(station.listener.queued for station in urgent) - limit):
            behind = max(urgent, key=lambda station: station.listener.queued)
            behind.report(behind.listener.drop_oldest())

    def _worthwhile(self, stations: Sequence[Station]) -> bool:
        """Whether to begin a batch now: on a CPU at once, on CUDA when it is full or the oldest has waited enough."""
        if self._executor is None or "CPU" in self._scorer.provider:
            return True
        queued = sum(station.listener.queued for station in stations)
        if not queued or queued >= self._scorer.batch_size:
            return True
        now = self._clock.now().awake_ns / 1e9
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        return now - self._waiting_since >= BUDGET_S
