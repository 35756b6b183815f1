"""The plan of a shared run: the request, its settings and recordings, where every worker can read it.

    plan.json             the request with its settings as they were resolved where the run was planned, so that no
                          worker's own configuration matters, and how many recordings there are
    recordings/0.jsonl    the first recordings, one a line, and so on
    units.jsonl           the units, one a line: its first part and the one behind its last

A part is a recording, or a section of one that is cut; they are numbered in order. However many there are, a plan is
written and read with a file of recordings in memory at a time. plan.json is written last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from birdwatch.batch.jobs import Job
from birdwatch.batch.request import RunRequest
from birdwatch.cluster.plan_files import PlannedJobs, PlannedParts, PlannedUnits, RecordingFiles, reading, write_units
from birdwatch.cluster.plan_text import plain, request_of, with_absolute_paths
from birdwatch.cluster.sections import Cutting
from birdwatch.cluster.store_files import StoreFiles, StorePlace, files_of, place_of, written
from birdwatch.cluster.units import bundles, work_of
from birdwatch.errors import ConfigError, SinkError

__all__ = ["Plan", "read_plan", "write_plan"]

SCHEMA = 3
HEAD = "plan.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """A shared run.

    store: the folder of the commits. parameters: what the results depend on. jobs: the recordings. parts: all of them,
    or their sections where they are cut, in order. units: the parts' numbers in each bundle. These three are read when
    they are asked for.
    """

    folder: StorePlace
    store: StorePlace
    request: RunRequest
    parameters: Mapping[str, Any]
    cutting: Cutting
    jobs: PlannedJobs = field(compare=False)
    parts: PlannedParts = field(compare=False)
    units: PlannedUnits = field(compare=False)


def write_plan(
    folder: StorePlace,
    request: RunRequest,
    parameters: Mapping[str, Any],
    jobs: Iterable[Job],
    cutting: Cutting,
    *,
    store: StorePlace | None = None,
) -> Plan:
    """Write a run's plan; the same plan again is welcome. Raises ConfigError where `folder` holds another one.

    store: where commits are kept, if not in `folder`.
    """
    request = with_absolute_paths(request)
    files = files_of(folder)
    try:
        there = files.has([HEAD]) == [True]
        recordings = RecordingFiles(None if there else files)

        def works() -> Iterator[float]:
            for job in jobs:
                parts = cutting.parts(job)
                recordings.add(job, len(parts))
                yield from map(work_of, parts)
            recordings.finish()

        units = write_units(None if there else files, bundles(works()))
        head = {
            "schema": SCHEMA,
            "store": None if store is None else str(place_of(str(store))),
            "request": plain(request),
            "parameters": dict(parameters),
            "cutting": asdict(cutting),
            "recordings": recordings.count,
            "parts": recordings.parts,
            "units": units,
            "files": recordings.firsts,
            "sha256": recordings.digest.hexdigest(),
        }
        text = json.dumps(head, indent=1) + "\n"
        if not there:
            with written(files, HEAD) as stream:
                stream.write(text.encode("utf-8"))
        elif _text(files) != text:
            raise ConfigError(f"{folder} holds the plan of another run; use another folder, or delete it")
    except OSError as error:
        raise SinkError(f"the plan in {folder} cannot be written ({error.strerror or error})") from error
    return _plan(folder, store or folder, request, parameters, cutting, head)


def read_plan(folder: StorePlace) -> Plan:
    """The plan in a folder. Raises ConfigError where there is none, or one of another version."""
    with reading(folder):
        head = json.loads(_text(files_of(folder)))
        if head["schema"] != SCHEMA:
            raise ConfigError(
                f"{folder} was planned by another version of birdwatch (schema {head['schema']}, this one reads "
                f"{SCHEMA}); plan again"
            )
        cutting = Cutting(**{**head["cutting"], "rates_hz": tuple(head["cutting"]["rates_hz"])})
        store = folder if head["store"] is None else place_of(head["store"])
        return _plan(folder, store, request_of(head["request"]), head["parameters"], cutting, head)


def _plan(
    folder: StorePlace,
    store: StorePlace,
    request: RunRequest,
    parameters: Mapping[str, Any],
    cutting: Cutting,
    head: Mapping[str, Any],
) -> Plan:
    jobs = PlannedJobs(folder, tuple(head["files"]), head["recordings"])
    parts = PlannedParts(jobs, cutting, head["parts"])
    return Plan(folder, store, request, parameters, cutting, jobs, parts, PlannedUnits(folder, head["units"]))


def _text(files: StoreFiles) -> str:
    with files.open(HEAD) as stream:
        return stream.read().decode("utf-8")
