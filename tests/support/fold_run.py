"""One fold, trained as quickly as a test needs."""

from collections.abc import Callable
from pathlib import Path

from train.run import fit
from train.settings import Settings


def run(settings: Settings, *, resume: bool = False, say: Callable[[str], None] = lambda _: None) -> Path:
    return fit(settings, resume=resume, say=say, quiet=True) / f"fold{settings.fold}"
