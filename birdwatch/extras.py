"""Commands that install an extra: birdwatch is not on PyPI, so they name the place that it was installed from."""

from __future__ import annotations

import json
import sys
from urllib.parse import unquote, urlsplit

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation, to be pasted into a shell."""
    python = sys.executable or "python3"
    return f"{python} -m pip install '{_origin()}[{extra}]'"


def _origin() -> str:
    """The folder or file that birdwatch was installed from, `.` (in a checkout) where pip did not note it."""
    from importlib import metadata  # with its parser of e-mail, 14 ms of every start

    try:
        noted = json.loads(metadata.distribution("birdwatch").read_text("direct_url.json") or "{}")
        url = urlsplit(noted["url"])
    except (metadata.PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return "."
    return unquote(url.path) if url.scheme == "file" else f"birdwatch @ {noted['url']}"
