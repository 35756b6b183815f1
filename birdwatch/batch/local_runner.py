"""Scores several recordings in parallel into the run database; one that fails does not affect the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from queue import Empty, Queue

from birdwatch.batch.jobs import Job
from birdwatch.batch.progress import Meter
from birdwatch.batch.request import RunRequest
from birdwatch.batch.scoring import ResultWriter, Scoring, score_job
from birdwatch.batch.staged_scoring import score_staged
from birdwatch.batch.staging import Staging
from birdwatch.errors import InferenceError, SourceError
from birdwatch.model.session import CPU
from birdwatch.process import cores

__all__ = ["Outcome", "View", "score_all", "score_jobs"]

View = Callable[[Meter], AbstractContextManager[Callable[[], None]]]
Score = Callable[[Job, Scoring, ResultWriter, Callable[[float], None]], str]

# How often the progress is shown, and a stop is noticed, in seconds.
LOOK_UP_S = 0.2


class _StoppedError(Exception):
    """Another recording met an error that ends the run, or the user stopped it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one recording: why it failed, or what is wrong with it; both may be empty."""

    job: Job
    fault: str = ""
    warning: str = ""


def score_all(
    request: RunRequest,
    jobs: Sequence[Job],
    scoring: Scoring,
    writer: ResultWriter,
    meter: Meter,
    view: View,
    *,
    score: Score = score_job,
) -> list[Outcome]:
    """Score jobs with one model, several recordings at once. score: scores one, see `score_job`."""
    at_once = min(request.jobs, max(1, len(jobs)))
    # Recordings scored in parallel share the cores; each has at least one.
    in_flight = max(1, -(-cores() // at_once)) if scoring.classifier.provider == CPU else None
    scoring = replace(scoring, in_flight=in_flight, floors=writer.floors)
    with view(meter) as show:
        return score_jobs(jobs, scoring, writer, meter, at_once=at_once, show=show, score=score)


def score_jobs(
    jobs: Sequence[Job],
    scoring: Scoring,
    writer: ResultWriter,
    meter: Meter,
    *,
    at_once: int,
    show: Callable[[], None],
    score: Score = score_job,
) -> list[Outcome]:
    """Score `jobs`, `at_once` of them side by side, and say how each went, in their order.

    show: called a few times a second. Whatever ends the run early (KeyboardInterrupt, SinkError ...) is raised once
    all threads have stopped; `writer` then has the recordings that were done.
    """
    stop = threading.Event()

    def one(job: Job) -> Outcome:
        def advance(seconds: float) -> None:
            if stop.is_set():
                raise _StoppedError
            meter.advance(job, seconds)

        if stop.is_set():
            raise _StoppedError
        try:
            if job.fault is not None:
                meter.finish(job, failed=True)
                return Outcome(job, fault=job.fault)
            warning = score_staged(score, job, scoring, writer, advance, staging=staging)
        except (SourceError, InferenceError) as error:
            meter.finish(job, failed=True)
            return Outcome(job, fault=str(error))
        meter.finish(job, warned=bool(warning))
        return Outcome(job, warning=warning)

    # No SimpleQueue: its time-out is lost where a signal handler outlasts it.
    finished: Queue[Future[Outcome]] = Queue()
    with Staging(jobs, at_once) as staging, ThreadPoolExecutor(at_once, thread_name_prefix="recording") as pool:
        try:
            futures = [pool.submit(one, job) for job in jobs]
            for future in futures:
                future.add_done_callback(finished.put)
            left = len(futures)
            while left:
                with suppress(Empty):
                    finished.get(timeout=LOOK_UP_S).result()
                    left -= 1
                show()
        except BaseException:
            stop.set()
            staging.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]
