"""Makes jobs of inputs: reads each recording's length, channels and start before anything is scored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from pathlib import Path
from typing import Literal

from birdwatch.audio.continuation import Place, place_of
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.timestamps import IGNORED, parse_time
from birdwatch.batch.fetching import open_remote
from birdwatch.batch.named_inputs import Input, Inputs
from birdwatch.batch.scratch import Scratch
from birdwatch.errors import ConfigError, SourceError
from birdwatch.paths import text_of

# Decodes in this process: a crash of a single recording affects no other.
IN_PROCESS = Decoders(0)

__all__ = ["IN_PROCESS", "Channel", "Job", "Period", "Section", "look_at", "period_of"]

# Headers on a network drive are waited for, not worked on.
LOOKING_AT_ONCE = 8
# Remote recordings take three requests each.
REMOTE_AT_ONCE = 32

Channel = int | Literal["mix", "each"]


@dataclass(frozen=True, slots=True)
class Section:
    """The windows of a long recording that start from one frame on and before another, at the model's rate.

    end_frame: None of the last section, which reaches to the end.
    """

    start_frame: int
    end_frame: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """One channel of one recording, or its mix (`channel` None), to be scored.

    duration_s is what the header claims. start_utc_ns: ns since 1970, or None where it is unknown. fault: why it
    cannot be scored at all, or None. warning: what is wrong with its start time. place: where it lies in a recording
    that was cut into files, and `end_frame` where it ends. rest: files that continue it and are scored with it.
    rate_hz: the file's. exact_frames: see `AudioFile.exact_frames`. section: what is to be scored of a long recording,
    or None for all. url: where it is, if it is no file here: path is
    then its name there, and mtime_ns a number made of its ETag, or of its time where it has none.
    """

    name: str
    path: Path
    channel: int | None
    size_bytes: int
    mtime_ns: int
    duration_s: float = 0.0
    start_utc_ns: int | None = None
    fault: str | None = None
    warning: str = ""
    place: Place | None = None
    end_frame: int = 0
    rest: tuple[Job, ...] = ()
    rate_hz: int = 0
    exact_frames: int = 0
    section: Section | None = None
    url: str = ""

    @property
    def frames(self) -> int:
        """Frames of the files in which decoding may begin anywhere, one after the other; 0 where it may not."""
        files = (self, *self.rest)
        exact = all(file.exact_frames and file.rate_hz == self.rate_hz for file in files)
        return sum(file.exact_frames for file in files) if exact else 0

    @property
    def key(self) -> tuple[str, int]:
        """The unique key of a job in an archive: its whole path or URL, and channel (-1: mixed)."""
        return self.url or text_of(self.path.absolute()), -1 if self.channel is None else self.channel


@dataclass(frozen=True, slots=True)
class Period:
    """Starts from `since_ns` on and before `until_ns` (ns since 1970; None: no limit)."""

    since_ns: int | None = None
    until_ns: int | None = None

    def __contains__(self, start_utc_ns: int | None) -> bool:
        if self.since_ns is None and self.until_ns is None:
            return True
        return (
            start_utc_ns is not None
            and (self.since_ns is None or start_utc_ns >= self.since_ns)
            and (self.until_ns is None or start_utc_ns < self.until_ns)
        )


def period_of(since: str | None, until: str | None, default: tzinfo) -> Period:
    """The period between two ISO 8601 times; a bare date as the end includes that day. Raises ConfigError."""
    start = None if since is None else parse_time(since, default)
    end = None if until is None else parse_time(until, default)
    day = None if until is None else _day(until)
    if day is not None:
        # The next local midnight: a day has 23 or 25 hours where clocks change. The last possible date has none.
        end = None if day == date.max else parse_time((day + timedelta(days=1)).isoformat(), default)
    if start is not None and end is not None and start >= end:
        raise ConfigError(f"--since {since} is not before --until {until}; no recording can lie between them")
    return Period(start, end)


def _day(text: str) -> date | None:
    """A date without a time of day, in whichever form of ISO 8601; None for another text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def look_at(
    inputs: Inputs | Sequence[Input],
    *,
    channel: Channel = "mix",
    default: tzinfo = UTC,
    start_utc_ns: int | None = None,
    decoders: Decoders = IN_PROCESS,
) -> Iterator[list[Job]]:
    """The jobs of each input, in order: one, or one a channel with `each`, whose names then end in `_ch0`, `_ch1` ...

    default: the zone of times that do not say theirs. start_utc_ns: the start, known better than by the file.
    """

    def jobs(item: Input) -> list[Job]:
        size = mtime = 0
        only = channel if isinstance(channel, int) else None
        try:
            if item.url:
                assert scratch is not None
                state, audio = open_remote(item.url, item.path, decoders, scratch, channel=only)
                size, mtime = state.size_bytes, state.version
            else:
                size, mtime = _state_here(item.path)
                audio = decoders.open(item.path, channel=only)
        except SourceError as error:
            return [Job(item.name, item.path, only, size, mtime, fault=str(error), url=item.url)]
        start = audio.start_utc_ns(default) if start_utc_ns is None else start_utc_ns
        place = place_of(audio.guano or audio.comment)
        end_frame = 0 if place is None else place.start_frame + round(audio.duration_s * audio.rate_hz)
        ignored = "; ".join(line for line in audio.warnings if line.endswith(IGNORED))
        channels = range(audio.channels) if channel == "each" and audio.channels > 1 else [only]
        return [
            Job(
                item.name if channel != "each" or number is None else f"{item.name}_ch{number}",
                item.path,
                number,
                size,
                mtime,
                audio.duration_s,
                start,
                warning=ignored if scratch is None else scratch.shown(ignored),
                place=place,
                end_frame=end_frame,
                rate_hz=audio.rate_hz,
                exact_frames=audio.exact_frames,
                url=item.url,
            )
            for number in channels
        ]

    remote = inputs.remote if isinstance(inputs, Inputs) else any(item.url for item in inputs)
    at_once = REMOTE_AT_ONCE if remote else LOOKING_AT_ONCE
    scratch = Scratch() if remote else None
    with scratch or nullcontext(), ThreadPoolExecutor(at_once, thread_name_prefix="look") as pool:
        yield from _in_order(pool, jobs, inputs, most=4 * at_once)


def _in_order(
    pool: Executor, jobs: Callable[[Input], list[Job]], inputs: Iterable[Input], *, most: int
) -> Iterator[list[Job]]:
    """What `pool` makes of each input, `most` at once: futures of a million would take more room than their jobs."""
    waiting: deque[Future[list[Job]]] = deque()
    for item in inputs:
        waiting.append(pool.submit(jobs, item))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _state_here(path: Path) -> tuple[int, int]:
    """A file's size and time, 0 where it has none: opening it says why."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return stat.st_size, stat.st_mtime_ns
