"""Networks that others trained, made into model files that describe themselves; needs the extra `models`.

Imported by `birdwatch model add` and `birdwatch model wrap` only: nothing that listens or scores needs ONNX's or
TFLite's own packages.
"""

from __future__ import annotations

from importlib.util import find_spec

from birdwatch.errors import ConfigError
from birdwatch.extras import install_command

__all__ = ["check_extra"]


def check_extra(*modules: str) -> None:
    """Raise ConfigError with the command that installs what is missing of `modules`."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(f"this needs {', '.join(missing)}: {install_command('models')}")
