from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_model import manifest, write_tiny_model

import birdwatch.model.classifier
from birdwatch.audio.types import Window
from birdwatch.errors import InferenceError, ModelError
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.manifest import METADATA_KEY
from birdwatch.model.session import CPU, CUDA, DeviceNetwork, HostNetwork, NetworkError, cuda_fault, open_session

WINDOW = 160000


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory) -> Path:
    """A network of the operators an EfficientNet is made of, so that a processor's fast kernels for them are run."""
    rng = np.random.default_rng(5)

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["a"], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["c"]),
        helper.make_node("Conv", ["c", "depthwise"], ["d"], group=24, pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Conv", ["d", "pointwise"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Gemm", ["g", "head"], ["scores"], alpha=200.0, transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 256, 256])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [
            weights("stem", 24, 1, 3, 3),
            weights("depthwise", 24, 1, 3, 3),
            weights("pointwise", 40, 24, 1, 1),
            weights("head", 3, 40),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: manifest().to_json()})
    path = tmp_path_factory.mktemp("model") / "convolutions.onnx"
    onnx.save(model, path)
    return path


def windows_of(song: np.ndarray, count: int) -> list[Window]:
    starts = np.linspace(0, len(song) - WINDOW, count).astype(int)
    return [Window(song[start : start + WINDOW], int(start), WINDOW) for start in starts]


def scores_of(classifier: OnnxClassifier, windows: list[Window]) -> np.ndarray:
    return np.stack([window.scores for window in classifier.score_windows(windows)])


def test_scores_have_the_same_bits_whatever_the_batch_and_the_workers(convolutions, song):
    windows = windows_of(song, 11)
    expected = scores_of(OnnxClassifier(convolutions, provider="cpu", batch_size=1, workers=1), windows)
    assert expected.std() > 0.01
    for batch_size, workers in [(2, 1), (3, 2), (4, 2), (8, 3), (11, 1)]:
        classifier = OnnxClassifier(convolutions, provider="cpu", batch_size=batch_size, workers=workers)
        np.testing.assert_array_equal(scores_of(classifier, windows), expected)


def test_a_large_network_scores_one_window_at_a_time(tmp_path):
    small = write_tiny_model(tmp_path / "small.onnx", macs=120_000_000)
    large = write_tiny_model(tmp_path / "large.onnx", macs=520_000_000)
    sizes = [OnnxClassifier(path, provider="cpu").batch_size for path in (small, large)]
    assert sizes == [4, 1]
    assert OnnxClassifier(large, provider="cpu", batch_size=3).batch_size == 3


def device_network(path: Path, *, batch: int, lanes: int) -> DeviceNetwork:
    """What CUDA runs through, its buffers in the host's memory."""
    data = path.read_bytes()
    return DeviceNetwork([open_session(data, path, batch=batch) for _ in range(lanes)], device="cpu")


def test_a_device_network_gives_what_an_ordinary_run_gives(convolutions):
    images = np.random.default_rng(1).random((4, 1, 256, 256), np.float32)
    network = device_network(convolutions, batch=4, lanes=1)
    host = HostNetwork(open_session(convolutions.read_bytes(), convolutions))
    assert (network.batch, host.batch) == (4, None)
    first = network.run("scores", images)
    np.testing.assert_allclose(first, host.run("scores", images), rtol=1e-5, atol=1e-6)
    second = network.run("scores", images[::-1])
    np.testing.assert_array_equal(second[::-1], first)  # and the first answer was not overwritten in its buffer
    assert np.ptp(first, axis=0).min() > 0


def test_lanes_side_by_side_do_not_mix_their_answers(convolutions):
    images = np.random.default_rng(2).random((6, 2, 1, 256, 256), np.float32)
    network = device_network(convolutions, batch=2, lanes=2)
    alone = [network.run("scores", pair) for pair in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: network.run("scores", pair), [*images, *images]))
    np.testing.assert_array_equal(together, [*alone, *alone])


