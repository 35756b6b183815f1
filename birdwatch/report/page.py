"""The page: HTML put together from what was heard. Nothing in it is fetched; a policy inside it forbids that."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from importlib import resources
from typing import Any

from birdwatch.report.heatmap import Row, heatmap
from birdwatch.report.moments import Effort, Species
from birdwatch.tables.rows import DetectionRow

__all__ = ["Moment", "Page", "describe", "render"]

# Beyond these a heat map is a wall; the table below it holds all species.
MAPPED = 40
# Pixels: what fits beside the names, and what a date needs.
MAP_WIDTH, TICK_WIDTH = 840, 54
POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as it is shown. png and sound (media type, data) are None where its audio was not found."""

    heard: DetectionRow
    when: str
    png: bytes | None
    sound: tuple[str, bytes] | None


@dataclass(frozen=True, slots=True)
class Page:
    """All that the page says. failed: (path, reason). band_hz: what the pictures span. zone: of all times."""

    title: str
    species: Sequence[Species]
    moments: Mapping[str, Sequence[Moment]]
    effort: Effort
    recordings: int
    failed: Sequence[tuple[str, str]]
    band_hz: tuple[float, float]
    zone: str
    about: str


def render(page: Page) -> str:
    """The whole page as HTML."""
    files = resources.files(__package__)
    css = files.joinpath("page.css").read_text(encoding="utf-8")
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    body = "".join((_header(page), "<main>", _birds(page), _when(page), _failed(page), "</main>", _footer(page)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(page.title)} · birdwatch</title><link rel="icon" href="data:,"><style>{css}</style></head>'
        f"<body>{body}<script>{script}</script></body></html>\n"
    )


def _header(page: Page) -> str:
    days = sorted({day for species in page.species for day in species.by_day} | set(page.effort.by_day))
    when = ""
    if days:
        first, last = _day(days[0]), _day(days[-1])
        when = first if first == last else f"{first} to {last}"
    facts = [
        ("species", f"{len(page.species)}", ""),
        ("detections", f"{sum(species.count for species in page.species):,}", ""),
        ("recordings", f"{page.recordings:,}", ""),
    ]
    if page.effort.hours:
        facts.append(("hours listened to", f"{page.effort.hours:,.1f}", ""))
    if page.failed:
        facts.append(("recordings failed", f"{len(page.failed):,}", "bad"))
    told = "".join(f'<div class="{kind}"><dt>{name}</dt><dd>{value}</dd></div>' for name, value, kind in facts)
    links = '<a href="#species">Species</a><a href="#when">When</a>'
    links += '<a href="#failed">What failed</a>' if page.failed else ""
    return (
        f'<header class="top"><p class="over">What was heard</p><h1>{escape(page.title)}</h1>'
        f'<p class="when">{when}</p><dl class="facts">{told}</dl><nav aria-label="Sections">{links}</nav></header>'
    )


def _day(day: date) -> str:
    """13 May 2024: strftime has no day without a zero that all systems know."""
    return f"{day.day} {day:%B %Y}"


def _birds(page: Page) -> str:
    cards = "".join(_bird(species, page) for species in page.species)
    tools = (
        '<div class="tools"><input id="find" type="search" placeholder="Find a species" aria-label="Find a species">'
        '<select id="sort" aria-label="Sort the species by"><option value="count">most often heard</option>'
        '<option value="best">most certain</option><option value="name">by name</option></select></div>'
    )
    if not page.species:
        cards, tools = '<p class="empty">Nothing reached its threshold in these recordings.</p>', ""
    return (
        '<section id="species"><div class="head"><div><h2>Species</h2><p class="note">Each with its best moments: '
        "press a picture to hear it. The scores are a model's opinion, not a certainty; your ear decides.</p></div>"
        f'{tools}</div><div id="birds">{cards}</div><p class="empty" id="nothing" hidden>No species by that name.</p>'
        "</section>"
    )


def _bird(species: Species, page: Page) -> str:
    words = f"{species.name} {species.scientific_name} {species.label}".lower()
    figures = "".join(_figure(moment, page.band_hz) for moment in page.moments.get(species.label, ()))
    places = "recording" if species.recordings == 1 else "recordings"
    times = "detection" if species.count == 1 else "detections"
    return (
        f'<article class="bird" data-words="{escape(words)}" data-name="{escape(species.name)}" '
        f'data-count="{species.count}" data-best="{species.best:.6f}"><div><h3>{escape(species.name)}</h3>'
        f'<p class="latin" lang="la">{escape(species.scientific_name)}</p>'
        f'<p class="sum"><b>{species.count:,}</b>{times}<br>in {species.recordings:,} {places}, '
        f'best score {_score(species.best)}</p>{_hours(species)}</div><div class="moments">{figures}</div></article>'
    )


