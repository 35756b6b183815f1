"""The terminal display of `birdwatch listen`: level, state and latest detections."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from birdwatch.audio.levels import Level
from birdwatch.messaging.messages import Status

__all__ = ["Display"]

# Rows of detections; the newest on top.
ROWS = 10
# The meter's left end; full scale is its right end.
METER_DB = -80.0
METER_WIDTH = 40
REDRAW_S = 0.25

_COLOURS = {"listening": "green", "degraded": "yellow", "waiting-device": "red", "starting": "cyan", "stopping": "cyan"}


class Display:
    """A few lines that are redrawn in place: `detected`, and `show` when it is `due`. No thread of its own."""

    def __init__(self, console: Console, station: str) -> None:
        self.console = console
        self._station = station
        self._rows: deque[tuple[str, str, float]] = deque(maxlen=ROWS)
        self._live = Live(console=console, auto_refresh=False)
        self._next = 0.0

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def detected(self, name: str, score: float, utc_ns: int) -> None:
        """One more detection; shown with the next `show`."""
        local = datetime.fromtimestamp(utc_ns // 1_000_000_000).astimezone()
        self._rows.appendleft((f"{local:%H:%M:%S}", name, score))

    def due(self) -> bool:
        """Whether it is time to draw: a few times a second, whatever the size of the audio's blocks."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + REDRAW_S
        return True

    def show(self, status: Status, level: Level) -> None:
        """Draw it anew."""
        self._live.update(Group(*self._lines(status, level)), refresh=True)

    def _lines(self, status: Status, level: Level) -> list[Text | Table]:
        state = Text.assemble(
            (f"{self._station}  ", "bold"),
            (status.state, _COLOURS[status.state]),
            f"  {status.device}  {status.model} on {status.provider.removesuffix('ExecutionProvider')}",
        )
        lines: list[Text | Table] = [state, _meter(level)]
        seconds = status.seconds
        counts = f"captured {seconds.captured:.0f} s, {status.windows} windows, {status.detections} detections"
        for name in ("dropped", "gap"):
            if getattr(seconds, name):
                counts += f", {name} {getattr(seconds, name):.1f} s"
        if status.latency_p95_ms is not None:
            counts += f", {status.latency_p95_ms:.0f} ms from sound to message (p95)"
        lines.append(Text(counts, style="dim"))
        if status.reason:
            lines.append(Text(status.reason, style="yellow"))
        if self._rows:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
            for clock, name, score in self._rows:
                table.add_row(clock, name, f"{score:.2f}")
            lines.append(table)
        return lines


def _meter(level: Level) -> Text:
    def columns(db: float) -> int:
        return round(METER_WIDTH * min(1.0, max(0.0, 1.0 - db / METER_DB)))

    rms, peak = columns(level.rms_db), columns(level.peak_db)
    bar = "█" * rms + "░" * max(0, peak - rms)
    colour = "red" if level.peak_db > -1 else "yellow" if level.peak_db > -6 else "green"
    text = Text.assemble((f"{bar:·<{METER_WIDTH}}", colour), f" {level.rms_db:6.1f} dB, peak {level.peak_db:6.1f} dB")
    if level.flags:
        text.append("  " + ", ".join(level.flags), style="bold red")
    return text
