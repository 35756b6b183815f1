"""Results of a benchmark, as a table and as JSON for `benchmarks/compare.py`."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from birdwatch._version import __version__
from birdwatch.process import cores

__all__ = ["SCHEMA", "Measure", "Report", "processor"]

# Files of another schema are not compared.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. name: `group.what`, the same from run to run. better: whether higher or lower is better, or `-`."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "-"]
    note: str = ""

    @property
    def text(self) -> str:
        """The figure with three significant digits and its unit."""
        value = f"{self.value:.0f}" if abs(self.value) >= 100 else f"{self.value:.3g}"
        return f"{value} {self.unit}"


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a benchmark run, with machine and settings."""

    title: str
    setting: Mapping[str, Any]
    measures: tuple[Measure, ...]

    def table(self) -> str:
        """One line per figure, grouped, with notes."""
        wide = max(len(measure.name) for measure in self.measures)
        figures = max(len(measure.text) for measure in self.measures)
        lines = [self.title, *(f"  {key}: {value}" for key, value in self.setting.items())]
        group = ""
        for measure in self.measures:
            if (now := measure.name.split(".")[0]) != group:
                group = now
                lines.append("")
            lines.append(f"{measure.name:<{wide}}  {measure.text:>{figures}}  {measure.note}".rstrip())
        return "\n".join(lines)

    def json(self) -> str:
        """The report as JSON."""
        values = {
            "schema": SCHEMA,
            "title": self.title,
            "setting": {**self.setting, "birdwatch": __version__, "python": platform.python_version()},
            "measures": [asdict(measure) for measure in self.measures],
        }
        return json.dumps(values, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Parse what `json` wrote. Raises ValueError for anything else."""
        try:
            values = json.loads(text)
            if values["schema"] != SCHEMA:
                raise ValueError(f"its schema is {values['schema']}, expected {SCHEMA}")
            measures = tuple(Measure(**measure) for measure in values["measures"])
            return cls(values["title"], dict(values["setting"]), measures)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it lacks {error}") from error


def processor(lines: Iterable[str] | None = None) -> str:
    """The processor's name and how many of its cores this process may use. lines: those of /proc/cpuinfo."""
    name = platform.processor() or platform.machine()
    if lines is None:
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = ()
    for line in lines:
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{name}, {cores()} cores"
