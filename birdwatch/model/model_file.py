"""A model file: its content, and its manifest, which has to fit its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from birdwatch.errors import ModelError
from birdwatch.model.manifest import METADATA_KEY, Manifest
from birdwatch.whole_file import read_whole

__all__ = ["checked_manifest", "read_model"]

# An ONNX file without its weights beside it cannot be larger.
MAX_BYTES = 1 << 31


def read_model(path: Path) -> bytes:
    """A model file's content. Raises ModelError where it cannot be read or is empty."""
    try:
        data = read_whole(path, limit=MAX_BYTES, pipes=True)
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror}; name an .onnx file with --model") from error
    if not data:
        raise ModelError(f"model {path} is empty; copy or export it again")
    return data


def checked_manifest(session: Any, path: Path) -> Manifest:
    """The manifest of an open session. Raises ModelError with all that does not fit the graph."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"{path} has no birdwatch manifest in its metadata, so its labels and front end are unknown; "
            "export it with `python -m export`, or add one with `birdwatch model wrap`"
        )
    try:
        manifest = Manifest.from_json(text)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    faults: list[str] = []
    inputs = session.get_inputs()
    if manifest.frontend is not None and manifest.input == "mel":
        expected: tuple[int, ...] = (1, manifest.frontend.height, manifest.frontend.width)
    else:
        expected = (manifest.window_frames,)
    if len(inputs) != 1:
        faults.append(f"it has {len(inputs)} inputs, expected 1")
    elif not _fits(inputs[0].shape[1:], expected):
        faults.append(f"its input takes {inputs[0].shape}, its manifest says (n, {', '.join(map(str, expected))})")
    elif inputs[0].type != "tensor(float)":
        faults.append(f"its input takes {inputs[0].type}, expected tensor(float)")
    outputs = {output.name: output for output in session.get_outputs()}
    for name in filter(None, (manifest.scores_output, manifest.embedding_output, manifest.segments_output)):
        if name not in outputs:
            faults.append(f"it has no output {name!r}, only {sorted(outputs)}")
    scores = outputs.get(manifest.scores_output)
    if scores is not None and not _fits(scores.shape[1:], (len(manifest.labels),)):
        width = scores.shape[-1] if scores.shape else 0
        faults.append(f"it has {width} outputs but its manifest lists {len(manifest.labels)} labels")
    parts = outputs.get(manifest.segments_output or "")
    if parts is not None and not _fits(parts.shape[1:], (manifest.segments, len(manifest.labels))):
        faults.append(f"its segments are {parts.shape}, its manifest says (n, {manifest.segments}, classes)")
    if faults:
        raise ModelError(f"{path} does not fit its manifest: {'; '.join(faults)}; export it again")
    return manifest


def _fits(shape: list[int | str], expected: tuple[int, ...]) -> bool:
    """Whether an ONNX shape, whose free dimensions are names, admits `expected`."""
    return len(shape) == len(expected) and all(
        not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )
