"""birdwatch: detects bird vocalisations, live and in recordings, with one pipeline.

Importing this package has no side effects and imports no heavy library; `load_model` and `analyze` do so on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdwatch._version import __version__

if TYPE_CHECKING:
    from birdwatch.api import analyze, load_model

__all__ = ["__version__", "analyze", "load_model"]


def __getattr__(name: str) -> Any:
    if name in ("analyze", "load_model"):
        from birdwatch import api

        return getattr(api, name)
    raise AttributeError(f"module 'birdwatch' has no attribute {name!r}")
