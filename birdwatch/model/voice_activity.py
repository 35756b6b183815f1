"""Where a person speaks: Silero's voice activity network (MIT), kept in the store beside the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ModelError
from birdwatch.model.model_file import read_model
from birdwatch.model.registry import store_folder
from birdwatch.model.session import open_session

__all__ = ["CHUNK_FRAMES", "VAD_RATE_HZ", "VoiceActivity", "voice_model_path"]

VAD_RATE_HZ = 16000
# The network sees 32 ms and the last 4 ms before them.
CHUNK_FRAMES = 512
CONTEXT_FRAMES = 64


def voice_model_path() -> Path:
    """Where `birdwatch model add-silero` puts the network."""
    return store_folder() / "voice" / "silero.onnx"


class VoiceActivity:
    """The probability of speech in each 32 ms of a stream at 16 kHz: `push` samples in any pieces.

    Raises ModelError where the network has not been added, or is another one.
    """

    def __init__(self, path: Path | None = None) -> None:
        path = path or voice_model_path()
        if not path.is_file():
            raise ModelError(
                f"privacy needs a voice activity network, and {path} does not exist; add it with "
                "`birdwatch model add-silero`",
                path=path,
            )
        self._session = open_session(read_model(path), path)
        if [one.name for one in self._session.get_inputs()] != ["input", "h", "c"]:
            raise ModelError(f"{path} is not Silero's network for sequences at 16 kHz; add it again", path=path)
        self.restart()

    def restart(self) -> None:
        """Reset the state: a new stream begins."""
        self._state = (np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32))
        self._context = np.zeros(CONTEXT_FRAMES, np.float32)
        self._rest = np.empty(0, np.float32)

    def push(self, samples: FloatArray) -> FloatArray:
        """Probabilities `(k,)` of the `k` chunks that samples `(n,)` complete."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // CHUNK_FRAMES
        used = samples[: count * CHUNK_FRAMES]
        self._rest = samples[count * CHUNK_FRAMES :]
        if not count:
            return np.empty(0, np.float32)
        padded = np.concatenate([self._context, used])
        self._context = padded[-CONTEXT_FRAMES:]
        chunks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT_FRAMES + CHUNK_FRAMES)[::CHUNK_FRAMES]
        inputs = {"input": np.ascontiguousarray(chunks), "h": self._state[0], "c": self._state[1]}
        probabilities, h, c = self._session.run(None, inputs)
        self._state = (h, c)
        return np.asarray(probabilities, np.float32)
