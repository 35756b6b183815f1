"""Depthwise convolutions in bfloat16 on a processor, whose gradients oneDNN computes by a slow reference kernel.

Three quarters of an EfficientNet's step in bfloat16 are spent there. The two gradients are in depthwise.cpp, built when
training starts; the sums are in float32.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from birdwatch.errors import ConfigError

__all__ = ["speed_up"]

# Channels in one vector of the kernels.
LANES = 16
SOURCE = Path(__file__).with_name("depthwise.cpp")


class Depthwise(nn.Conv2d):
    """A depthwise convolution with the same parameters, whose gradients under autocast are our own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The convolution of images `(B, C, H, W)`."""
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        answer: torch.Tensor = depthwise(input.to(torch.bfloat16), self.weight, self.stride[0])
        return answer if self.bias is None else answer + self.bias[:, None, None].to(answer.dtype)


def speed_up(network: nn.Module) -> int:
    """Give the depthwise convolutions of `network` the fast gradients; returns how many there are that can have them.

    Raises ConfigError where the compiler fails.
    """
    found = [layer for layer in network.modules() if suits(layer)]
    if found:
        library()
    for layer in found:
        layer.__class__ = Depthwise
    return len(found)


def suits(layer: nn.Module) -> bool:
    """Whether it is a depthwise convolution of 3 x 3 or 5 x 5 in the steps of 1 or 2 that the kernels know."""
    if type(layer) is not nn.Conv2d or layer.groups != layer.in_channels or layer.out_channels != layer.in_channels:
        return False
    size = layer.kernel_size[0]
    return (
        layer.in_channels % LANES == 0
        and layer.kernel_size in ((3, 3), (5, 5))
        and layer.stride in ((1, 1), (2, 2))
        and layer.padding == (size // 2, size // 2)
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels, for this very processor: nothing of them stays on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "depthwise.so"
        # No -ffast-math: a library with it would flush the whole process's small numbers to zero.
        command = [os.environ.get("CXX", "g++"), "-O3", "-march=native", "-fPIC", "-shared", "-o", str(target)]
        try:
            subprocess.run([*command, str(SOURCE)], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[0]
            raise ConfigError(
                f"bf16 on a processor needs a C++ compiler ({reason}); install g++, or give --no-bf16"
            ) from None
        kernels = ctypes.CDLL(str(target))
    pointers = [ctypes.c_void_p] * 4
    for kernel in (kernels.gradient_of_weight, kernels.gradient_of_input):
        kernel.argtypes, kernel.restype = [*pointers, *[ctypes.c_int] * 3], None
    return kernels


@torch.library.custom_op("birdwatch::depthwise", mutates_args=())
def depthwise(images: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """The depthwise convolution of bfloat16 images `(B, C, H, W)` with weight `(C, 1, k, k)`, padded by k // 2."""
    return F.conv2d(images, weight.to(images.dtype), None, stride, weight.shape[-1] // 2, 1, images.shape[1])


@depthwise.register_fake
def _(images: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    rows, columns = ((size - 1) // stride + 1 for size in images.shape[2:])
    shape = (*images.shape[:2], rows, columns)
    return images.new_empty(shape).to(memory_format=torch.channels_last)


@torch.library.custom_op("birdwatch::depthwise_gradients", mutates_args=())
def gradients(
    images: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of the images, bfloat16 `(B, C, H, W)`, and of the weight, float32 `(C, 1, k, k)`."""
    images, gradient = (value.contiguous(memory_format=torch.channels_last) for value in (images, gradient))
    batch, channels, height, width = images.shape
    size = weight.shape[-1]
    shape = (ctypes.c_int * 7)(batch, height, width, channels, *gradient.shape[2:], stride)
    of_weight = torch.empty(weight.shape, dtype=torch.float32)
    where = ctypes.addressof(shape)
    in_parts(
        lambda first, last: library().gradient_of_weight(
            images.data_ptr(), gradient.data_ptr(), of_weight.data_ptr(), where, size, first, last
        ),
        channels,
    )
    if stride == 1:  # oneDNN's is as fast for this
        sides, steps = [size // 2] * 2, [1, 1]
        of_images = torch.ops.aten.convolution_backward(
            gradient,
            images,
            weight.to(images.dtype),
            None,
            steps,
            sides,
            steps,
            False,
            [0, 0],
            channels,
            [True, False, False],
        )[0]
    else:
        of_images, exact = torch.empty_like(images), weight.float().contiguous()
        in_parts(
            lambda first, last: library().gradient_of_input(
                gradient.data_ptr(), exact.data_ptr(), of_images.data_ptr(), where, size, first, last
            ),
            channels,
        )
    return of_images, of_weight


@gradients.register_fake
def _(
    images: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, stride: int
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(images), torch.empty_like(weight, dtype=torch.float32)


def in_parts(work: Callable[[int, int], None], channels: int) -> None:
    """Share `channels` out to torch's number of threads, in whole vectors."""
    count = channels // LANES
    threads = min(torch.get_num_threads(), count)
    edges = [part * count // threads * LANES for part in range(threads + 1)]
    if threads == 1:
        work(0, channels)
    else:
        list(pool(threads).map(work, edges[:-1], edges[1:]))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for the kernels, which run without Python's lock."""
    return ThreadPoolExecutor(threads, thread_name_prefix="depthwise")


def keep_for_gradients(ctx: Any, inputs: tuple[torch.Tensor, torch.Tensor, int], output: torch.Tensor) -> None:
    """What the gradients need of the forward pass."""
    images, weight, ctx.stride = inputs
    ctx.save_for_backward(images, weight)


def depthwise_backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
    """The gradients of `depthwise`'s arguments."""
    images, weight = context.saved_tensors
    return *gradients(images, weight, gradient, context.stride), None


depthwise.register_autograd(depthwise_backward, setup_context=keep_for_gradients)
