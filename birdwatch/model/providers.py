"""Providers that are used only if selected: OpenVINO, and those of other builds of ONNX Runtime.

Each is opened or refused with its reason; none is taken for another one in silence. Which of them has ever been run is
in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdwatch.errors import InferenceError
from birdwatch.model.openvino_network import OpenVinoNetwork, openvino_fault
from birdwatch.model.session import CPU, CUDA, CUDA_OPTIONS, HostNetwork, available, library_fault, open_session

if TYPE_CHECKING:
    from birdwatch.model.provider_names import Provider

__all__ = ["OTHERS", "open_other", "other_fault"]


@dataclass(frozen=True, slots=True)
class _Build:
    """A provider of a build of ONNX Runtime. lacking: what to do where this build is without it.

    after: what computes the nodes that it cannot, before the CPU. batch: windows of a run. fixed: shapes have to be
    known beforehand. library: of the runtime's own, which fails to load where the vendor's are missing.
    """

    name: str
    lacking: str
    batch: int = 4
    fixed: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    after: tuple[Any, ...] = ()
    library: str | None = None


BUILDS: dict[Provider, _Build] = {
    "tensorrt": _Build(
        "TensorrtExecutionProvider",
        "onnxruntime-gpu for x86-64 Linux and Windows has it",
        batch=64,
        fixed=True,
        after=((CUDA, CUDA_OPTIONS),),
        library="libonnxruntime_providers_tensorrt.so",
    ),
    "coreml": _Build("CoreMLExecutionProvider", "onnxruntime for macOS has it", fixed=True),
    "directml": _Build("DmlExecutionProvider", "onnxruntime-directml for Windows has it", batch=16, fixed=True),
    "xnnpack": _Build("XnnpackExecutionProvider", "ONNX Runtime has to be built with --use_xnnpack", batch=1),
}
OPENVINO_BATCH = 4
# By name: what is only used where it is asked for.
OTHERS: frozenset[Provider] = frozenset({*BUILDS, "openvino", "openvino-bf16", "openvino-gpu"})


def other_fault(provider: Provider) -> str | None:
    """Why one of OTHERS cannot be used here, in one line, or None if nothing speaks against it."""
    build = BUILDS.get(provider)
    if build is None:
        return openvino_fault(provider)
    if build.name not in available():
        return f"this onnxruntime has no {build.name}; {build.lacking}"
    if build.library is not None and (fault := library_fault(build.library)):
        return f"{fault}; install the vendor's libraries"
    return None


def open_other(data: bytes, path: Path, *, provider: Provider, batch: int | None) -> HostNetwork | OpenVinoNetwork:
    """The network on one of OTHERS. batch: windows of a run, None for what suits the provider.

    Raises InferenceError where the provider cannot be used or the runtime fell back to another one, ModelError where
    the file is no model, NetworkError where the device fails.
    """
    if fault := other_fault(provider):
        raise InferenceError(f"provider {provider} was asked for and cannot be used: {fault}, or use --provider cpu")
    build = BUILDS.get(provider)
    if build is None:
        described = open_session(data, path, optimised=False)
        return OpenVinoNetwork(data, described, provider=provider, batch=batch or OPENVINO_BATCH)
    providers = [(build.name, dict(build.options)), *build.after, CPU]
    session = open_session(data, path, providers=providers, batch=(batch or build.batch) if build.fixed else None)
    if (found := session.get_providers()[0]) != build.name:
        raise InferenceError(
            f"provider {provider} was asked for and ONNX Runtime fell back to {found}; see its message above, or use "
            "--provider cpu"
        )
    return HostNetwork(session)