class Watched:
    """A session that notes which threads run it."""

    def __init__(self, session) -> None:
        self.session = session
        self.threads: set[int] = set()

    def __getattr__(self, name: str):
        return getattr(self.session, name)

    def run_with_iobinding(self, *arguments) -> None:
        self.threads.add(threading.get_ident())
        self.session.run_with_iobinding(*arguments)


def test_a_session_is_only_ever_run_by_one_thread(convolutions):
    """ONNX Runtime keeps CUDA graphs by thread and forbids to run such a session from several."""
    data = convolutions.read_bytes()
    sessions = [Watched(open_session(data, convolutions, batch=1)) for _ in range(2)]
    network = DeviceNetwork(sessions, device="cpu")
    images = np.random.default_rng(2).random((12, 1, 1, 256, 256), np.float32)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda image: network.run("scores", image), images))
    assert [len(session.threads) for session in sessions] == [1, 1]
    assert threading.get_ident() not in sessions[0].threads


def test_a_closed_network_refuses_every_run_that_waits(convolutions):
    network = device_network(convolutions, batch=1, lanes=2)
    network.close()
    for _ in range(3):
        with pytest.raises(NetworkError, match="closed"):
            network.run("scores", np.zeros((1, 1, 256, 256), np.float32))


def test_buffers_need_shapes_that_are_known(convolutions):
    session = open_session(convolutions.read_bytes(), convolutions)
    with pytest.raises(NetworkError, match="expected floats of a fixed shape"):
        DeviceNetwork([session], device="cpu")


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        (
            "Non-zero status ... AllocateRawInternal Failed to allocate memory for requested buffer of size 939524096",
            True,
        ),
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", True),
        ("CUDA failure 700: an illegal memory access was encountered", False),
    ],
)
def test_full_memory_is_distinguished_from_other_failures(text, memory):
    assert NetworkError(RuntimeError(text)).out_of_memory is memory


class Gpu:
    """Stands in for CUDA: computes on the CPU, has room for `room` windows at a time, dies after `life` runs."""

    def __init__(self, *, room: int, life: int = 1 << 30) -> None:
        self.room, self.life = room, life
        self.opened: list[int] = []
        self.runs: list[int] = []
        self.lock = threading.Lock()

    def network(self, data: bytes, path: Path, batch: int) -> GpuNetwork:
        self.opened.append(batch)
        return GpuNetwork(self, [open_session(data, path, batch=batch)], device="cpu")


class GpuNetwork(DeviceNetwork):
    def __init__(self, gpu: Gpu, sessions, *, device: str) -> None:
        super().__init__(sessions, device=device)
        self.gpu, self.provider = gpu, CUDA

    def run(self, output, values):
        assert len(values) == self.batch
        with self.gpu.lock:
            self.gpu.runs.append(len(values))
            if len(self.gpu.runs) > self.gpu.life:
                raise NetworkError(RuntimeError("CUDA failure 999: unknown error"))
        if self.batch > self.gpu.room:
            raise NetworkError(RuntimeError("CUDA failure 2: out of memory"))
        return super().run(output, values)


def on_gpu(monkeypatch, gpu: Gpu, model: Path, **settings) -> OnnxClassifier:
    monkeypatch.setattr(birdwatch.model.classifier, "cuda_fault", lambda: None)
    monkeypatch.setattr(birdwatch.model.classifier, "cuda_network", gpu.network)
    return OnnxClassifier(model, **settings)


def test_on_cuda_every_batch_has_the_same_size(monkeypatch, convolutions, song):
    gpu = Gpu(room=64)
    classifier = on_gpu(monkeypatch, gpu, convolutions, batch_size=4, workers=2)
    windows = windows_of(song, 11)
    expected = scores_of(OnnxClassifier(convolutions, provider="cpu"), windows)
    np.testing.assert_allclose(scores_of(classifier, windows), expected, atol=1e-6)
    assert gpu.runs == [4, 4, 4]
    assert (classifier.provider, classifier.setback) == (CUDA, None)


