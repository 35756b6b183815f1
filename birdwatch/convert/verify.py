"""Compares a converted network with the original before it is added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from scipy import signal

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ModelError
from birdwatch.model.classifier import open_network

__all__ = ["onnx_runner", "probe_sounds", "tflite_runner", "verify"]

Runner = Callable[[FloatArray], FloatArray]


def tflite_runner(content: bytes) -> Runner:
    """A function from inputs `(B, n)` to the first output of a TFLite file, run by LiteRT. Both raise ModelError."""
    with _refusals("LiteRT"):
        interpreter = Interpreter(model_content=content)
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]["index"]

    def run(inputs: FloatArray) -> FloatArray:
        with _refusals("LiteRT"):
            interpreter.resize_tensor_input(source, inputs.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(source, inputs)
            interpreter.invoke()
            return np.array(interpreter.get_tensor(target), np.float32)

    return run


def onnx_runner(content: bytes, output: str) -> Runner:
    """A function from inputs `(B, n)` to an output of an ONNX file, run by ONNX Runtime. Both raise ModelError."""
    session = open_network(content)
    name = session.get_inputs()[0].name

    def run(inputs: FloatArray) -> FloatArray:
        with _refusals("ONNX Runtime"):
            return np.asarray(session.run([output], {name: inputs})[0], np.float32)

    return run


@contextmanager
def _refusals(program: str) -> Iterator[None]:
    """What a program that runs networks says of one that it does not run, as a ModelError."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's own classes derive from Exception directly
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{program} does not run the network ({reason}); fetch it again") from error


def probe_sounds(rate_hz: int, frames: int) -> dict[str, FloatArray]:
    """Sounds, float32 `(frames,)` each, on which a slip of the conversion shows; always the same ones.

    Silence and pure tones matter most: there, bands that should be empty show the least error of a sum.
    """
    rng = np.random.default_rng(24)
    t = np.arange(frames) / rate_hz
    noise = rng.standard_normal(frames)
    length_s = frames / rate_hz
    song = signal.chirp(t % 0.4, 2500.0, 0.4, 6500.0) * np.sin(np.pi * (t % 0.4) / 0.4) ** 2
    low = signal.sosfilt(signal.butter(8, 2000.0, fs=rate_hz, output="sos"), noise)
    sounds = {
        "silence": np.zeros(frames),
        "a constant": np.full(frames, 0.3),
        "white noise": 0.1 * noise,
        "very quiet noise": 1e-5 * noise,
        "noise without treble": 0.2 * low,
        "a tone": 0.5 * np.sin(2 * np.pi * 3000.0 * t),
        "a click": np.where(np.arange(frames) == frames // 2, 0.9, 0.0),
        "song over noise": 0.3 * song + 0.01 * noise,
        "silence, then song": np.where(t < length_s / 2, 0.0, 0.3 * song),
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


def verify(
    original: Runner, converted: Runner, inputs: Mapping[str, FloatArray], *, tolerance: float, batches: tuple[int, ...]
) -> float:
    """The largest difference between both networks' outputs over all inputs, one by one and in the given batches.

    Raises ModelError that names the inputs where it is above `tolerance`, or NaN.
    """
    worst: dict[str, float] = {}
    names = list(inputs)
    for batch in batches:
        for start in range(0, len(names), batch):
            # A batch is filled up from the front, so that each one really has its size.
            part = [names[(start + number) % len(names)] for number in range(batch)]
            stacked = np.stack([inputs[name] for name in part])
            differences = np.abs(original(stacked) - converted(stacked)).max(axis=1)
            for name, difference in zip(part, differences.tolist(), strict=True):
                worst[name] = float(np.maximum(worst.get(name, 0.0), difference))  # NaN stays NaN
    wrong = {name: difference for name, difference in worst.items() if not difference <= tolerance}
    if wrong:
        listed = ", ".join(f"{name} {difference:.2g}" for name, difference in wrong.items())
        raise ModelError(f"the converted network differs from the original by more than {tolerance:g}: {listed}")
    return max(worst.values())
