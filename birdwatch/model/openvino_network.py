"""Runs a network with OpenVINO on Intel's processors, in float32 or bfloat16, and on their integrated GPUs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.extras import install_command
from birdwatch.model.session import NetworkError
from birdwatch.process import cores

if TYPE_CHECKING:
    from birdwatch.model.provider_names import Provider

__all__ = ["OpenVinoNetwork", "openvino_fault"]

# Device and precision by provider. OpenVINO would take bfloat16 by itself where a processor has it; that moves logits
# by up to 0.06, so it is only done where it is asked for.
SETTINGS: dict[Provider, tuple[str, str]] = {
    "openvino": ("CPU", "f32"),
    "openvino-bf16": ("CPU", "bf16"),
    "openvino-gpu": ("GPU", "f32"),
}


def openvino_fault(provider: Provider) -> str | None:
    """Why a provider of OpenVINO cannot be used here, in one line, or None if it can."""
    try:
        import openvino
    except ImportError:
        return f"the package openvino is missing; {install_command('openvino')}"
    device, precision = SETTINGS[provider]
    core = openvino.Core()
    there = core.available_devices
    if not any(name.split(".")[0] == device for name in there):
        return f"OpenVINO {openvino.__version__} sees no {device} here, only {', '.join(there) or 'nothing'}"
    if precision == "bf16" and "BF16" not in core.get_property(device, "OPTIMIZATION_CAPABILITIES"):
        return "this processor has no instructions for bfloat16"
    return None


class OpenVinoNetwork:
    """A network compiled by OpenVINO for batches of one size; any number of threads may run it, each its own request.

    session: of ONNX Runtime, for the same file; it tells of the model and computes nothing.
    """

    def __init__(self, data: bytes, session: Any, *, provider: Provider, batch: int) -> None:
        import openvino

        self.session = session
        device, precision = SETTINGS[provider]
        self.provider = f"OpenVINO {device} {precision}"
        shape = session.get_inputs()[0].shape
        self.batch: int | None = shape[0] if isinstance(shape[0], int) else batch
        settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": precision}
        if device == "CPU":
            # As with ONNX Runtime: many runs side by side, one thread each.
            settings |= {"INFERENCE_NUM_THREADS": cores(), "NUM_STREAMS": cores()}
        try:
            core = openvino.Core()
            model = core.read_model(data, b"")
            model.reshape({0: [self.batch, *shape[1:]]})
            # Compiling puts a signal stack on its thread that is unmapped when the network is freed on another one: the
            # next signal would kill the process without a message. A separate thread frees it when it ends.
            with ThreadPoolExecutor(1, thread_name_prefix="compile") as aside:
                self._compiled = aside.submit(core.compile_model, model, device, settings).result()
        except RuntimeError as error:
            raise NetworkError(error) from error
        self._own = threading.local()

    def run(self, output: str, values: FloatArray) -> FloatArray:
        """One output for inputs `(batch, ...)`. Raises NetworkError."""
        try:
            if not hasattr(self._own, "request"):
                self._own.request = self._compiled.create_infer_request()
            self._own.request.infer({0: np.ascontiguousarray(values)})
            return np.array(self._own.request.get_tensor(output).data, np.float32)
        except RuntimeError as error:
            raise NetworkError(error) from error

    def close(self) -> None:
        """Nothing to give back before the network itself goes."""
