"""Compiled modules of SciPy, loaded without the packages around them.

`scipy.fft` and `scipy.sparse` load half of SciPy and take a quarter of the time that `birdwatch run` needs to start.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["compiled"]


def compiled(name: str) -> ModuleType | None:
    """The compiled module `scipy.` + `name`; None where this SciPy has it in another place or it cannot be loaded."""
    found = find_spec("scipy")  # does not import it
    *folders, last = name.split(".")
    for root in (found.submodule_search_locations or []) if found else []:
        for suffix in EXTENSION_SUFFIXES:
            path = Path(root, *folders, last + suffix)
            if path.exists():
                return _loaded(f"scipy.{name}", path)
    return None


def _loaded(name: str, path: Path) -> ModuleType | None:
    loader = ExtensionFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    before = sys.modules.get(name)
    try:
        module = module_from_spec(spec)
        loader.exec_module(module)
    except ImportError:
        return None
    # Some register themselves, although their package is not there.
    if before is None:
        sys.modules.pop(name, None)
    return module
