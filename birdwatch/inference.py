"""Scores from windows: the one place that runs ONNX Runtime.

`OnnxClassifier` owns a session, says truthfully which provider runs it, and scores windows in order with several of
them in flight. A window's scores do not depend on what was scored beside it.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnxruntime as ort

from birdwatch.audio import FloatArray, Window, WindowScores
from birdwatch.errors import InferenceError, ModelError
from birdwatch.frontend import log_mel
from birdwatch.model import METADATA_KEY, Manifest
from birdwatch.species import SpeciesFilter

__all__ = ["OnnxClassifier", "Provider", "cuda_fault", "open_network"]

log = logging.getLogger(__name__)

Provider = Literal["auto", "cuda", "cpu"]

# ONNX Runtime's arena keeps what the largest batch needed: on a CPU small batches cost nothing and hold memory down.
CPU_BATCH = 4
CUDA_BATCH = 64


def cuda_fault() -> str | None:
    """Why CUDA cannot be used here, in one line that names the missing library, or None if it can."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime was built without CUDA; install birdwatch[cuda] (x86-64 Linux or Windows)"
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError as error:
        return f"{error}; the NVIDIA driver is missing or no NVIDIA GPU is there"
    if hasattr(ort, "preload_dlls"):
        # It prints what it misses; the library's own complaint below is the better one.
        with redirect_stdout(None), redirect_stderr(None):
            ort.preload_dlls(directory="")
    library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if library.exists():
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return f"{error}; install the CUDA libraries: pip install 'birdwatch[cuda]'"
    return None


