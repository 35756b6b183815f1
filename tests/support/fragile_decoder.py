"""A decoding process that crashes, hangs or talks by the name of the file: what codecs do to damaged ones."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from birdwatch.audio.decode_worker import serve
from birdwatch.audio.file import AudioFile


def opened(path: Any, *, channel: int | None) -> AudioFile:
    if "crash" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in path.name:
        threading.Event().wait()
    audio = AudioFile(path, channel=channel)
    if "late" in path.name:
        whole = audio.blocks

        def blocks() -> Any:
            for block in whole():
                yield block
                os.kill(os.getpid(), signal.SIGABRT)

        audio.blocks = blocks  # type: ignore[method-assign, assignment]
    return audio


if __name__ == "__main__":
    serve(sys.stdin.buffer, os.fdopen(1, "wb", buffering=0), opened)
