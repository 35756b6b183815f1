"""The front end and the segments of a window by the settings."""

from __future__ import annotations

from birdwatch.model.frontend import FrontendSpec

from .settings import Settings

__all__ = ["frontend_of", "segments_of"]

# The published window, whose image is 256 pixels wide, and the competition's row.
PUBLISHED_S = 5.0
PUBLISHED = FrontendSpec()


def frontend_of(settings: Settings) -> FrontendSpec:
    """The published front end, for windows of `window_s`."""
    frames = round(settings.window_s * PUBLISHED.rate_hz)
    width = settings.image_width or round(PUBLISHED.width * settings.window_s / PUBLISHED_S)
    return FrontendSpec(window_frames=frames, width=width)


def segments_of(settings: Settings) -> int:
    """Rows of 5 s in a window of a sed head; 1 where the window is no multiple of it."""
    rows = settings.window_s / PUBLISHED_S
    return round(rows) if settings.head == "sed" and rows == round(rows) else 1
