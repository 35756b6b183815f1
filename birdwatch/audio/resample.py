"""Sample-rate conversion of a stream of blocks; the result does not depend on how the stream is split into blocks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import soxr

from birdwatch.audio.kaiser_fast import KaiserStream, kaiser_possible
from birdwatch.audio.types import AudioBlock, FloatArray

__all__ = ["Resampler", "ResamplerKind"]

ResamplerKind = Literal["soxr", "kaiser_fast"]


class Resampler:
    """Turns blocks at one rate into blocks at another: `push` what comes in, `finish` at the end.

    soxr's HQ stream (20 bits), or the filter that the model was trained with, behind frame numbers. Where a block does
    not start at the frame at which the last one ended, the stream is finished and begun again, so no sample is
    interpolated across a hole.
    """

    def __init__(self, rate_hz: int, out_rate_hz: int, *, kind: ResamplerKind = "soxr") -> None:
        if rate_hz < 1 or out_rate_hz < 1:
            raise ValueError(f"rates must be at least 1 Hz; got {rate_hz} and {out_rate_hz}")
        self.rate_hz = rate_hz
        self.out_rate_hz = out_rate_hz
        # Between odd rates (47 999 Hz) soxr is as good a guess as any.
        self.kind: ResamplerKind = kind if kaiser_possible(rate_hz, out_rate_hz) else "soxr"
        self._stream: soxr.ResampleStream | KaiserStream | None = None
        self._next_frame: int | None = None
        self._out_frame = 0

    def push(self, block: AudioBlock) -> list[AudioBlock]:
        """The output that `block` completes: no block, one, or two where a hole ended the stream before it."""
        if block.rate_hz != self.rate_hz:
            raise ValueError(f"a block at {block.rate_hz} Hz in a stream at {self.rate_hz} Hz")
        if self.rate_hz == self.out_rate_hz:
            return [block] if len(block.samples) else []
        out: list[AudioBlock] = []
        if block.start_frame != self._next_frame:
            out += self.finish()
            self._stream = self._new_stream()
            self._out_frame = self._to_out(block.start_frame)
        assert self._stream is not None
        self._next_frame = block.end_frame
        return out + self._emit(self._stream.resample_chunk(block.samples))

    def finish(self) -> list[AudioBlock]:
        """The rest of the stream; a later `push` begins a new one."""
        if self._stream is None:
            return []
        stream, self._stream, self._next_frame = self._stream, None, None
        return self._emit(stream.resample_chunk(np.zeros(0, np.float32), last=True))

    def _new_stream(self) -> soxr.ResampleStream | KaiserStream:
        if self.kind == "kaiser_fast":
            return KaiserStream(self.rate_hz, self.out_rate_hz)
        return soxr.ResampleStream(self.rate_hz, self.out_rate_hz, 1, dtype="float32", quality="HQ")

    def _to_out(self, frame: int) -> int:
        return (frame * self.out_rate_hz + self.rate_hz // 2) // self.rate_hz

    def _emit(self, samples: FloatArray) -> list[AudioBlock]:
        if not len(samples):
            return []
        block = AudioBlock(samples, self._out_frame, self.out_rate_hz)
        self._out_frame = block.end_frame
        return [block]
