"""The labels of a model file, read on first use."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from birdwatch.model.builtin import built_in_model
from birdwatch.model.classifier import open_network
from birdwatch.model.manifest import Label, Manifest
from birdwatch.model.model_file import checked_manifest

__all__ = ["ModelLabels", "read_manifest"]


class ModelLabels:
    """Labels by code of the model file `path`; None: the built-in model's."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._labels: Mapping[str, Label] | None = None

    def read(self) -> Mapping[str, Label]:
        """The labels; the network is let go once they have been read. Raises ModelError."""
        with self._lock:
            if self._labels is None:
                manifest = read_manifest(self.path or built_in_model())
                self._labels = {label.code: label for label in manifest.labels}
            return self._labels


def read_manifest(path: Path) -> Manifest:
    """The manifest of a model file. Raises ModelError."""
    return checked_manifest(open_network(path), path)
