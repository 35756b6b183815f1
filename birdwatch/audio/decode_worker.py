"""A process that decodes compressed recordings for another one, so that a crashing codec fails one recording only.

Questions come as JSON lines on stdin: `{"do": "look" or "decode", "path": ..., "channel": ..., "frames": ...}`, with
`frames` null for all or `[first, last]` for a stretch. Answers go to stdout as frames: one byte of kind, four of size,
the payload.

    I  JSON   properties of the recording
    B  bytes  a block: its first frame (int64) and float32 samples
    W  JSON   the end of a recording, with its warnings
    E  JSON   why it cannot be read
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError

__all__ = ["HEADER", "PROPERTIES", "START", "serve"]

HEADER = struct.Struct("<cI")
START = struct.Struct("<q")
# What an `I` frame holds of an AudioFile.
PROPERTIES = ("rate_hz", "channels", "comment", "guano", "duration_s", "exact_frames", "warnings")


def serve(questions: IO[bytes], answers: IO[bytes], opened: Callable[..., AudioFile] = AudioFile) -> None:
    """Answer questions until there are no more. opened: makes the recording of a path and a channel."""

    def answer(kind: bytes, payload: bytes) -> None:
        answers.write(HEADER.pack(kind, len(payload)) + payload)
        answers.flush()

    def say(kind: bytes, value: Any) -> None:
        answer(kind, json.dumps(value).encode())

    for line in questions:
        question = json.loads(line)
        try:
            audio = opened(Path(question["path"]), channel=question["channel"])
            say(b"I", {name: getattr(audio, name) for name in PROPERTIES})
            if question["do"] == "decode":
                frames = question.get("frames")
                for block in audio.stretch(*frames) if frames else audio.blocks():
                    answer(b"B", START.pack(block.start_frame) + block.samples.tobytes())
            say(b"W", audio.warnings)
        except DecodeError as error:
            say(b"E", str(error))


def main() -> None:
    """Serve on stdin and stdout; nothing else may write there."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)


if __name__ == "__main__":
    main()
