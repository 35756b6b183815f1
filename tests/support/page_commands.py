"""The commands of a page of documentation, as a shell script."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

STARTS = ("python ", "birdwatch ", "D=")
# Installed before, or needs the network, or is tried by a test of its own (test_card).
LEFT_OUT = ("birdwatch model add", "python -m train card")


def blocks(page: Path) -> list[str]:
    """The indented blocks of a page, in their order."""
    found: list[list[str]] = []
    inside = False
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("    "):
            if not inside:
                found.append([])
            found[-1].append(line[4:])
        inside = line.startswith("    ")
    return ["\n".join(lines) for lines in found]


def commands(page: Path) -> list[str]:
    """Each command of the page in one line, comments cut."""
    lines = [line.split("   #")[0].strip() for block in blocks(page) for line in block.replace("\\\n", " ").split("\n")]
    return [" ".join(line.split()) for line in lines if line.startswith(STARTS) and not line.startswith(LEFT_OUT)]


def settings(page: Path) -> str:
    """The block of the page that is a file of settings."""
    (found,) = [block for block in blocks(page) if block.startswith("data = ")]
    return found


def script(page: Path, changes: Mapping[str, str]) -> str:
    """The page's commands, with each text of `changes` replaced; it ends at the first that fails, and names it."""
    lines = []
    for command in commands(page):
        for old, new in changes.items():
            command = command.replace(old, new)
        lines.append(command)
    return "set -e\ntrap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(script(Path(sys.argv[1]), dict(item.split("=>") for item in sys.argv[2:])))
