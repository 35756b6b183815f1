"""The command line of training as a user types it, in this process."""

from __future__ import annotations

import sys

import pytest

from train.__main__ import main


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of the real command line."""
    monkeypatch.setattr(sys, "argv", ["birdwatch-train", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
