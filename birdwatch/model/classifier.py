"""Scores from windows: a model file, checked against its manifest, on the best provider there is.

`OnnxClassifier` says truthfully what computes, and scores windows in order with several of them in flight. A window's
scores do not depend on what was scored beside it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from birdwatch.audio.types import FloatArray, Window
from birdwatch.errors import InferenceError, ModelError
from birdwatch.model.activation import activated
from birdwatch.model.frontend import log_mel
from birdwatch.model.label_names import translate
from birdwatch.model.model_file import checked_manifest, read_model
from birdwatch.model.openvino_network import OpenVinoNetwork
from birdwatch.model.provider_names import PROVIDERS, Provider
from birdwatch.model.providers import OTHERS, open_other
from birdwatch.model.session import (
    CPU,
    CUDA,
    LANES,
    DeviceNetwork,
    HostNetwork,
    NetworkError,
    cuda_fault,
    cuda_network,
    open_session,
)
from birdwatch.model.types import WindowScores
from birdwatch.process import cores

__all__ = ["OnnxClassifier", "Provider", "cuda_fault", "open_network"]

log = logging.getLogger(__name__)

Network = HostNetwork | DeviceNetwork | OpenVinoNetwork
# Windows (B, window_frames), or one by one: these are copied together only where a network takes them as they are.
Samples = FloatArray | Sequence[FloatArray]

# ONNX Runtime's arena keeps what the largest batch needed: on a CPU small batches cost nothing and hold memory down.
CPU_BATCH = 4
# What a larger network holds of four windows leaves a core's cache: with two cores busy, an EfficientNetB0 at 256 x 256
# (0.5 GMAC) took 11.2 ms a window alone and 13.2 ms in fours, one at 128 x 128 (0.12 GMAC) 3.8 ms and 3.1 ms, and the
# built-in one (0.25 GMAC) 4.9 ms and 4.8 ms.
ALONE_MACS = 250_000_000
CUDA_BATCH = 64


class OnnxClassifier:
    """A model file, ready to score windows on the best provider that this machine has.

    provider: `auto` takes CUDA where it works, else the CPU; every other one raises InferenceError, with the reason,
    where it does not work. workers: how many windows' batches are in flight on a CPU, each with one thread (default:
    one a core; side by side they beat one run with many threads, above all on a busy machine). names: common names by
    scientific name, which replace those of the file. Raises ModelError, with all that is wrong at once, for a file that
    is no ONNX model, has no manifest, or does not fit it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        provider: Provider = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        if provider not in PROVIDERS:
            raise InferenceError(f"provider is {provider!r}, expected one of {', '.join(PROVIDERS)}")
        self.path = Path(path)
        self._data = read_model(self.path)
        self.sha256 = hashlib.sha256(self._data).hexdigest()
        fault = cuda_fault() if provider in ("auto", "cuda") else "not asked for"
        if provider == "cuda" and fault:
            raise InferenceError(f"provider cuda was asked for and cannot be used: {fault}, or use --provider cpu")
        if fault and Path("/dev/nvidia0").exists() and provider == "auto":
            log.warning("an NVIDIA GPU is here but CUDA cannot be used: %s; running on the CPU", fault)
        self._changing = threading.Lock()
        # Why a slower provider or a smaller batch is in use (CUDA failed while running), or None.
        self.setback: str | None = None
        self.batch_size = batch_size or (CPU_BATCH if fault else CUDA_BATCH)
        self._network: Network
        if provider in OTHERS:
            self._network = self._on_other(provider, batch_size)
        else:
            self._network = self._on_cpu() if fault else self._on_cuda()
        if provider == "cuda" and self.provider != CUDA:
            raise InferenceError(
                f"provider cuda was asked for and ONNX Runtime fell back to {self.provider}"
                f"{f' ({self.setback})' if self.setback else ''}; see its message above, or use --provider cpu"
            )
        self.manifest = checked_manifest(self._network.session, self.path)
        if batch_size is None and self.provider == CPU and (self.manifest.macs or 0) > ALONE_MACS:
            self.batch_size = 1
        self.batch_size = self._network.batch or self.batch_size
        # As the file has them; the manifest's may be translated.
        self.own_labels = self.manifest.labels
        if names is not None:
            self.manifest = translate(self.manifest, names)
        # On CUDA the workers make images, where the model wants them, and keep both lanes of the device busy.
        self.workers = workers or (LANES + 1 if self.provider == CUDA and self.manifest.input != "mel" else cores())
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="score")

    @property
    def provider(self) -> str:
        """What computes now, as ONNX Runtime says (`CPUExecutionProvider`), or OpenVINO's device and precision."""
        return self._network.provider

    def score(self, samples: FloatArray) -> FloatArray:
        """Scores float32 `(B, classes)` in 0..1 of windows `(B, window_frames)`, float32 +-1 at the model's rate.

        Raises ValueError for samples of another form, or NaN or infinite ones; InferenceError where the network
        fails or answers with NaN or infinity.
        """
        return self._scores(samples, 0)

    def score_rows(self, samples: FloatArray) -> FloatArray:
        """Scores `(B, segments, classes)` of the windows' parts, as `score`; a window without segments is one part."""
        return self._segments(samples, 0) if self.manifest.segments > 1 else self.score(samples)[:, None]

    def _scores(self, samples: Samples, shift: int) -> FloatArray:
        return self._checked(self.manifest.scores_output, samples, shift)

    def _segments(self, samples: Samples, shift: int) -> FloatArray:
        return self._checked(self.manifest.segments_output or "", samples, shift)

    def _checked(self, output: str, samples: Samples, shift: int) -> FloatArray:
        scores = activated(self._run(output, samples, shift), self.manifest.activation)
        if not np.isfinite(scores).all():
            raise InferenceError(f"{self.path.name} answered with NaN or infinity on {self.provider}")
        return scores

    def embed(self, samples: FloatArray) -> FloatArray:
        """The model's embeddings float32 `(B, size)` of windows `(B, window_frames)`, to cluster and search.

        Raises ModelError where the model has none, else as `score`.
        """
        return self._embeddings(samples, 0)

    def _embeddings(self, samples: Samples, shift: int) -> FloatArray:
        if self.manifest.embedding_output is None:
            raise ModelError(f"{self.path.name} has no embedding output; use a model that has one, such as birdnet")
        return self._run(self.manifest.embedding_output, samples, shift)

    def score_windows(self, windows: Iterable[Window], *, in_flight: int | None = None) -> Iterator[WindowScores]:
        """The scores of each window, in order.

        in_flight: how many batches are computed at once, by default as many as there are workers; two more are ready.
        """
        for window, scores in self._in_order(windows, self._scores, in_flight or self.workers):
            yield WindowScores(window.start_frame, window.valid_frames, scores)

    def score_segments(self, windows: Iterable[Window], *, in_flight: int) -> Iterator[tuple[Window, FloatArray]]:
        """Each window with the scores `(segments, classes)` of its parts, in order, of a model that has segments."""
        return self._in_order(windows, self._segments, in_flight)

    def embed_windows(self, windows: Iterable[Window]) -> Iterator[tuple[Window, FloatArray]]:
        """Each window with its embedding `(size,)`, in order, as `score_windows`."""
        return self._in_order(windows, self._embeddings, self.workers)

    def _in_order(
        self, windows: Iterable[Window], answer: Callable[[Samples, int], FloatArray], in_flight: int
    ) -> Iterator[tuple[Window, FloatArray]]:
        iterator = iter(windows)
        flying: deque[tuple[list[Window], Future[FloatArray]]] = deque()
        try:
            while True:
                batch = list(islice(iterator, self.batch_size))
                if batch:
                    flying.append((batch, self._pool.submit(_answers, answer, batch)))
                while flying and (len(flying) >= in_flight + 2 or not batch):
                    done, future = flying.popleft()
                    yield from zip(done, future.result(), strict=True)
                if not batch:
                    return
        finally:
            wait([future for _, future in flying if not future.cancel()])

    def _run(self, output: str, samples: Samples, shift: int) -> FloatArray:
        """One output of the network for windows of samples, through the front end where the model takes images.

        shift: frames from one window to the next where they are of one stream, else 0.
        """
        while True:
            network = self._network
            try:
                return self._run_on(network, output, samples, shift)
            except NetworkError as fault:
                self._retreat(network, fault)

    def _run_on(self, network: Network, output: str, samples: Samples, shift: int) -> FloatArray:
        spec = self.manifest.frontend if self.manifest.input == "mel" else None
        if spec is None:
            samples = samples if isinstance(samples, np.ndarray) else np.stack(samples)
            _check_samples(samples, self.manifest.window_frames)
        step = network.batch or self.batch_size
        answers = []
        for start in range(0, max(1, len(samples)), step):
            part = samples[start : start + step]
            values = np.asarray(part) if spec is None else log_mel(part, spec, shift=shift)
            missing = step - len(part) if network.batch else 0
            if missing:
                values = np.concatenate([values, np.zeros((missing, *values.shape[1:]), np.float32)])
            answers.append(network.run(output, values)[: len(part)])
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def _on_cpu(self) -> HostNetwork:
        network = HostNetwork(open_session(self._data, self.path))
        self._data = b""
        return network

    def _on_other(self, provider: Provider, batch_size: int | None) -> Network:
        try:
            return open_other(self._data, self.path, provider=provider, batch=batch_size)
        except NetworkError as fault:
            raise InferenceError(
                f"provider {provider} was asked for and failed: {fault}; use --provider cpu"
            ) from fault

    def _on_cuda(self) -> HostNetwork | DeviceNetwork:
        """The network on CUDA, in batches that its memory has room for; on the CPU if it has not even room for one."""
        asked = self.batch_size
        while True:
            try:
                return cuda_network(self._data, self.path, self.batch_size)
            except NetworkError as fault:
                if not self._smaller(fault):
                    self.batch_size = min(asked, CPU_BATCH)
                    return self._on_cpu()

    def _retreat(self, network: Network, fault: NetworkError) -> None:
        """After a failed run: smaller batches where the GPU's memory was full, else the CPU, where it is an error."""
        if network.provider == CPU:
            raise InferenceError(f"{self.path.name} could not be run on {CPU}: {fault}") from fault
        with self._changing:
            if self._network is not network:
                return
            network.close()
            if network.provider == CUDA and self._smaller(fault):
                self._network = self._on_cuda()
            else:
                if network.provider != CUDA:
                    self._set_back(f"{network.provider} failed ({fault}); scoring on the CPU")
                self.batch_size = min(self.batch_size, CPU_BATCH)
                self._network = self._on_cpu()

    def _smaller(self, fault: NetworkError) -> bool:
        """Halve the batch where that may help, and say what became of it; False where the CPU has to do it."""
        helps = fault.out_of_memory and self.batch_size > 1
        if helps:
            self.batch_size //= 2
            self._set_back(f"the GPU ran out of memory; scoring {self.batch_size} windows at a time")
        else:
            self._set_back(f"CUDA failed ({fault}); scoring on the CPU")
        return helps

    def _set_back(self, what: str) -> None:
        self.setback = what
        log.warning("%s: %s", self.path.name, what)


def _answers(answer: Callable[[Samples, int], FloatArray], windows: list[Window]) -> FloatArray:
    shift = windows[1].start_frame - windows[0].start_frame if len(windows) > 1 else 0
    return answer([window.samples for window in windows], shift)


def open_network(model: Path | bytes) -> Any:
    """An ONNX Runtime session on the CPU, for a file or its content, that needs no manifest. Raises ModelError."""
    path, data = (model, read_model(model)) if isinstance(model, Path) else (Path("the model"), model)
    return open_session(data, path)


def _check_samples(samples: FloatArray, window_frames: int) -> None:
    if samples.ndim != 2 or samples.shape[1] != window_frames or samples.dtype != np.float32:
        raise ValueError(f"samples must be float32 (B, {window_frames}); got {samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples hold NaN or infinity; drop such audio before the model")
