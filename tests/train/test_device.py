"""The device is what was asked for, or an error that says why not; so is the compiler."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from birdwatch.errors import ConfigError
from train.device import choose_device, require_compiler
from train.run import fit
from train.settings import Settings


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda"):
        choose_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no CUDA here"):
            choose_device("cuda")


def test_compiling_without_a_compiler_is_refused_before_anything_is_read(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"no no-such-compiler; install g\+\+, or give --no-compile"):
        fit(replace(quick, compile=True, data="none.csv"), resume=False, say=lambda _: None, quiet=True)
    with pytest.raises(ConfigError, match=r"bf16 needs .* no no-such-compiler; install g\+\+, or give --no-bf16"):
        fit(replace(quick, bf16=True, data="none.csv"), resume=False, say=lambda _: None, quiet=True)
    require_compiler(torch.device("cuda"))
    monkeypatch.setenv("CXX", shutil.which("true") or "true")
    require_compiler(torch.device("cpu"))