def test_full_gpu_memory_halves_the_batch_and_loses_no_window(monkeypatch, convolutions, song, caplog):
    gpu = Gpu(room=2)
    with caplog.at_level(logging.WARNING):
        classifier = on_gpu(monkeypatch, gpu, convolutions, batch_size=8, workers=3)
        windows = windows_of(song, 13)
        got = scores_of(classifier, windows)
    np.testing.assert_allclose(got, scores_of(OnnxClassifier(convolutions, provider="cpu"), windows), atol=1e-6)
    assert gpu.opened == [8, 4, 2]
    assert (classifier.provider, classifier.batch_size) == (CUDA, 2)
    assert classifier.setback == "the GPU ran out of memory; scoring 2 windows at a time"
    assert [record.message for record in caplog.records][-1].endswith(classifier.setback)


@pytest.mark.parametrize("gpu", [Gpu(room=0), Gpu(room=64, life=1)], ids=["no memory at all", "dies on the way"])
def test_a_gpu_that_fails_leaves_the_work_to_the_cpu(monkeypatch, convolutions, song, gpu):
    classifier = on_gpu(monkeypatch, gpu, convolutions, batch_size=4, workers=2)
    windows = windows_of(song, 9)
    got = scores_of(classifier, windows)
    np.testing.assert_allclose(got, scores_of(OnnxClassifier(convolutions, provider="cpu"), windows), atol=1e-6)
    assert classifier.provider == CPU
    assert classifier.setback is not None
    assert classifier.setback.startswith("CUDA failed (")
    assert classifier.setback.endswith("scoring on the CPU")


def test_a_gpu_that_cannot_even_start_is_refused_where_it_was_asked_for(monkeypatch, convolutions):
    def broken(data: bytes, path: Path, batch: int) -> DeviceNetwork:
        raise NetworkError(RuntimeError("CUDA failure 2: out of memory"))

    monkeypatch.setattr(birdwatch.model.classifier, "cuda_fault", lambda: None)
    monkeypatch.setattr(birdwatch.model.classifier, "cuda_network", broken)
    with pytest.raises(InferenceError, match=r"fell back to CPUExecutionProvider \(CUDA failed \(.*out of memory"):
        OnnxClassifier(convolutions, provider="cuda", batch_size=2)
    assert OnnxClassifier(convolutions, provider="auto", batch_size=2).provider == CPU


def test_on_the_cpu_a_failed_run_is_an_error_that_names_the_model(tmp_path, song):
    """A reshape that only fits one size passes the checks of the shapes and fails when it is run."""
    path = write_tiny_model(tmp_path / "odd.onnx")
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([7, 5], np.int64), "wrong"))
    model.graph.node.insert(1, helper.make_node("Reshape", ["p", "wrong"], ["q"]))
    model.graph.node[2].input[0] = "q"
    onnx.save(model, path)
    with pytest.raises((InferenceError, ModelError), match=r"odd\.onnx"):
        OnnxClassifier(path, provider="cpu").score(song[None, :WINDOW])


def test_cuda_computes_what_the_cpu_computes(convolutions, song):
    """The real thing: device buffers, a CUDA graph, fixed batches."""
    fault = cuda_fault()
    if fault is not None:
        pytest.skip(f"no CUDA here: {fault}")
    windows = windows_of(song, 11)
    classifier = OnnxClassifier(convolutions, provider="cuda", batch_size=4)
    assert (classifier.provider, classifier.setback) == (CUDA, None)
    expected = scores_of(OnnxClassifier(convolutions, provider="cpu"), windows)
    np.testing.assert_allclose(scores_of(classifier, windows), expected, atol=1e-3)
    np.testing.assert_array_equal(scores_of(classifier, windows[3:]), scores_of(classifier, windows)[3:])


def test_scoring_writes_nothing_into_the_users_folders_and_sends_no_telemetry(tmp_path):
    path = write_tiny_model(tmp_path / "tiny.onnx")
    home = tmp_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    code = (
        "import sys; from pathlib import Path; from birdwatch.model.session import open_session\n"
        "path = Path(sys.argv[1]); open_session(path.read_bytes(), path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env={**environ, "HOME": str(home)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []
