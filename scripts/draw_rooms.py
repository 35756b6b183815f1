"""Draws docs/architecture.svg: the rooms of birdwatch/ by floor, with an arrow for each import between rooms.

usage: python scripts/draw_rooms.py [--check]

Everything in the picture is read from the source: the sentence of a room from its `__init__`, the arrows from the
imports of its modules, the floors from the arrows. An arrow that follows from two others is left out. --check writes
nothing and exits 1 where the picture is not current.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"

BOX_WIDTH, BOX_HEIGHT, GAP, FLOOR_HEIGHT, MARGIN, LABEL = 250, 96, 26, 166, 24, 36
# Support modules that every room may use: arrows to them would say nothing.
EVERYWHERE = {"errors", "process", "paths", "atomic_write", "_version"}


def room_imports(package: Path) -> dict[str, set[str]]:
    """For each room the rooms that its modules import, wherever in the module the import stands."""
    rooms = {path.parent.name for path in package.glob("*/__init__.py")} | {"api"}
    found: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room not in rooms:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == package.name and len(parts) > 1 and parts[1] in rooms - {room}:
                    found[room].add(parts[1])
    return found


def floors(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Rooms by floor: a room stands one floor above the highest room that it imports. ValueError for a circle."""
    height: dict[str, int] = {}

    def height_of(room: str, below: tuple[str, ...]) -> int:
        if room in below:
            raise ValueError(f"rooms import each other in a circle: {' -> '.join([*below, room])}")
        if room not in height:
            height[room] = 1 + max((height_of(other, (*below, room)) for other in arrows[room]), default=-1)
        return height[room]

    for room in arrows:
        height_of(room, ())
    return [sorted(r for r in arrows if height[r] == floor) for floor in range(max(height.values()) + 1)]


def direct(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows without those that follow from two others."""

    def reach(room: str) -> set[str]:
        return arrows[room].union(*(reach(other) for other in arrows[room]))

    return {
        room: {other for other in others if not any(other in reach(third) for third in others - {other})}
        for room, others in arrows.items()
    }


def sentence(room: str, package: Path) -> str:
    """What a room owns, in the words of its `__init__`."""
    path = package / room / "__init__.py"
    path = path if path.exists() else package / f"{room}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def draw(package: Path) -> str:
    """The picture as SVG."""
    arrows = room_imports(package)
    levels = floors(arrows)
    widest = max(len(level) for level in levels)
    width = 2 * MARGIN + widest * BOX_WIDTH + (widest - 1) * GAP
    height: float = 2 * MARGIN + len(levels) * FLOOR_HEIGHT - (FLOOR_HEIGHT - BOX_HEIGHT) + LABEL
    place: dict[str, tuple[float, float]] = {}
    for floor, level in enumerate(levels):
        left = (width - len(level) * BOX_WIDTH - (len(level) - 1) * GAP) / 2
        for column, room in enumerate(level):
            y = height - LABEL - MARGIN - BOX_HEIGHT - floor * FLOOR_HEIGHT
            place[room] = (left + column * (BOX_WIDTH + GAP), y)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif">',
        "<title>The rooms of birdwatch/ and what they import</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0 0 8 4 0 8z" fill="#7a8b99"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="#fbfaf7"/>',
    ]
    for room, others in sorted(direct(arrows).items()):
        for other in sorted(others):
            (x1, y1), (x2, y2) = place[room], place[other]
            start, end = (x1 + BOX_WIDTH / 2, y1 + BOX_HEIGHT), (x2 + BOX_WIDTH / 2, y2 - 2)
            bend = (end[1] - start[1]) / 2
            out.append(
                f'<path d="M{start[0]:g} {start[1]:g}C{start[0]:g} {start[1] + bend:g} {end[0]:g} {end[1] - bend:g} '
                f'{end[0]:g} {end[1]:g}" fill="none" stroke="#7a8b99" stroke-width="1.4" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in sorted(place.items()):
        name = f"{room}.py" if room == "api" else f"{room}/"
        out.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="#fff" stroke="#2f5d50"/>'
            f'<text x="{x + 12:g}" y="{y + 24:g}" font-size="17" font-weight="bold" fill="#1d3b33">{name}</text>'
        )
        lines = textwrap.wrap(sentence(room, package), 36)
        for number, line in enumerate(lines[:4]):
            out.append(
                f'<text x="{x + 12:g}" y="{y + 43 + 15 * number:g}" font-size="12" fill="#444">{escape(line)}</text>'
            )
    used = ", ".join(f"{name}.py" for name in sorted(EVERYWHERE - {"_version"}))
    out.append(
        f'<text x="{MARGIN}" y="{height - 16:g}" font-size="12" fill="#666">An arrow is an import; what follows from '
        f"two others is left out. {escape(used)} are used everywhere.</text>"
    )
    return "\n".join([*out, "</svg>", ""])


def main(arguments: list[str]) -> int:
    """Write the picture, or check that it is current."""
    text = draw(ROOT / "birdwatch")
    if "--check" in arguments:
        current = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == text
        if not current:
            print(f"{PICTURE.relative_to(ROOT)} is not current; run python scripts/draw_rooms.py", file=sys.stderr)
        return 0 if current else 1
    PICTURE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
