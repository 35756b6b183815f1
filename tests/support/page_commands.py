"""The commands of a page of documentation."""

from __future__ import annotations

from pathlib import Path

STARTS = ("python ", "birdwatch ", "D=")
# Installed before, or needs the network, or is tried by a test of its own: test_card, and test_tune_head, since `head`
# knows the layers of EfficientNetB0 only, and the test of the page has a smaller network.
LEFT_OUT = ("birdwatch model add", "python -m train card", "python -m train head", "python -m export head.pt")


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
