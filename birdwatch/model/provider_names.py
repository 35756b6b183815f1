"""The values of `--provider`; importing this loads no runtime."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["PROVIDERS", "Provider"]

Provider = Literal[
    "auto", "cuda", "cpu", "openvino", "openvino-bf16", "openvino-gpu", "tensorrt", "coreml", "directml", "xnnpack"
]
PROVIDERS: tuple[Provider, ...] = get_args(Provider)
