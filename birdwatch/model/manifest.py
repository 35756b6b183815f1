"""A model file describes itself: the manifest in an ONNX file's metadata, checked against its graph.

Nothing is guessed from a file's name and nothing lies beside it. Whatever is missing or does not fit is refused, all
of it in one message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from birdwatch.audio.resample import ResamplerKind
from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest_faults import Activation, Input, manifest_faults, shown, some

__all__ = ["METADATA_KEY", "SCHEMA", "Activation", "Input", "Label", "Manifest"]

# The key in the ONNX file's metadata, and the manifest's version. A newer one is refused: its meaning is unknown.
METADATA_KEY = "birdwatch.manifest"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Label:
    """One class: its code (eBird's, where it has one) and its names."""

    code: str
    scientific_name: str = ""
    common_name: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is.

    input: `mel` takes images `(n, 1, height, width)` of `frontend`; `waveform` takes samples `(n, window_frames)`.
    activation: what turns the graph's `scores_output` into scores in 0..1; `none` where the graph does it.
    resampler: how audio at another rate is brought to `rate_hz`; the one that the network was trained with.
    threshold: presence where `thresholds` (by code) has no entry. provenance: how the model was made (free form).
    segments: equal parts of a window that `segments_output` scores `(n, segments, classes)`; 1 without that output.
    probe: a clip and its expected scores, for checking a machine. parameters and macs: counted at export.
    """

    name: str
    labels: tuple[Label, ...]
    rate_hz: int
    window_frames: int
    frontend: FrontendSpec | None
    input: Input = "mel"
    activation: Activation = "sigmoid"
    threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    resampler: ResamplerKind = "soxr"
    scores_output: str = "scores"
    embedding_output: str | None = None
    segments: int = 1
    segments_output: str | None = None
    license: str = ""
    attribution: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] | None = None
    parameters: int | None = None
    macs: int | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        faults = manifest_faults({item.name: getattr(self, item.name) for item in fields(self)}, schema=SCHEMA)
        if faults:
            raise ModelError(
                f"manifest of {shown(self.name) if self.name else 'a model without a name'}: {'; '.join(faults)}"
            )

    @property
    def codes(self) -> tuple[str, ...]:
        """The labels' codes, in the order of the scores."""
        return tuple(label.code for label in self.labels)

    @property
    def window_s(self) -> float:
        """Seconds of audio in a window."""
        return self.window_frames / self.rate_hz

    @property
    def row_frames(self) -> int:
        """Frames that one row of scores is about: a segment, or the window of a model without segments."""
        return self.window_frames // self.segments

    @property
    def row_s(self) -> float:
        """Seconds that one row of scores is about."""
        return self.row_frames / self.rate_hz

    def threshold_of(self, code: str) -> float:
        """The score from which class `code` counts as present."""
        return self.thresholds.get(code, self.threshold)

    def to_json(self) -> str:
        """The text that goes into the ONNX file's metadata under `METADATA_KEY`."""
        values = asdict(self)
        if self.segments_output is None:
            # As before there were segments, so that older versions read the files of models without.
            del values["segments"], values["segments_output"]
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest that `to_json` wrote; raises ModelError with all that is wrong."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise ModelError(f"the manifest is not JSON ({reason}); export the model again") from None
        if not isinstance(values, dict):
            raise ModelError(f"the manifest is a JSON {type(values).__name__}, expected an object")
        if isinstance(values.get("schema"), int) and values["schema"] > SCHEMA:
            raise ModelError(
                f"the manifest has schema {shown(values['schema'])}, this birdwatch reads {SCHEMA}: upgrade birdwatch"
            )
        known = {item.name: item for item in fields(cls)}
        required = {"name", "labels", "rate_hz", "window_frames", "frontend", "schema"}
        faults = some([f"unknown field {shown(name)}" for name in sorted(set(values) - set(known))])
        missing = sorted(required - set(values))
        faults += [f"missing field {name!r}" for name in missing]
        found = {name: _default(item) for name, item in known.items()} | {n: v for n, v in values.items() if n in known}
        found["labels"] = _labels(found["labels"], faults)
        found["frontend"] = _frontend(found["frontend"], faults)
        # Fields that are missing or unreadable are already reported.
        skipped = [name for name in ("labels", "frontend") if found[name] is None and values.get(name) is not None]
        faults += [
            fault
            for fault in manifest_faults(found, schema=SCHEMA)
            if not any(
                fault.startswith((name, f"input is 'mel' but there is no {name}")) for name in (*missing, *skipped)
            )
        ]
        if faults:
            raise ModelError("the manifest does not fit: " + "; ".join(faults))
        return cls(**found)


def _default(item: Any) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else None


def _labels(values: Any, faults: list[str]) -> tuple[Label, ...] | None:
    """Labels, their values unchecked; None where they are no list of objects."""
    if not isinstance(values, list):
        faults.append(f"labels are {shown(values)}, expected a list of objects")
        return None
    known = {item.name for item in fields(Label)}
    wrong = [value for value in values if not isinstance(value, dict) or "code" not in value or not set(value) <= known]
    if wrong:
        faults.append(f"{len(wrong)} labels such as {shown(wrong[0])}, expected objects of {sorted(known)}")
        return None
    return tuple(Label(**value) for value in values)


def _frontend(values: Any, faults: list[str]) -> FrontendSpec | None:
    if values is None:
        return None
    if not isinstance(values, dict):
        faults.append(f"frontend is {shown(values)}, expected an object")
        return None
    try:
        return FrontendSpec.from_dict(values)
    except ConfigError as error:
        faults.append(str(error))
        return None
