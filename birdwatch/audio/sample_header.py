"""The header of a file of plain samples, compared with the samples that the file has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SampleHeader"]


@dataclass(frozen=True, slots=True)
class SampleHeader:
    """What the header of a file of plain samples says, beside what is there.

    subtype: libsndfile's name of the sample's encoding, or None for one that is not plain samples. frame_bytes: one
    sample of each channel. data_start, data_bytes: where the samples are, in bytes of the file. claimed_bytes: the
    length in the header, or None if the header marks it as unknown. comment: the INFO list's (AudioMoth's). guano: the
    text of the GUANO chunk.
    """

    rate_hz: int
    channels: int
    subtype: str | None
    big_endian: bool
    frame_bytes: int
    data_start: int
    data_bytes: int
    claimed_bytes: int | None
    comment: str = ""
    guano: str = ""

    @property
    def wrong_length(self) -> bool:
        """Whether the header's length differs from that of the samples."""
        return self.claimed_bytes != self.data_bytes

    @property
    def claim(self) -> str:
        """What it says about the length and what is there, for a message; of compressed audio in bytes."""
        said, there, unit = self.claimed_bytes, self.data_bytes, 1e6
        if self.subtype is not None:
            unit = float(self.frame_bytes * self.rate_hz)
        name = "MB" if self.subtype is None else "s"
        claimed = "an unknown length" if said is None else f"{said / unit:.1f} {name}"
        return f"its header says {claimed}, {there / unit:.1f} {name} are there and are scored"

    @property
    def claims_less(self) -> bool:
        """Whether the header's length is too small."""
        return self.claimed_bytes is not None and self.claimed_bytes < self.data_bytes

    @property
    def frames(self) -> int:
        """Whole frames that are there."""
        return self.data_bytes // self.frame_bytes
