"""Finds and opens the recordings of a request, and selects those of its period."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from birdwatch.atomic_write import Identities, check_writable, identities
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.timestamps import parse_time, zone
from birdwatch.batch.inputs import find_inputs
from birdwatch.batch.jobs import IN_PROCESS, Job, Period, look_at, period_of
from birdwatch.batch.joining import joined
from birdwatch.batch.named_inputs import Inputs
from birdwatch.batch.remote_outputs import check_remote_outputs
from birdwatch.batch.request import RunRequest
from birdwatch.batch.results import errors_path, filtered_path
from birdwatch.batch.run_database import database_path
from birdwatch.errors import ConfigError
from birdwatch.model.registry import find_model
from birdwatch.tables.own_files import check_replaceable
from birdwatch.wording import counted

__all__ = ["named_inputs", "open_inputs", "opened_inputs"]

Notice = Callable[[str], None]
# Names whose tables are looked for together.
CHECKED_AT_ONCE = 4096


def named_inputs(request: RunRequest, notice: Notice) -> Inputs:
    """The recordings that a request names, unopened. Raises ConfigError for lists, folders or times that are wrong."""
    period_of(request.since, request.until, zone(request.timezone))
    inputs = find_inputs(
        request.recordings,
        recursive=request.recursive,
        include=request.include,
        # A competition's test folder is empty while a notebook is saved: its template is then written as it is.
        allow_empty=request.template is not None,
        notice=notice,
    )
    if request.start is not None and len(inputs) > 1:
        raise ConfigError(f"--start is the start of one recording, and {len(inputs)} were named")
    read = _read_and_written(request, inputs)
    check_remote_outputs(request.outputs, inputs=inputs)
    for output in request.outputs:
        output.check(len(inputs), names=(item.name for item in inputs), inputs=read)
    for beside in _kept_beside(request):
        lists = beside in _lists_beside(request)
        (check_replaceable if lists else check_writable)(beside, inputs=read)
        if any(os.path.realpath(output.path) == os.path.realpath(beside) for output in request.outputs):
            raise ConfigError(f"--out {beside} is a file that the run itself keeps there; name another", path=beside)
    return inputs


def _kept_beside(request: RunRequest) -> list[Path]:
    """What a run keeps beside its first output."""
    if not request.outputs:
        return []
    models = range(1, len(request.blending.models) + 2)
    return [*_lists_beside(request), *(database_path(request.outputs[0].path, number) for number in models)]


def _lists_beside(request: RunRequest) -> tuple[Path, ...]:
    first = request.outputs[0].path
    return errors_path(first), filtered_path(first)


def _read_and_written(request: RunRequest, inputs: Inputs) -> Identities:
    """Files that are read and are where something is to be written."""
    places = [place for output in request.outputs for place in output.places()]
    written = identities([*places, *_kept_beside(request)])
    if not written:
        return written
    recordings = (item.path for item in inputs if not item.url)
    return identities(chain(recordings, _files_read(request)), among=written)


def _files_read(request: RunRequest) -> list[Path]:
    """What a run reads beside recordings, as far as it is named by a path."""
    settings = request.settings
    lists = [name[1:] for name in request.recordings if name.startswith("@")]
    named = [request.template, settings.species, settings.locale, *lists, *request.settings_files]
    models = [find_model(name) for name in (settings.model, *request.blending.models)]
    return [*models, *(Path(name) for name in named if name is not None)]


def open_inputs(request: RunRequest, inputs: Inputs, notice: Notice, decoders: Decoders = IN_PROCESS) -> list[Job]:
    """Open each recording for its length, channels and start; the jobs that lie in the request's period.

    Raises SinkError where a folder has a table for one of them that birdwatch did not write.
    """
    return list(opened_inputs(request, inputs, notice, decoders))


def opened_inputs(
    request: RunRequest, inputs: Inputs, notice: Notice, decoders: Decoders = IN_PROCESS
) -> Iterator[Job]:
    """As `open_inputs`, one job at a time in memory, but with `join` all. Raises as it does, some of it at the end."""
    where = zone(request.timezone)
    start_ns = None if request.start is None else parse_time(request.start, where)
    looked = look_at(inputs, channel=request.channel, default=where, start_utc_ns=start_ns, decoders=decoders)
    period = period_of(request.since, request.until, where)
    inside = _within(chain.from_iterable(looked), period, notice)
    wanted = iter(joined(list(inside))) if request.join else inside
    while some := list(islice(wanted, CHECKED_AT_ONCE)):
        for output in request.outputs:
            output.check_tables(job.name for job in some)
        yield from some


def _within(found: Iterable[Job], period: Period, notice: Notice) -> Iterator[Job]:
    """The jobs whose start lies in the period; what cannot be read stays, so that it is reported."""
    count = unknown = good = 0
    for job in found:
        count += 1
        unknown += job.fault is None and job.start_utc_ns is None
        if job.fault is not None or job.start_utc_ns in period:
            good += job.fault is None
            yield job
    if period != Period() and unknown:
        notice(
            f"birdwatch: without a known start, and left out by --since and --until: {counted(unknown, 'recording')}"
        )
    if period != Period() and not good:
        raise ConfigError(f"none of {count} recordings began in that period; widen --since and --until")
