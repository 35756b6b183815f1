"""The position of a file in a recording that was cut into several: written into the file's comment, and read back."""

from __future__ import annotations

from dataclasses import dataclass

from birdwatch.audio.timestamps import guano_fields

__all__ = ["Place", "place_of", "place_text"]

# GUANO allows custom fields with a namespace before a vertical bar.
STREAM, START = "Birdwatch|Stream", "Birdwatch|Start Frame"


@dataclass(frozen=True, slots=True)
class Place:
    """The file's first frame is frame `start_frame`, at the file's rate, of the uninterrupted audio called `stream`."""

    stream: str
    start_frame: int


def place_text(place: Place) -> str:
    """Lines of a GUANO comment."""
    return f"{STREAM}: {place.stream}\n{START}: {place.start_frame}\n"


def place_of(comment: str) -> Place | None:
    """What `place_text` wrote into a comment; None where it did not."""
    if not comment.startswith("GUANO|"):
        return None
    fields = guano_fields(comment)
    stream, start = fields.get(STREAM, ""), fields.get(START, "")
    return Place(stream, int(start)) if stream and start.isascii() and start.isdigit() and len(start) < 19 else None
