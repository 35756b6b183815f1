"""The plan of a shared run: the request, its settings and recordings, where every worker can read it.

plan.json holds the request with its settings as they were resolved where the run was planned, so that no worker's own
configuration matters; jobs.jsonl a recording per line, with the unit that each of its sections belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from io import TextIOWrapper
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any, cast

from birdwatch.audio.continuation import Place
from birdwatch.batch.jobs import Job
from birdwatch.batch.request import RunRequest
from birdwatch.cluster.sections import Cutting
from birdwatch.cluster.store_files import StoreFiles, StorePlace, files_of, place_of, written
from birdwatch.cluster.units import bundles
from birdwatch.config.schema import ClassRules, Settings
from birdwatch.errors import ConfigError, SinkError
from birdwatch.model.registry import find_model
from birdwatch.scores.blending import Blending
from birdwatch.tables.formats import Output, local_place

__all__ = ["Plan", "read_plan", "with_absolute_paths", "write_plan"]

SCHEMA = 2
HEAD, JOBS = "plan.json", "jobs.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """A shared run.

    store: the folder of the commits. parameters: what the results depend on. jobs: the recordings. parts: all of them,
    or their sections where they are cut, in order. units: the parts' numbers in each bundle.
    """

    folder: StorePlace
    store: StorePlace
    request: RunRequest
    parameters: Mapping[str, Any]
    cutting: Cutting
    jobs: tuple[Job, ...]
    parts: tuple[Job, ...]
    units: tuple[tuple[int, ...], ...]


def write_plan(
    folder: StorePlace,
    request: RunRequest,
    parameters: Mapping[str, Any],
    jobs: Sequence[Job],
    cutting: Cutting,
    *,
    store: StorePlace | None = None,
) -> Plan:
    """Write a run's plan; the same plan again is welcome. Raises ConfigError where `folder` holds another one.

    store: where commits are kept, if not in `folder`.
    """
    request = with_absolute_paths(request)
    parts = [cutting.parts(job) for job in jobs]
    flat = tuple(chain.from_iterable(parts))
    units = bundles(flat)
    unit_of = {number: unit for unit, numbers in enumerate(units) for number in numbers}
    number = count()
    head = {
        "schema": SCHEMA,
        "store": None if store is None else str(place_of(str(store))),
        "request": _plain(request),
        "parameters": dict(parameters),
        "cutting": asdict(cutting),
        "recordings": len(jobs),
        "units": len(units),
    }
    text = json.dumps(head, indent=1) + "\n"
    files = files_of(folder)
    lines = (
        json.dumps({"units": [unit_of[next(number)] for _ in own], **_job(job)}) + "\n"
        for job, own in zip(jobs, parts, strict=True)
    )
    try:
        if files.has([HEAD]) == [True]:
            if _text(files, HEAD) != text or not _holds(files, lines):
                raise ConfigError(f"{folder} holds the plan of another run; use another folder, or delete it")
        else:
            with written(files, JOBS) as stream:
                stream.writelines(line.encode("utf-8") for line in lines)
            with written(files, HEAD) as stream:
                stream.write(text.encode("utf-8"))
    except OSError as error:
        raise SinkError(f"the plan in {folder} cannot be written ({error.strerror or error})") from error
    return Plan(folder, store or folder, request, parameters, cutting, tuple(jobs), flat, tuple(map(tuple, units)))


def read_plan(folder: StorePlace) -> Plan:
    """The plan in a folder. Raises ConfigError where there is none, or one of another version."""
    files = files_of(folder)
    try:
        head = json.loads(_text(files, HEAD))
        if head["schema"] != SCHEMA:
            raise ConfigError(
                f"{folder} was planned by another version of birdwatch (schema {head['schema']}, this one reads "
                f"{SCHEMA}); plan again"
            )
        cutting = Cutting(**{**head["cutting"], "rates_hz": tuple(head["cutting"]["rates_hz"])})
        jobs: list[Job] = []
        parts: list[Job] = []
        units: list[list[int]] = [[] for _ in range(head["units"])]
        for values in _lines(files):
            own = values.pop("units")
            jobs.append(_job_of(values))
            for unit, part in zip(own, cutting.parts(jobs[-1]), strict=True):
                units[unit].append(len(parts))
                parts.append(part)
        if len(jobs) != head["recordings"]:
            raise ValueError(f"{len(jobs)} of {head['recordings']} recordings")
        store = folder if head["store"] is None else place_of(head["store"])
        request = _request(head["request"])
        return Plan(
            folder, store, request, head["parameters"], cutting, tuple(jobs), tuple(parts), tuple(map(tuple, units))
        )
    except OSError as error:
        raise ConfigError(f"{folder} holds no plan ({error.strerror}); `birdwatch plan` writes one") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"the plan in {folder} cannot be read ({error}); plan again") from error


def _text(files: StoreFiles, name: str) -> str:
    with files.open(name) as stream:
        return stream.read().decode("utf-8")


def _holds(files: StoreFiles, lines: Iterable[str]) -> bool:
    """Whether the list of recordings has these lines and no others; neither is in memory."""
    with TextIOWrapper(files.open(JOBS), "utf-8", newline="") as stream:
        return all(one == other for one, other in zip_longest(stream, lines))


def _lines(files: StoreFiles) -> Iterator[dict[str, Any]]:
    with TextIOWrapper(files.open(JOBS), "utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def with_absolute_paths(request: RunRequest) -> RunRequest:
    """With absolute paths: workers start elsewhere."""
    settings = request.settings
    changed: dict[str, Any] = {
        item.name: value.absolute()
        for item in fields(settings)
        if isinstance(value := getattr(settings, item.name), Path)
    }
    changed["model"] = find_model(settings.model).absolute()
    # The names of a locale are labels in the tables, which the driver writes.
    changed.pop("locale", None)
    outputs = tuple(replace(output, path=output.path.absolute()) for output in request.outputs)
    template = None if request.template is None else request.template.absolute()
    return replace(request, settings=replace(settings, **changed), outputs=outputs, template=template)


def _plain(request: RunRequest) -> dict[str, Any]:
    """A request as JSON has it; the recordings are in jobs.jsonl."""
    # Where this machine writes what goes elsewhere concerns no other.
    outputs = tuple(replace(output, path=Path()) if output.url else output for output in request.outputs)
    values = asdict(replace(request, recordings=(), settings_files=(), outputs=outputs))
    return cast(dict[str, Any], json.loads(json.dumps(values, default=str)))


def _request(values: dict[str, Any]) -> RunRequest:
    outputs = tuple(map(_output, values.pop("outputs")))
    settings = dict(values.pop("settings"))
    classes = {code: ClassRules(**own) for code, own in settings.pop("class_").items()}
    for item in fields(Settings):
        rule = item.metadata.get("rule")
        if rule is not None and rule.kind is Path and settings.get(item.name) is not None:
            settings[item.name] = Path(settings[item.name])
    template = values.pop("template")
    blending: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.pop("blending").items()
    }
    for name in ("recordings", "include", "settings_files"):
        values[name] = tuple(values[name])
    return RunRequest(
        outputs=outputs,
        settings=Settings(**settings, class_=classes),
        blending=Blending(**blending),
        template=None if template is None else Path(template),
        **values,
    )


def _output(values: dict[str, Any]) -> Output:
    # What goes to an object store is written first on the machine that merges, in its own place.
    return Output(**{**values, "path": local_place(values["url"]) if values["url"] else Path(values["path"])})


def _job(job: Job) -> dict[str, Any]:
    values = {item.name: getattr(job, item.name) for item in fields(job)}
    values["path"] = str(job.path if job.url else job.path.absolute())
    values["place"] = None if job.place is None else asdict(job.place)
    values["rest"] = [_job(part) for part in job.rest]
    return values


def _job_of(values: dict[str, Any]) -> Job:
    place = values.pop("place")
    return Job(
        **{
            **values,
            "path": Path(values["path"]),
            "place": None if place is None else Place(**place),
            "rest": tuple(_job_of(part) for part in values["rest"]),
        }
    )