def _hours(species: Species) -> str:
    """A small picture of a species' day: detections by hour."""
    if not species.by_hour:
        return ""
    most = max(species.by_hour.values())
    busiest = max(species.by_hour, key=lambda hour: species.by_hour[hour])
    bars = []
    for hour in range(24):
        tall = 26 * species.by_hour.get(hour, 0) / most
        bars.append(f'<rect class="base" x="{hour * 8}" y="27" width="6" height="1.5"/>')
        bars.append(f'<rect x="{hour * 8}" y="{28.5 - tall:.1f}" width="6" height="{tall:.1f}" rx="1"/>')
    ticks = "".join(f'<text x="{hour * 8 - 2}" y="41">{hour}</text>' for hour in (0, 6, 12, 18))
    label = f"Detections by hour of the day; the most between {busiest} and {busiest + 1} h"
    return f'<svg class="day" role="img" aria-label="{label}" width="192" height="44">{"".join(bars)}{ticks}</svg>'


def _score(score: float) -> str:
    """Two digits; nothing is certain, so nothing reads 1.00."""
    return f"{score:.2f}" if score < 0.995 else "&gt;0.99"


def _figure(moment: Moment, band_hz: tuple[float, float]) -> str:
    heard = moment.heard
    where = f"{moment.when or heard.recording + f', {heard.start_s:.1f} s'}"
    told = f"{heard.name}, {heard.recording} at {heard.start_s:.1f} s"
    caption = (
        f'<figcaption><span class="where" title="{escape(heard.recording)} at {heard.start_s:.1f} s">{escape(where)}'
        f'</span><span class="score" title="score">{_score(heard.score)}</span></figcaption>'
    )
    if moment.png is None or moment.sound is None:
        return f'<figure><div class="silent">its audio was not found</div>{caption}</figure>'
    low, high = (f"{hz / 1000:g} kHz" for hz in band_hz)
    return (
        f'<figure><button class="play" type="button" aria-pressed="false" aria-label="Play {escape(told)}" '
        f'data-sound="{_data(*moment.sound)}"><img loading="lazy" alt="" src="{_data("image/png", moment.png)}">'
        f'<span class="khz hi" aria-hidden="true">{high}</span><span class="khz lo" aria-hidden="true">{low}</span>'
        f'<span class="head-line"></span><span class="sign"></span></button>{caption}</figure>'
    )


def _data(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _when(page: Page) -> str:
    timed = [species for species in page.species if species.by_hour]
    if not timed:
        return (
            '<section id="when"><h2>When</h2><p class="note">None of these recordings says when it began; name them as '
            "field recorders do, or give --start.</p></section>"
        )
    known = bool(page.effort.by_hour)
    shown = timed[:MAPPED]
    hours = heatmap(
        [Row(species.name, species.by_hour) for species in shown],
        [f"{hour} to {hour + 1} h" for hour in range(24)],
        ticks={hour: str(hour) for hour in range(0, 24, 3)},
        hours=page.effort.by_hour if known else None,
        title="Detections of each species by hour of the day",
        cell_width=MAP_WIDTH / 24,
    )
    first = min(min(species.by_day) for species in timed)
    last = max(max(species.by_day) for species in timed)
    if known:
        first, last = min(first, *page.effort.by_day), max(last, *page.effort.by_day)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    index = {day: number for number, day in enumerate(days)}
    cell_width = max(5.0, min(40.0, MAP_WIDTH / len(days)))
    every = -(-TICK_WIDTH // int(cell_width))
    by_day = heatmap(
        [Row(s.name, {index[day]: count for day, count in s.by_day.items()}) for s in shown],
        [_day(day) for day in days],
        ticks={number: f"{day.day} {day:%b}" for number, day in enumerate(days) if number % every == 0},
        hours={index[day]: value for day, value in page.effort.by_day.items()} if known else None,
        title="Detections of each species by day",
        cell_width=cell_width,
    )
    meaning = "detections an hour of recording, so that hours that were recorded more do not look busier"
    note = f"Each row's strongest cell is that species' busiest: {meaning if known else 'plain counts'}. "
    note += "Hatched: nothing was recorded. " if known else ""
    more = f"The {MAPPED} most often heard are shown. " if len(timed) > MAPPED else ""
    rows = "".join(
        f"<tr><td>{escape(s.name)}</td>"
        + "".join(f'<td class="n">{s.by_hour.get(hour, "")}</td>' for hour in range(24))
        + "</tr>"
        for s in timed
    )
    heads = "".join(f'<th class="n" scope="col">{hour}</th>' for hour in range(24))
    return (
        f'<section id="when"><div class="head"><div><h2>When</h2><p class="note">{note}{more}The clock is '
        f'{escape(page.zone)}.</p></div></div><div class="scroll" tabindex="0" role="region" aria-label="By hour">'
        f'<h3>By hour</h3>{hours}</div><div class="scroll" tabindex="0" role="region" aria-label="By day">'
        f"<h3>By day</h3>{by_day}</div><details><summary>The counts by hour as a table</summary>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Counts by hour"><table><thead><tr>'
        f'<th scope="col">Species</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details></section>"
    )


def _failed(page: Page) -> str:
    if not page.failed:
        return ""
    rows = "".join(f"<tr><td>{escape(path)}</td><td>{escape(reason)}</td></tr>" for path, reason in page.failed)
    return (
        '<section id="failed"><div class="head"><div><h2>What failed</h2><p class="note">These recordings could not be '
        'scored; birds in them are missing above.</p></div></div><div class="scroll"><table><thead><tr>'
        '<th scope="col">Recording</th><th scope="col">Why</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _footer(page: Page) -> str:
    return f"<footer><p>{escape(page.about)}</p></footer>"


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
