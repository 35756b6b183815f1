"""A request and its recordings as JSON, for a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

from birdwatch.audio.continuation import Place
from birdwatch.batch.jobs import Job
from birdwatch.batch.request import RunRequest
from birdwatch.config.schema import ClassRules, Settings
from birdwatch.model.registry import find_model
from birdwatch.scores.blending import Blending
from birdwatch.tables.formats import Output, local_place

__all__ = ["job_line", "job_of_line", "plain", "request_of", "with_absolute_paths"]

# What a line leaves out where it is so.
DEFAULTS = {item.name: item.default for item in fields(Job) if item.name not in ("name", "path", "channel")}


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


def plain(request: RunRequest) -> dict[str, Any]:
    """A request as JSON has it; the recordings have files of their own."""
    # Where this machine writes what goes elsewhere concerns no other.
    outputs = tuple(replace(output, path=Path()) if output.url else output for output in request.outputs)
    values = asdict(replace(request, recordings=(), settings_files=(), outputs=outputs))
    return cast(dict[str, Any], json.loads(json.dumps(values, default=str)))


def request_of(values: dict[str, Any]) -> RunRequest:
    """The request of which `plain` made `values`. Raises KeyError or TypeError for others."""
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


def job_line(job: Job) -> str:
    """A recording as a line."""
    return json.dumps(_values(job)) + "\n"


def _values(job: Job) -> dict[str, Any]:
    return {"name": job.name, "path": str(job.path if job.url else job.path.absolute()), **dict(_further(job))}


def _further(job: Job) -> Iterator[tuple[str, Any]]:
    if job.channel is not None:
        yield "channel", job.channel
    for name, usual in DEFAULTS.items():
        value = getattr(job, name)
        if value != usual:
            if name == "place":
                value = asdict(value)
            elif name == "rest":
                value = [_values(part) for part in value]
            yield name, value


def job_of_line(line: str) -> Job:
    """The recording of a line. Raises ValueError, KeyError or TypeError for another text."""
    return _job(json.loads(line))


def _job(values: dict[str, Any]) -> Job:
    values["path"] = Path(values["path"])
    if "place" in values:
        values["place"] = Place(**values["place"])
    if "rest" in values:
        values["rest"] = tuple(map(_job, values["rest"]))
    return Job(**{"channel": None, **values})
