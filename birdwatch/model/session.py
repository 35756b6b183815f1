"""ONNX Runtime's door: sessions, the providers that this machine has, and batches through them.

HostNetwork    session.run: any number of threads at once, each with one thread of its own
DeviceNetwork  CUDA: batches of one fixed size in buffers that stay on the device, two runs overlapping
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

# Its Linux wheels from 1.31 on keep a database of telemetry in the user's cache folder, and a thread to send it; it
# looks at this when it is first imported: no telemetry about stations.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from birdwatch.audio.types import FloatArray
from birdwatch.errors import ModelError
from birdwatch.extras import install_command

__all__ = [
    "CPU",
    "CUDA",
    "CUDA_OPTIONS",
    "LANES",
    "VERSION",
    "DeviceNetwork",
    "HostNetwork",
    "NetworkError",
    "available",
    "cuda_fault",
    "cuda_network",
    "library_fault",
    "open_session",
    "terminate_runs",
]

log = logging.getLogger(__name__)

VERSION: str = ort.__version__
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# HEURISTIC picks convolutions without trying each for seconds. TF32 rounds to 10 bits, which a fused front end's
# 80 dB do not survive; the network gains its speed from fp16 weights instead.
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
    "use_tf32": "0",
}
# While one batch is computed the next one is copied to the device: each lane has its own session and stream.
LANES = 2
# What ONNX Runtime, cuDNN and cuBLAS say when the device's memory is full; they have no exception for it.
OUT_OF_MEMORY = ("failed to allocate memory", "out of memory", "alloc_failed", "cuda failure 2")


class NetworkError(Exception):
    """A run failed. out_of_memory: a smaller batch may work."""

    def __init__(self, error: BaseException) -> None:
        text = str(error).strip()
        super().__init__(text.splitlines()[-1] if text else type(error).__name__)
        self.out_of_memory = any(sign in text.lower() for sign in OUT_OF_MEMORY)


def available() -> list[str]:
    """The providers that this ONNX Runtime was built with; that one is here does not mean that it works."""
    return list(ort.get_available_providers())


def cuda_fault() -> str | None:
    """Why CUDA cannot be used here, in one line that names the missing library, or None if it can."""
    if CUDA not in available():
        return "this onnxruntime was built without CUDA; install birdwatch[cuda] (x86-64 Linux or Windows)"
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError as error:
        return f"{error}; the NVIDIA driver is missing or no NVIDIA GPU is there"
    if hasattr(ort, "preload_dlls"):
        # It prints what is missing; the library's own error below is clearer.
        with redirect_stdout(None), redirect_stderr(None):
            ort.preload_dlls(directory="")
    fault = library_fault("libonnxruntime_providers_cuda.so")
    return None if fault is None else f"{fault}; install the CUDA libraries: {install_command('cuda')}"


def library_fault(name: str) -> str | None:
    """Why a library of ONNX Runtime's own (Linux) cannot be loaded; it names the vendor's that is missing."""
    try:
        if (library := Path(ort.__file__).parent / "capi" / name).exists():
            ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return None


def open_session(
    data: bytes,
    path: Path,
    *,
    providers: Sequence[Any] = (CPU,),
    batch: int | None = None,
    threads: int = 1,
    optimised: bool = True,
) -> Any:
    """An ONNX Runtime session for a file's content; ModelError, which names `path`, where it is no model.

    batch: fixes the first dimension of the input, so that all shapes are known before the first run. optimised: False
    for a session that only tells of the model.
    """
    options = ort.SessionOptions() if optimised else _unoptimised()
    # One thread a run: the parallelism is in `score_windows`. Spinning threads would burn a core while waiting.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        if batch is not None:
            free = ort.InferenceSession(data, _unoptimised(), providers=[CPU]).get_inputs()[0].shape[0]
            if isinstance(free, str):
                options.add_free_dimension_override_by_name(free, batch)
        return ort.InferenceSession(data, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own classes derive from Exception directly
        fault = NetworkError(error)
        if fault.out_of_memory:
            raise fault from error
        raise ModelError(
            f"{path} is not a model that ONNX Runtime can load ({fault}); expected an .onnx file exported by birdwatch"
        ) from error


# The runs that are under way. Adding to and removing from a set are single steps of the interpreter.
_RUNS: set[Any] = set()


@contextmanager
def _running() -> Iterator[Any]:
    options = ort.RunOptions()
    _RUNS.add(options)
    try:
        yield options
    finally:
        _RUNS.discard(options)


def terminate_runs() -> None:
    """End the runs that are under way, each with a NetworkError; from any thread. A graph may have an endless loop."""
    for options in tuple(_RUNS):
        options.terminate = True


def _unoptimised() -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return options


class HostNetwork:
    """A session whose arrays live in the host's memory. `batch` is the size it was exported for, or None for any."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.provider: str = session.get_providers()[0]
        source = session.get_inputs()[0]
        self._input: str = source.name
        self.batch: int | None = source.shape[0] if isinstance(source.shape[0], int) else None

    def run(self, output: str, values: FloatArray) -> FloatArray:
        """One output for inputs `(batch, ...)`; any number of threads may call it. Raises NetworkError."""
        try:
            with _running() as options:
                (answer,) = self.session.run([output], {self._input: values}, options)
        except Exception as error:
            raise NetworkError(error) from error
        return np.asarray(answer, np.float32)

    def close(self) -> None:
        """Nothing to give back."""


