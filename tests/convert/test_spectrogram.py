"""The rebuilt spectrogram layer equals the one LiteRT runs, also where one band drowns the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("tflite", reason="needs the extra 'models': pip install 'birdwatch[models]'")
pytest.importorskip("ai_edge_litert", reason="needs the extra 'models': pip install 'birdwatch[models]'")

from tflite_files import TFLiteFile, options, run_litert

from birdwatch.convert.convert import convert
from birdwatch.convert.spectrogram import find_spectrograms
from birdwatch.convert.tflite_file import read_tflite
from birdwatch.errors import ModelError

RNG = np.random.default_rng(2)
MELS, BINS_LOW = 6, 3


def layer_file(samples: int, size: int, step: int, *, window: Any = None, power: float = 0.3) -> bytes:
    """A file with one spectrogram layer over `samples`, its operators as TensorFlow lowers `tf.signal.stft`.

    As there, frames are gathered in chunks of the greatest common divisor of frame and step.
    """
    chunk = int(np.gcd(size, step))
    frames = 1 + (samples - size) // step
    chunks, bins = samples // chunk, size // 2 + 1
    filters = np.abs(RNG.standard_normal((MELS, bins))) * (np.arange(bins) > BINS_LOW)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    file = TFLiteFile()

    def integers(values: Any) -> int:
        return file.constant(values, "int32")

    source = file.tensor((1, samples))
    whole = file.operator(
        "STRIDED_SLICE",
        [source, integers([0, 0]), integers([1, chunks * chunk]), integers([1, 1])],
        (1, chunks * chunk),
        options=options("StridedSlice"),
    )
    cut = file.operator("RESHAPE", [whole, integers([1, chunks, chunk])], (1, chunks, chunk))
    counted = file.operator("RANGE", [integers(0), integers(frames), integers(1)], (frames,), "int32", options("Range"))
    first = file.operator("MUL", [counted, integers(step // chunk)], (frames,), "int32", options("Mul"))
    column = file.operator("RESHAPE", [first, integers([frames, 1])], (frames, 1), "int32")
    within = integers(np.arange(size // chunk)[None])
    numbers = file.operator("ADD", [column, within], (frames, size // chunk), "int32", options("Add"))
    gathered = file.operator(
        "GATHER", [cut, numbers], (1, frames, size // chunk, chunk), options=options("Gather", axis=1)
    )
    framed = file.operator("RESHAPE", [gathered, integers([1, frames, size])], (1, frames, size))
    windowed = file.operator(
        "MUL", [framed, file.constant(hann if window is None else window)], (1, frames, size), options=options("Mul")
    )
    rows = file.operator("EXPAND_DIMS", [windowed, integers(-2)], (1, frames, 1, size))
    spectrum = file.operator("RFFT2D", [rows, integers([1, size])], (1, frames, 1, bins), "complex64")
    flat = file.operator("SQUEEZE", [spectrum], (1, frames, bins), "complex64", options("Squeeze", squeezeDims=[-2]))
    real = file.operator("CAST", [flat], (1, frames, bins))
    many = file.operator("RESHAPE", [real, integers([frames, bins])], (frames, bins))
    table = options("FullyConnected")
    mels = file.operator("FULLY_CONNECTED", [many, file.constant(filters), -1], (frames, MELS), options=table)
    picture = file.operator("RESHAPE", [mels, integers([1, frames, MELS])], (1, frames, MELS))
    square = file.operator("MUL", [picture, picture], (1, frames, MELS), options=options("Mul"))
    raised = file.operator("POW", [square, file.constant(power)], (1, frames, MELS))
    turned = file.operator("REVERSE_V2", [raised, integers([2])], (1, frames, MELS))
    upright = file.operator("TRANSPOSE", [turned, integers([0, 2, 1])], (1, MELS, frames))
    return file.content(source, upright)  # fmt: skip


def rebuilt(content: bytes) -> ort.InferenceSession:
    network = read_tflite(content)
    model = convert(network, {"out": network.outputs[0]}, input_name="in")
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("samples", "size", "step"),
    [(1000, 64, 14), (1000, 64, 16), (500, 128, 100), (640, 64, 64), (300, 64, 90), (64, 64, 10), (1001, 32, 7)],
)
def test_equals_litert(samples: int, size: int, step: int) -> None:
    content = layer_file(samples, size, step)
    session = rebuilt(content)
    t = np.arange(samples)
    cases = {
        "noise": RNG.standard_normal(samples),
        "silence, scaled": np.full(samples, -1.0),
        "an offset with very little on it": -0.3 + 1e-6 * RNG.standard_normal(samples),
        "one loud tone": np.sin(2 * np.pi * 8 * t / size),
        "half silent": np.where(t < samples // 2, -0.2, RNG.standard_normal(samples)),
    }
    batch = np.stack(list(cases.values())).astype(np.float32)
    found = session.run(None, {"in": batch})[0]
    for (name, _), values, picture in zip(cases.items(), batch, found, strict=True):
        expected = run_litert(content, values[None])[0]
        assert picture.shape == expected.shape == (MELS, 1 + (samples - size) // step)
        np.testing.assert_allclose(picture, expected, atol=3e-5 * max(1.0, expected.max()), rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(picture, session.run(None, {"in": values[None]})[0][0], rtol=1e-6, atol=1e-9)


def test_all_its_numbers_are_found() -> None:
    (layer,) = find_spectrograms(read_tflite(layer_file(1000, 64, 14, power=0.25)))
    assert (len(layer.window), layer.filters.shape, layer.step, layer.exponent) == (64, (MELS, 33), 14, 0.25)


def test_a_window_that_is_not_even_is_refused() -> None:
    network = read_tflite(layer_file(200, 32, 8, window=np.linspace(0, 1, 32)))
    with pytest.raises(ModelError, match="not even"):
        list(find_spectrograms(network))


def test_an_fft_in_another_place_is_refused() -> None:
    file = TFLiteFile()
    source = file.tensor((1, 1, 32))
    output = file.operator("RFFT2D", [source, file.constant([1, 32], "int32")], (1, 1, 17), "complex64")
    with pytest.raises(ModelError, match="has nothing beside RFFT2D, expected EXPAND_DIMS"):
        list(find_spectrograms(read_tflite(file.content(source, output))))
