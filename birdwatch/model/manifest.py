"""A model file describes itself: the manifest in an ONNX file's metadata, checked against its graph.

Nothing is guessed from a file's name and nothing lies beside it. Whatever is missing or does not fit is refused, all
of it in one message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from birdwatch.audio.resample import ResamplerKind
from birdwatch.errors import ConfigError, ModelError
from birdwatch.model.frontend import FrontendSpec

__all__ = ["METADATA_KEY", "SCHEMA", "Label", "Manifest"]

# The key in the ONNX file's metadata, and the manifest's version. A newer one is refused: its meaning is unknown.
METADATA_KEY = "birdwatch.manifest"
SCHEMA = 1

Input = Literal["mel", "waveform"]
Activation = Literal["sigmoid", "softmax", "none"]


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
    resampler: how audio at another rate is brought to `rate_hz`; a network hears the one it was trained with.
    threshold: presence where `thresholds` (by code) has no entry. provenance: how the model was made (free form).
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
    license: str = ""
    attribution: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] | None = None
    parameters: int | None = None
    macs: int | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ModelError(f"manifest of {self.name or 'a model without a name'}: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        faults: list[str] = []
        if self.schema != SCHEMA:
            faults.append(f"schema is {self.schema!r}, this version of birdwatch reads {SCHEMA}")
        codes = [label.code for label in self.labels]
        if not codes:
            faults.append("labels are empty")
        repeated = sorted({code for code in codes if codes.count(code) > 1}) if len(set(codes)) < len(codes) else []
        if repeated:
            faults.append(f"labels repeat {repeated[:5]}")
        if "" in codes:
            faults.append("a label has no code")
        if self.input not in get_args(Input):
            faults.append(f"input is {self.input!r}, expected one of {get_args(Input)}")
        if self.activation not in get_args(Activation):
            faults.append(f"activation is {self.activation!r}, expected one of {get_args(Activation)}")
        if self.resampler not in get_args(ResamplerKind):
            faults.append(f"resampler is {self.resampler!r}, expected one of {get_args(ResamplerKind)}")
        for code, value in [("threshold", self.threshold), *self.thresholds.items()]:
            if not 0.0 <= value <= 1.0:
                faults.append(f"threshold of {code} is {value}, expected 0 to 1")
        unknown = sorted(set(self.thresholds) - set(codes))
        if unknown:
            faults.append(f"thresholds name classes that labels lack: {unknown[:5]}")
        if self.rate_hz < 1 or self.window_frames < 1:
            faults.append(f"rate_hz {self.rate_hz} and window_frames {self.window_frames} must be at least 1")
        if self.frontend is None:
            if self.input == "mel":
                faults.append("input is 'mel' but there is no frontend")
        elif (self.frontend.rate_hz, self.frontend.window_frames) != (self.rate_hz, self.window_frames):
            faults.append(
                f"frontend takes {self.frontend.window_frames} frames at {self.frontend.rate_hz} Hz, the model "
                f"{self.window_frames} at {self.rate_hz}"
            )
        return faults

    @property
    def codes(self) -> tuple[str, ...]:
        """The labels' codes, in the order of the scores."""
        return tuple(label.code for label in self.labels)

    @property
    def window_s(self) -> float:
        """Seconds of audio in a window."""
        return self.window_frames / self.rate_hz

    def threshold_of(self, code: str) -> float:
        """The score from which class `code` counts as present."""
        return self.thresholds.get(code, self.threshold)

    def to_json(self) -> str:
        """The text that goes into the ONNX file's metadata under `METADATA_KEY`."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest that `to_json` wrote; raises ModelError with all that is wrong."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ModelError(f"the manifest is not JSON ({error}); export the model again") from None
        if not isinstance(values, dict):
            raise ModelError(f"the manifest is a JSON {type(values).__name__}, expected an object")
        if isinstance(values.get("schema"), int) and values["schema"] > SCHEMA:
            raise ModelError(
                f"the manifest has schema {values['schema']}, this birdwatch reads {SCHEMA}: upgrade birdwatch"
            )
        known = {item.name for item in fields(cls)}
        required = {"name", "labels", "rate_hz", "window_frames", "frontend", "schema"}
        faults = [f"unknown field {name!r}" for name in sorted(set(values) - known)]
        faults += [f"missing field {name!r}" for name in sorted(required - set(values))]
        try:
            if values.get("frontend") is not None:
                values["frontend"] = FrontendSpec.from_dict(values["frontend"])
        except (ConfigError, TypeError) as error:
            faults.append(str(error))
        try:
            if "labels" in values:
                values["labels"] = tuple(Label(**label) for label in values["labels"])
        except TypeError as error:
            faults.append(f"labels: {error}")
        if faults:
            raise ModelError("the manifest does not fit: " + "; ".join(faults))
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"the manifest holds a value of the wrong type: {error}") from None