class OnnxClassifier:
    """A model file, ready to score windows on the best provider that this machine has.

    provider: `auto` takes CUDA where it works, else the CPU; `cuda` raises InferenceError, with the reason, where it
    does not work. workers: how many windows' batches are in flight on a CPU, each with one thread (default: one a
    core; side by side they beat one run with many threads, above all on a busy machine). Raises ModelError, with all
    that is wrong at once, for a file that is no ONNX model, has no manifest, or does not fit it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        provider: Provider = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        if provider not in get_args(Provider):
            raise InferenceError(f"provider is {provider!r}, expected one of {', '.join(get_args(Provider))}")
        self.path = Path(path)
        data = _read(self.path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        fault = cuda_fault() if provider != "cpu" else "not asked for"
        if provider == "cuda" and fault:
            raise InferenceError(f"provider cuda was asked for and cannot be used: {fault}, or use --provider cpu")
        if fault and Path("/dev/nvidia0").exists() and provider == "auto":
            log.warning("an NVIDIA GPU is here but CUDA cannot be used: %s; running on the CPU", fault)
        names = ["CPUExecutionProvider"] if fault else ["CUDAExecutionProvider", "CPUExecutionProvider"]
        self._session = _session(data, names, self.path)
        self.provider: str = self._session.get_providers()[0]
        if provider == "cuda" and self.provider != "CUDAExecutionProvider":
            raise InferenceError(
                f"provider cuda was asked for and ONNX Runtime fell back to {self.provider}; "
                "see its message above, or use --provider cpu"
            )
        on_cpu = self.provider == "CPUExecutionProvider"
        self.workers = workers or ((os.cpu_count() or 1) if on_cpu else 2)
        self.manifest = _checked_manifest(self._session, self.path)
        # Classes that it does not let through score 0, whatever the network says.
        self.species: SpeciesFilter | None = None
        source = self._session.get_inputs()[0]
        self._input: str = source.name
        # Other people's networks may have been exported for one batch size only.
        self._fixed_batch: int | None = source.shape[0] if isinstance(source.shape[0], int) else None
        self.batch_size = self._fixed_batch or batch_size or (CPU_BATCH if on_cpu else CUDA_BATCH)

    def score(self, samples: FloatArray) -> FloatArray:
        """Scores float32 `(B, classes)` in 0..1 of windows `(B, window_frames)`, float32 +-1 at the model's rate.

        Raises ValueError for samples of another form, or NaN or infinite ones; InferenceError where the network
        fails or answers with NaN or infinity.
        """
        scores = _activated(self._run(self.manifest.scores_output, samples), self.manifest.activation)
        if not np.isfinite(scores).all():
            raise InferenceError(f"{self.path.name} answered with NaN or infinity on {self.provider}")
        return scores if self.species is None else scores * self.species.allowed

    def embed(self, samples: FloatArray) -> FloatArray:
        """The model's embeddings float32 `(B, size)` of windows `(B, window_frames)`, to cluster and search.

        Raises ModelError where the model has none, else as `score`.
        """
        if self.manifest.embedding_output is None:
            raise ModelError(f"{self.path.name} has no embedding output; use a model that has one, such as birdnet")
        return self._run(self.manifest.embedding_output, samples)

    def score_windows(self, windows: Iterable[Window]) -> Iterator[WindowScores]:
        """The scores of each window, in order; several batches are in flight, never more than twice the workers."""
        for window, scores in self._in_order(windows, self.score):
            yield WindowScores(window.start_frame, window.valid_frames, scores)

    def embed_windows(self, windows: Iterable[Window]) -> Iterator[tuple[Window, FloatArray]]:
        """Each window with its embedding `(size,)`, in order, as `score_windows`."""
        return self._in_order(windows, self.embed)

    def _in_order(
        self, windows: Iterable[Window], answer: Callable[[FloatArray], FloatArray]
    ) -> Iterator[tuple[Window, FloatArray]]:
        iterator = iter(windows)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="score") as pool:
            flying: deque[tuple[list[Window], Future[FloatArray]]] = deque()
            try:
                while True:
                    batch = list(islice(iterator, self.batch_size))
                    if batch:
                        flying.append((batch, pool.submit(answer, np.stack([w.samples for w in batch]))))
                    while flying and (len(flying) >= 2 * self.workers or not batch):
                        done, future = flying.popleft()
                        yield from zip(done, future.result(), strict=True)
                    if not batch:
                        return
            finally:
                for _, future in flying:
                    future.cancel()

    def _run(self, output: str, samples: FloatArray) -> FloatArray:
        """One output of the network for windows of samples, through the front end where the model takes images."""
        spec = self.manifest.frontend if self.manifest.input == "mel" else None
        if spec is not None:
            values = log_mel(samples, spec)
        else:
            _check_samples(samples, self.manifest.window_frames)
            values = samples
        step = self._fixed_batch or max(1, len(values))
        answers = []
        for start in range(0, max(1, len(values)), step):
            part = values[start : start + step]
            missing = step - len(part)
            filled = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)]) if missing else part
            try:
                (raw,) = self._session.run([output], {self._input: filled})
            except Exception as error:  # ONNX Runtime's own classes derive from Exception directly
                raise InferenceError(f"{self.path.name} could not be run on {self.provider}: {error}") from error
            answers.append(np.asarray(raw, np.float32)[: len(part)])
        return answers[0] if len(answers) == 1 else np.concatenate(answers)


def open_network(model: Path | bytes) -> Any:
    """An ONNX Runtime session on the CPU, for a file or its content, that needs no manifest. Raises ModelError."""
    path, data = (model, _read(model)) if isinstance(model, Path) else (Path("the model"), model)
    return _session(data, ["CPUExecutionProvider"], path)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror}; name an .onnx file with --model") from error
    if not data:
        raise ModelError(f"model {path} is empty; copy or export it again")
    return data


def _session(data: bytes, providers: list[str], path: Path) -> Any:
    options = ort.SessionOptions()
    # One thread a run: the parallelism is in `score_windows`. Spinning threads would burn a core while waiting.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(data, options, providers=providers)
    except Exception as error:  # ONNX Runtime's own classes derive from Exception directly
        raise ModelError(
            f"{path} is not a model that ONNX Runtime can load ({str(error).strip().splitlines()[-1]}); "
            "expected an .onnx file exported by birdwatch"
        ) from error


def _checked_manifest(session: Any, path: Path) -> Manifest:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"{path} has no birdwatch manifest in its metadata, so its labels and front end are unknown; "
            "export it with `python -m export`, or add one with `birdwatch model wrap`"
        )
    try:
        manifest = Manifest.from_json(text)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    faults: list[str] = []
    inputs = session.get_inputs()
    if manifest.frontend is not None and manifest.input == "mel":
        expected: tuple[int, ...] = (1, manifest.frontend.height, manifest.frontend.width)
    else:
        expected = (manifest.window_frames,)
    if len(inputs) != 1:
        faults.append(f"it has {len(inputs)} inputs, expected 1")
    elif not _fits(inputs[0].shape[1:], expected):
        faults.append(f"its input takes {inputs[0].shape}, its manifest says (n, {', '.join(map(str, expected))})")
    elif inputs[0].type != "tensor(float)":
        faults.append(f"its input takes {inputs[0].type}, expected tensor(float)")
    outputs = {output.name: output for output in session.get_outputs()}
    for name in filter(None, (manifest.scores_output, manifest.embedding_output)):
        if name not in outputs:
            faults.append(f"it has no output {name!r}, only {sorted(outputs)}")
    scores = outputs.get(manifest.scores_output)
    if scores is not None and not _fits(scores.shape[1:], (len(manifest.labels),)):
        width = scores.shape[-1] if scores.shape else 0
        faults.append(f"it has {width} outputs but its manifest lists {len(manifest.labels)} labels")
    if faults:
        raise ModelError(f"{path} does not fit its manifest: {'; '.join(faults)}; export it again")
    return manifest


def _fits(shape: list[int | str], expected: tuple[int, ...]) -> bool:
    """Whether an ONNX shape, whose free dimensions are names, admits `expected`."""
    return len(shape) == len(expected) and all(
        not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )


def _check_samples(samples: FloatArray, window_frames: int) -> None:
    if samples.ndim != 2 or samples.shape[1] != window_frames or samples.dtype != np.float32:
        raise ValueError(f"samples must be float32 (B, {window_frames}); got {samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("samples hold NaN or infinity; drop such audio before the model")


def _activated(raw: FloatArray, activation: str) -> FloatArray:
    if activation == "sigmoid":
        # exp of a negative number never overflows.
        e = np.exp(-np.abs(raw))
        return np.where(raw >= 0, 1.0 / (1.0 + e), e / (1.0 + e)).astype(np.float32)
    if activation == "softmax":
        e = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True), np.float32)
    return raw
