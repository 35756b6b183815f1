"""Heat maps as inline SVG: species down, hours or days across, unlistened cells hatched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Row", "heatmap"]

NAME_WIDTH = 190
ROW_HEIGHT = 22
HEAD = 46
# Faint cells must still be seen beside the empty ones.
FAINTEST = 0.14
HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
)


@dataclass(frozen=True, slots=True)
class Row:
    """One species: how often it was heard in each column."""

    name: str
    counts: Mapping[int, int]


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

    hours: how long each column was listened to. A cell then shows detections an hour of recording, and a column that
    was not listened to is hatched: no bird there means nothing. None where nobody knows; cells then show plain counts.
    ticks: column -> the label above it.
    """
    width, height = NAME_WIDTH + cell_width * len(columns) + 8, HEAD + ROW_HEIGHT * len(rows) + 6
    size = f'viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}"'
    parts = [f'<svg class="heat" role="img" aria-label="{escape(title)}" {size}>', HATCH]
    for column, label in ticks.items():
        x = NAME_WIDTH + cell_width * (column + 0.5)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEAD - 24}">{escape(label)}</text>')
    if hours is not None:
        most = max(hours.values(), default=0.0) or 1.0
        parts.append(f'<text class="effort-name" x="{NAME_WIDTH - 10}" y="{HEAD - 8}">recorded</text>')
        for column, label in enumerate(columns):
            tall = 12 * hours.get(column, 0.0) / most
            x = NAME_WIDTH + cell_width * column
            parts.append(
                f'<rect class="effort" x="{x + 0.5:.1f}" y="{HEAD - 6 - tall:.1f}" width="{cell_width - 1:.1f}" '
                f'height="{tall:.1f}"><title>{escape(label)}: {hours.get(column, 0.0):.2f} h recorded</title></rect>'
            )
    for number, row in enumerate(rows):
        parts += _cells(row, number, columns, hours, cell_width)
    return "".join([*parts, "</svg>"])


def _cells(
    row: Row, number: int, columns: Sequence[str], hours: Mapping[int, float] | None, cell_width: float
) -> list[str]:
    y = HEAD + ROW_HEIGHT * number
    parts = [f'<text class="species" x="{NAME_WIDTH - 10}" y="{y + 15}">{escape(_short(row.name))}</text>']
    rates = {
        column: count / hours[column] if hours is not None else float(count)
        for column, count in row.counts.items()
        if hours is None or hours.get(column)
    }
    most = max(rates.values(), default=0.0) or 1.0
    for column, label in enumerate(columns):
        box = (
            f'x="{NAME_WIDTH + cell_width * column + 0.5:.1f}" y="{y + 1}" '
            f'width="{cell_width - 1:.1f}" height="{ROW_HEIGHT - 2}"'
        )
        if column in rates:
            shade = FAINTEST + (1 - FAINTEST) * (rates[column] / most) ** 0.7
            told = f"{row.name}, {label}: {row.counts[column]} detections"
            if hours is not None:
                told += f", {rates[column]:.1f} an hour of recording"
            parts.append(f'<rect class="cell" {box} fill-opacity="{shade:.2f}"><title>{escape(told)}</title></rect>')
        elif hours is not None and not hours.get(column):
            parts.append(f'<rect class="unheard" {box}/>')
        else:
            parts.append(f'<rect class="none" {box}/>')
    return parts


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25].rstrip() + "…"
