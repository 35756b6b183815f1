"""The page: HTML made by a template from detections. Nothing in it is fetched; a policy inside it forbids that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from typing import Any

from markupsafe import Markup

from birdwatch.report.heatmap import Row, heatmap
from birdwatch.report.moments import Effort, Species
from birdwatch.report.templating import environment
from birdwatch.tables.rows import DetectionRow

__all__ = ["Moment", "Page", "describe", "render"]

# Beyond these a heat map is a wall; the table below it holds all species.
MAPPED = 40
# Pixels: what fits beside the names, and what a date needs.
MAP_WIDTH, TICK_WIDTH = 840, 54
# Days without a recording or a detection between two that have one: more of them are one column.
EMPTY_DAYS = 31
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as it is shown. png and sound (media type, data) are None where its audio was not found."""

    row: DetectionRow
    when: str
    png: bytes | None
    sound: tuple[str, bytes] | None


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. failed: (path, reason). band_hz: of the pictures. zone: of all times."""

    title: str
    species: Sequence[Species]
    moments: Mapping[str, Sequence[Moment]]
    effort: Effort
    recordings: int
    failed: Sequence[tuple[str, str]]
    band_hz: tuple[float, float]
    zone: str
    about: str


@dataclass(frozen=True, slots=True)
class _Maps:
    """The heat maps, the species in the table below them, and how many of these the maps show if not all."""

    by_hour: Markup
    by_day: Markup
    timed: Sequence[Species]
    more: int


def render(page: Page) -> str:
    """The whole page as HTML."""
    days = sorted({day for species in page.species for day in species.by_day} | set(page.effort.by_day))
    period = "" if not days else _day(days[0]) if len(days) == 1 else f"{_day(days[0])} to {_day(days[-1])}"
    facts = [
        ("species", f"{len(page.species)}", ""),
        ("detections", f"{sum(species.count for species in page.species):,}", ""),
        ("recordings", f"{page.recordings:,}", ""),
    ]
    if page.effort.hours:
        facts.append(("hours recorded", f"{page.effort.hours:,.1f}", ""))
    if page.failed:
        facts.append(("recordings failed", f"{len(page.failed):,}", "bad"))
    files = resources.files("birdwatch.report").joinpath("templates")
    css, script = (Markup(files.joinpath(name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return (
        environment()
        .get_template("page.html")
        .render(page=page, policy=POLICY, period=period, facts=facts, maps=_maps(page), css=css, script=script)
    )


def _day(day: date) -> str:
    """13 May 2024: strftime has no day without a zero that all systems know."""
    return f"{day.day} {day:%B} {day.year}"


def _maps(page: Page) -> _Maps | None:
    """None where no detection has a time."""
    timed = [species for species in page.species if species.by_hour]
    if not timed:
        return None
    known = bool(page.effort.by_hour)
    shown = timed[:MAPPED]
    by_hour = heatmap(
        [Row(species.name, species.by_hour) for species in shown],
        [f"{hour} to {hour + 1} h" for hour in range(24)],
        ticks={hour: str(hour) for hour in range(0, 24, 3)},
        hours=page.effort.by_hour if known else None,
        title="Detections of each species by hour of the day",
        cell_width=MAP_WIDTH / 24,
    )
    columns = _columns({day for species in timed for day in species.by_day} | set(page.effort.by_day))
    index = {day: number for number, (day, _) in enumerate(columns) if day is not None}
    cell_width = max(5.0, min(40.0, MAP_WIDTH / len(columns)))
    every = -(-TICK_WIDTH // int(cell_width))
    by_day = heatmap(
        [Row(s.name, {index[day]: count for day, count in s.by_day.items()}) for s in shown],
        [label for _, label in columns],
        ticks=_ticks([day for day, _ in columns], every),
        hours={index[day]: value for day, value in page.effort.by_day.items()} if known else None,
        title="Detections of each species by day",
        cell_width=cell_width,
    )
    return _Maps(Markup(by_hour), Markup(by_day), timed, MAPPED if len(timed) > MAPPED else 0)


def _columns(present: Iterable[date]) -> list[tuple[date | None, str]]:
    """A column per day from the first to the last; a long stretch without any is one column without a day.

    One recording with a clock that was never set (1970) must not add twenty thousand.
    """
    found: list[tuple[date | None, str]] = []
    before: date | None = None
    for day in sorted(present):
        if before is not None and (day - before).days > EMPTY_DAYS:
            found.append((None, f"{_day(before)} to {_day(day)}: nothing in between"))
        elif before is not None:
            between = [before + timedelta(days=number) for number in range(1, (day - before).days)]
            found += [(item, _day(item)) for item in between]
        found.append((day, _day(day)))
        before = day
    return found


def _ticks(days: Sequence[date | None], every: int) -> dict[int, str]:
    """A label per `every` columns: the day, or month and year where the year changes; an ellipsis for a stretch."""
    ticks: dict[int, str] = {}
    several = len({day.year for day in days if day is not None}) > 1
    year, last = None, -every
    for number, day in enumerate(days):
        if day is None:
            ticks[number] = "…"
        elif number - last >= every:
            ticks[number] = f"{day:%b} {day.year}" if several and day.year != year else f"{day.day} {day:%b}"
            year, last = day.year, number
    return ticks


def describe(run: Mapping[str, Any], version: str) -> str:
    """One sentence on how the detections came about."""
    parameters = run.get("parameters", {})
    parts = [f"Made by birdwatch {version}"]
    if "model" in parameters:
        parts.append(f"model {parameters['model']} ({str(parameters.get('model_sha256', ''))[:12]})")
    if "hop_s" in parameters:
        parts.append(f"a window each {parameters['hop_s']:g} s")
    if run.get("license"):
        parts.append(f"model licence {run['license']}")
    if run.get("attribution"):
        parts.append(str(run["attribution"]))
    return "; ".join(parts) + "."
