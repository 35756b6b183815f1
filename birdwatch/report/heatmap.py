"""Heat maps as inline SVG: species down, hours or days across, columns without recordings hatched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from birdwatch.report.templating import environment
from birdwatch.wording import counted

__all__ = ["Row", "heatmap"]

NAME_WIDTH = 190
ROW_HEIGHT = 22
HEAD = 46
# Faint cells must still be seen beside the empty ones.
FAINTEST = 0.14


@dataclass(frozen=True, slots=True)
class Row:
    """One species: its detections in each column."""

    name: str
    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Cell:
    kind: str
    x: str
    y: int
    width: str
    height: int
    told: str = ""
    shade: str = ""


def heatmap(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    ticks: Mapping[int, str],
    hours: Mapping[int, float] | None,
    title: str,
    cell_width: float,
) -> str:
    """An SVG of `rows` by `columns`; each row's strongest cell is that species' busiest.

    hours: how long each column was recorded. A cell then shows detections per hour of recording, and a column without
    recordings is hatched: no detection there means nothing. None where that is not known; cells then show plain counts.
    ticks: column -> the label above it.
    """
    most = max((hours or {}).values(), default=0.0) or 1.0
    efforts = []
    for column, label in enumerate(columns if hours is not None else ()):
        recorded = (hours or {}).get(column, 0.0)
        tall = 12 * recorded / most
        x = f"{NAME_WIDTH + cell_width * column + 0.5:.1f}"
        told = f"{label}: {recorded:.2f} h recorded"
        efforts.append((x, f"{HEAD - 6 - tall:.1f}", f"{cell_width - 1:.1f}", f"{tall:.1f}", told))
    return (
        environment()
        .get_template("heatmap.svg")
        .render(
            title=title,
            width=f"{NAME_WIDTH + cell_width * len(columns) + 8:g}",
            height=HEAD + ROW_HEIGHT * len(rows) + 6,
            name_x=NAME_WIDTH - 10,
            effort_y=HEAD - 8,
            ticks=[(f"{NAME_WIDTH + cell_width * (c + 0.5):.1f}", HEAD - 24, label) for c, label in ticks.items()],
            efforts=efforts,
            rows=[
                (HEAD + ROW_HEIGHT * number + 15, _short(row.name), _cells(row, number, columns, hours, cell_width))
                for number, row in enumerate(rows)
            ],
        )
    )


def _cells(
    row: Row, number: int, columns: Sequence[str], hours: Mapping[int, float] | None, cell_width: float
) -> list[_Cell]:
    rates = {
        column: count / hours[column] if hours is not None else float(count)
        for column, count in row.counts.items()
        if hours is None or hours.get(column)
    }
    most = max(rates.values(), default=0.0) or 1.0
    y, height = HEAD + ROW_HEIGHT * number + 1, ROW_HEIGHT - 2
    cells = []
    for column, label in enumerate(columns):
        x, width = f"{NAME_WIDTH + cell_width * column + 0.5:.1f}", f"{cell_width - 1:.1f}"
        if column in rates:
            shade = FAINTEST + (1 - FAINTEST) * (rates[column] / most) ** 0.7
            told = f"{row.name}, {label}: {counted(row.counts[column], 'detection')}"
            if hours is not None:
                told += f", {rates[column]:.1f} an hour of recording"
            cells.append(_Cell("cell", x, y, width, height, told, f"{shade:.2f}"))
        else:
            unrecorded = hours is not None and not hours.get(column)
            cells.append(_Cell("unheard" if unrecorded else "none", x, y, width, height))
    return cells


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25].rstrip() + "…"
