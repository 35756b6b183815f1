"""Where every captured frame went: analysed, skipped as digital silence, dropped, or still pending."""

from __future__ import annotations

from collections import deque
from typing import Literal

__all__ = ["Accounting", "Outcome"]

Outcome = Literal["analysed", "skipped_silent", "dropped"]


class Accounting:
    """Counts a stream's frames, each once, however much its windows overlap.

    captured = analysed + skipped_silent + dropped + pending, and `end_frame` = captured + gap + inactive: the stream's
    position.
    A window settles the frames that it is the first to reach; captured frames that it passes over are dropped.
    """

    def __init__(self) -> None:
        self.end_frame = 0
        self.captured = 0
        self.gap = 0
        self.inactive = 0
        self.analysed = 0
        self.skipped_silent = 0
        self.dropped = 0
        self._settled_to = 0
        self._holes: deque[tuple[int, int]] = deque()

    @property
    def pending(self) -> int:
        """Captured frames that are not settled yet: those between capture and score."""
        return self._captured_between(self._settled_to, self.end_frame)

    def capture(self, frames: int) -> None:
        """Frames came in."""
        self.captured += frames
        self.end_frame += frames

    def hole(self, frames: int, *, on_purpose: bool = False) -> None:
        """Frames were never captured. on_purpose: a schedule said so."""
        if frames:
            self._holes.append((self.end_frame, self.end_frame + frames))
            if on_purpose:
                self.inactive += frames
            else:
                self.gap += frames
            self.end_frame += frames

    def settle(self, start_frame: int, end_frame: int, outcome: Outcome) -> int:
        """What became of frames `[start_frame, end_frame)`; returns how many of them were new."""
        # A resampler's last frame may lie one beyond the audio that made it.
        start, end = min(start_frame, self.end_frame), min(end_frame, self.end_frame)
        self.dropped += self._captured_between(self._settled_to, start)
        begin = max(start, self._settled_to)
        frames = self._captured_between(begin, end)
        setattr(self, outcome, getattr(self, outcome) + frames)
        self._settled_to = max(self._settled_to, end)
        while self._holes and self._holes[0][1] <= self._settled_to:
            self._holes.popleft()
        return frames

    def _captured_between(self, start: int, end: int) -> int:
        if end <= start:
            return 0
        lost = sum(max(0, min(end, hole_end) - max(start, hole_start)) for hole_start, hole_end in self._holes)
        return end - start - lost
