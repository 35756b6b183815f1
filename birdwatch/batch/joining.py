"""Joins consecutive files of one uninterrupted recording, so that windows and events span file boundaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median_low

from birdwatch.audio.file import AudioFile
from birdwatch.audio.isolated import Decoders, IsolatedAudio
from birdwatch.audio.types import AudioBlock
from birdwatch.batch.jobs import Job
from birdwatch.errors import DecodeError, SourceError

__all__ = ["continued_blocks", "continued_stretch", "joined"]


def joined(jobs: Sequence[Job]) -> list[Job]:
    """`jobs` with each file that another one continues taken into it as its `rest`; the others as they are.

    A joined job has the first file's name and path, the length of all, and changes when one of them does. Its start is
    the one that most of its files agree on: a pipe's first second may have been late when its file was named.
    """
    placed = [job for job in jobs if job.place is not None and job.fault is None]
    by_start = {_start(job): job for job in reversed(placed)}
    taken: set[tuple[str, int]] = set()
    chains: dict[tuple[str, int], list[Job]] = {}
    ends = {_end(job) for job in placed}
    for first in placed:
        if _start(first) in ends or first.key in taken:
            continue
        chain, job = [first], first
        while (following := by_start.get(_end(job))) is not None and following.key not in taken:
            taken.add(following.key)
            chain.append(following)
            job = following
        chains[first.key] = chain
    return [_one(chains.get(job.key, [job])) for job in jobs if job.key not in taken]


def continued_blocks(job: Job, audio: AudioFile | IsolatedAudio, decoders: Decoders) -> Iterator[AudioBlock]:
    """The blocks of a joined job, one file after the other, numbered from the first file's first frame.

    What a damaged file lacks is missing in the numbers, too, and named in the warnings of `audio`.
    """
    yield from audio.blocks()
    assert job.place is not None
    for part in job.rest:
        assert part.place is not None
        offset = part.place.start_frame - job.place.start_frame
        try:
            further = decoders.open(part.path, channel=part.channel)
            if further.rate_hz != audio.rate_hz:
                raise SourceError(f"{part.path} has another rate than {job.path}, which it continues; leave --join out")
            # Exactly the frames of its place: a longer file would overlap the next one.
            last = part.end_frame - part.place.start_frame
            for block in further.blocks():
                samples = block.samples[: max(0, last - block.start_frame)]
                yield AudioBlock(samples, block.start_frame + offset, block.rate_hz)
            audio.warnings += further.warnings
        except DecodeError as error:
            audio.warnings.append(str(error))


def continued_stretch(
    job: Job, first: int, last: int, *, decoders: Decoders, warnings: list[str]
) -> Iterator[AudioBlock]:
    """The blocks of a job of `job.frames` frames from frame `first` to `last`, numbered from its first frame.

    warnings: takes those of the files that are opened. Raises DecodeError where they are not what they were.
    """
    begin = 0
    for file in (job, *job.rest):
        end = begin + file.exact_frames
        if begin < last and first < end:
            audio = decoders.open(file.path, channel=file.channel)
            if (audio.rate_hz, audio.exact_frames) != (file.rate_hz, file.exact_frames):
                raise DecodeError(f"{file.path} has changed since it was planned", path=file.path)
            for block in audio.stretch(max(first, begin) - begin, min(last, end) - begin):
                yield AudioBlock(block.samples, block.start_frame + begin, block.rate_hz)
            warnings += [line for line in audio.warnings if line not in warnings]
        begin = end


def _one(chain: list[Job]) -> Job:
    first, *rest = chain
    if not rest:
        return first
    starts, before_s = [], 0.0
    for job in chain:
        if job.start_utc_ns is not None:
            starts.append(job.start_utc_ns - round(before_s * 1e9))
        before_s += job.duration_s
    return replace(
        first,
        size_bytes=sum(job.size_bytes for job in chain),
        mtime_ns=max(job.mtime_ns for job in chain),
        duration_s=sum(job.duration_s for job in chain),
        warning="; ".join(filter(None, (job.warning for job in chain))),
        start_utc_ns=median_low(starts) if starts else None,
        rest=tuple(rest),
    )


def _start(job: Job) -> tuple[str, int, int]:
    assert job.place is not None
    return job.place.stream, job.place.start_frame, job.key[1]


def _end(job: Job) -> tuple[str, int, int]:
    assert job.place is not None
    return job.place.stream, job.end_frame, job.key[1]
