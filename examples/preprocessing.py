"""The first of the published BirdCLEF 2025 notebooks: recordings to mel spectrograms of their centre 5 s.

    python -m examples.preprocessing birdclef-2025 out

Fills the mel cache `out/mels` that `examples.training` trains from, and writes what one looks at before training:
`out/images.npz` with a 256 x 256 image for each recording, named `<label>-<file>` as in the notebook, and
`out/images.png` with the first of some classes. With the whole competition the images are 7 GB: --images 100 is enough
to look at.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from birdwatch.audio.types import FloatArray
from birdwatch.errors import BirdwatchError
from birdwatch.model.frontend import FrontendSpec, log_mel
from train.cache import MelCache, tiled
from train.dataset import Recording, read_table
from train.prepare import prepare, read_audio


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", default=100, show_default=True, help="Recordings whose images are written; 0 is none.")
def main(data: Path, out: Path, images: int) -> None:
    """Mel spectrograms of DATA, laid out as Kaggle ships BirdCLEF 2025, into OUT."""
    recordings = read_table(data / "train.csv", data / "train_audio")
    print(f"{len(recordings)} recordings of {len({recording.label for recording in recordings})} classes")
    cache = MelCache.open(out / "mels", FrontendSpec(), centre=True)
    arrays, faults = prepare(cache, recordings)
    if faults:
        raise click.ClickException(f"{len(faults)} recordings cannot be used:\n  " + "\n  ".join(faults))
    size = sum(array.stat().st_size for array in arrays)
    print(f"{len(arrays)} mel spectrograms in {cache.folder}, {size / 1e6:.1f} MB")
    if images:
        found = {name_of(recording): image_of(recording, cache.spec) for recording in recordings[:images]}
        np.savez_compressed(out / "images.npz", allow_pickle=False, **found)
        draw(found, out / "images.png")
        print(f"{len(found)} images in {out / 'images.npz'}, the first of some classes in {out / 'images.png'}")


def name_of(recording: Recording) -> str:
    """`asbfly-XC134896`, the notebook's name of a sample."""
    return f"{recording.label}-{Path(recording.filename).stem}"


def image_of(recording: Recording, spec: FrontendSpec) -> FloatArray:
    """The image `(256, 256)` of the centre 5 s; a shorter recording is repeated."""
    samples = tiled(read_audio(recording.path, spec.rate_hz), spec.window_frames)
    start = (len(samples) - spec.window_frames) // 2
    return np.asarray(log_mel(samples[None, start : start + spec.window_frames], spec)[0, 0])


def draw(images: dict[str, FloatArray], path: Path, *, most: int = 6) -> None:
    """The first image of each of the first classes."""
    from matplotlib.figure import Figure

    firsts: dict[str, str] = {}
    for name in images:
        firsts.setdefault(name.partition("-")[0], name)
    shown = list(firsts.values())[:most]
    figure = Figure(figsize=(3 * len(shown), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        axes.imshow(images[name], origin="lower", cmap="viridis")
        axes.set_title(name)
        axes.set_axis_off()
    figure.savefig(path)


if __name__ == "__main__":
    try:
        main()
    except BirdwatchError as error:
        raise SystemExit(f"preprocessing: {error}") from None
