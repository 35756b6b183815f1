"""The progress of a run: audio done and left, speed, and estimated time left."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from birdwatch.batch.jobs import Job, Section
from birdwatch.standard_streams import discard_stdout

__all__ = ["Meter", "json_line", "json_view", "terminal_view"]

# A program needs no more than one line per second.
JSON_EVERY_S = 1.0


class Meter:
    """Counts what is done; safe to call from several threads. clock: seconds, any origin.

    Audio that an earlier run has scored is neither done nor left: the speed and the time to go are this run's.
    """

    def __init__(self, jobs: Iterable[Job], *, resumed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._began = clock()
        self._behind_s: dict[tuple[tuple[str, int], Section | None], float] = {}
        self.total = self.resumed = resumed
        self.done = 0
        self.failed = 0
        self.warnings = 0
        self.done_s = 0.0
        self.left_s = 0.0
        for job in jobs:
            self.total += 1
            self.left_s += job.duration_s

    def add_resumed(self, count: int) -> None:
        """Count recordings that an earlier run scored."""
        self.resumed += count
        self.total += count

    def advance(self, job: Job, seconds: float) -> None:
        """More seconds of this recording's audio are scored."""
        with self._lock:
            behind = self._behind_s.get((job.key, job.section), 0.0)
            self._behind_s[job.key, job.section] = behind + seconds
            self.done_s += seconds
            self.left_s -= min(seconds, max(0.0, job.duration_s - behind))

    def finish(self, job: Job, *, failed: bool = False, warned: bool = False) -> None:
        """The recording is done: audio that its header claimed but that does not exist is no longer left to do."""
        with self._lock:
            self.left_s -= max(0.0, job.duration_s - self._behind_s.pop((job.key, job.section), 0.0))
            self.done += not failed
            self.failed += failed
            self.warnings += warned

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began to score."""
        return self._clock() - self._began

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values; `eta_s` is None until there is a speed to tell it from."""
        with self._lock:
            elapsed_s = self.elapsed_s
            speed = self.done_s / elapsed_s if elapsed_s > 0 else 0.0
            left_s = max(0.0, self.left_s)
            return {
                "recordings": self.total,
                "done": self.done,
                "resumed": self.resumed,
                "failed": self.failed,
                "warnings": self.warnings,
                "audio_s_done": round(self.done_s, 3),
                "audio_s_left": round(left_s, 3),
                "elapsed_s": round(elapsed_s, 3),
                "times_real_time": round(speed, 2),
                "eta_s": round(left_s / speed, 1) if speed > 0 else None,
            }


@contextmanager
def json_view(meter: Meter) -> Iterator[Callable[[], None]]:
    """One JSON object per line on stdout, at most one per second and one at the end."""
    last = -JSON_EVERY_S

    def show() -> None:
        nonlocal last
        if meter.elapsed_s - last >= JSON_EVERY_S:
            last = meter.elapsed_s
            json_line({"kind": "progress", **meter.snapshot()})

    show()
    yield show
    json_line({"kind": "scored", **meter.snapshot()})


def json_line(values: Mapping[str, Any]) -> None:
    """A JSON object as a line on stdout; without a reader the run continues, after one warning."""
    try:
        print(json.dumps(values), flush=True)
    except OSError as error:
        discard_stdout()
        reason = "its reader is gone" if isinstance(error, BrokenPipeError) else error.strerror
        print(f"birdwatch: warning: --json-progress cannot be written ({reason}); the run continues", file=sys.stderr)


@contextmanager
def terminal_view(meter: Meter) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr where that is a terminal; nothing where it is not."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(12), TextColumn("{task.percentage:>3.0f} % {task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show() -> None:
            state = meter.snapshot()
            done_s, left_s = state["audio_s_done"], state["audio_s_left"]
            bar.update(task, completed=done_s, total=done_s + left_s, description=_sentence(state))

        yield show


def _sentence(state: dict[str, Any]) -> str:
    done_h, left_h = state["audio_s_done"] / 3600, state["audio_s_left"] / 3600
    parts = [
        f"{state['done'] + state['resumed'] + state['failed']}/{state['recordings']} recordings",
        f"{done_h:.2f} h done, {left_h:.2f} left",
        f"{state['times_real_time']:.0f} x",
    ]
    if state["eta_s"] is not None:
        minutes, seconds = divmod(round(state["eta_s"]), 60)
        parts.append(f"ready in {minutes // 60}:{minutes % 60:02d}:{seconds:02d}")
    if state["failed"]:
        parts.append(f"{state['failed']} failed")
    return " · ".join(parts)