class DeviceNetwork:
    """Sessions that are the same, side by side: `batch` inputs at a time go into buffers that stay on the device.

    sessions: opened with a fixed batch; NetworkError where one has a shape that is not fixed.

    device: ONNX Runtime's name, `cuda`. Buffers that never move are also what a CUDA graph needs: all of a run's
    kernels are then launched at once.
    """

    def __init__(self, sessions: Sequence[Any], *, device: str) -> None:
        self.session = sessions[0]
        self.provider: str = self.session.get_providers()[0]
        self.batch: int | None = self.session.get_inputs()[0].shape[0]
        self._lanes: SimpleQueue[_Lane | None] = SimpleQueue()
        self._count = len(sessions)
        try:
            for session in sessions:
                self._lanes.put(_Lane(session, device))
        except Exception as error:
            raise NetworkError(error) from error

    def run(self, output: str, values: FloatArray) -> FloatArray:
        """One output for inputs `(batch, ...)`, on the next free lane. Raises NetworkError, also once it is closed."""
        lane = self._lanes.get()
        if lane is None:
            self._lanes.put(None)
            raise NetworkError(RuntimeError("closed"))
        try:
            return lane.run(output, values)
        except Exception as error:
            raise NetworkError(error) from error
        finally:
            self._lanes.put(lane)

    def close(self) -> None:
        """Wait for the runs in flight and give the device's memory back."""
        for _ in range(self._count):
            if (lane := self._lanes.get()) is not None:
                lane.close()
        self.session = None
        self._lanes.put(None)


class _Lane:
    """One session, its input and its outputs on the device, and the one thread that ever runs it.

    ONNX Runtime keeps a captured CUDA graph with the thread that captured it.
    """

    def __init__(self, session: Any, device: str) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lane")
        self._outputs: dict[str, Any] = {}
        self._thread.submit(self._bind, device).result()

    def _bind(self, device: str) -> None:
        self._binding = self._session.io_binding()
        source = self._session.get_inputs()[0]
        self._input = _buffer(source, device)
        self._binding.bind_ortvalue_input(source.name, self._input)
        for output in self._session.get_outputs():
            self._outputs[output.name] = _buffer(output, device)
            self._binding.bind_ortvalue_output(output.name, self._outputs[output.name])

    def run(self, output: str, values: FloatArray) -> FloatArray:
        return self._thread.submit(self._run, output, values).result()

    def _run(self, output: str, values: FloatArray) -> FloatArray:
        self._input.update_inplace(values)
        with _running() as options:
            self._session.run_with_iobinding(self._binding, options)
        return np.array(self._outputs[output].numpy(), np.float32)

    def close(self) -> None:
        self._thread.shutdown()


def _buffer(value: Any, device: str) -> Any:
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    if value.type not in kinds or not all(isinstance(size, int) for size in value.shape):
        raise ValueError(f"{value.name} is {value.type} {value.shape}, expected floats of a fixed shape")
    return ort.OrtValue.ortvalue_from_shape_and_type(value.shape, kinds[value.type], device, 0)


def cuda_network(data: bytes, path: Path, batch: int) -> HostNetwork | DeviceNetwork:
    """The network on CUDA for batches of `batch`, as a CUDA graph where ONNX Runtime can make one of it.

    The first run of each lane, which captures the graph, is made here. Raises ModelError or NetworkError.
    """
    for options in ({**CUDA_OPTIONS, "enable_cuda_graph": "1"}, CUDA_OPTIONS):
        network: DeviceNetwork | None = None
        try:
            sessions = [open_session(data, path, providers=[(CUDA, options), CPU], batch=batch) for _ in range(LANES)]
            if sessions[0].get_providers()[0] != CUDA:
                break
            network = DeviceNetwork(sessions, device="cuda")
            source, output = sessions[0].get_inputs()[0], sessions[0].get_outputs()[0]
            for _ in sessions:
                network.run(output.name, np.zeros(source.shape, np.float32))
            return network
        except (ModelError, NetworkError) as fault:
            if isinstance(fault, NetworkError) and fault.out_of_memory:
                raise
            log.info("CUDA with options %s: %s", options, fault)
            if network is not None:
                network.close()
    # A network whose shapes or operators do not allow fixed buffers, or one that fell back: an ordinary run.
    return HostNetwork(open_session(data, path, providers=[(CUDA, CUDA_OPTIONS), CPU]))
