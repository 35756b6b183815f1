"""The command line of training; each option of `fit` is a field of `Settings`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.extras import install_command

from .options import CONFIG, say, setting_options, settings_of
from .recipe import RECIPES
from .round_commands import rounds, student, submit

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def train() -> None:
    """Train classifiers of bird vocalisations on recordings; `export` converts the checkpoints."""


@train.command()
@CONFIG
@setting_options("data", "audio_root", "cache", "clip", "workers", "window_s", "image_width")
def prepare(config: Path | None, **given: Any) -> None:
    """Compute the mel cache of --data's recordings, or of all audio in a folder; resumes if interrupted."""
    from .cache import MelCache
    from .dataset import read_table, read_unlabelled
    from .frontend import frontend_of
    from .prepare import prepare as fill

    settings = settings_of(given, config)
    if not settings.audio_root or not settings.cache:
        raise ConfigError("prepare needs --audio-root and --cache")
    root = Path(settings.audio_root)
    recordings = read_table(Path(settings.data), root) if settings.data else read_unlabelled(root)
    cache = MelCache.open(Path(settings.cache), frontend_of(settings), centre=settings.clip == "center")
    arrays, faults = fill(cache, recordings, workers=given["workers"] or 0)
    done = [array for array in arrays if array.is_file()]
    size = sum(array.stat().st_size for array in done)
    say(f"{len(done)} of {len(recordings)} recordings in {settings.cache}, {size / 1e9:.2f} GB")
    if faults:
        raise BirdwatchError(f"{len(faults)} recordings cannot be used:\n  " + "\n  ".join(faults))


@train.command()
@CONFIG
@click.option("--recipe", type=click.Choice(list(RECIPES)), help="Named settings; --config and options override them.")
@click.option("--resume", is_flag=True, help="Resume the run in --out after its last complete epoch.")
@setting_options()
def fit(config: Path | None, recipe: str | None, resume: bool, **given: Any) -> None:
    """Train one fold, all folds, or on everything."""
    from .run import fit as run

    if resume and config is None and given["out"]:
        own = Path(given["out"]) / "config.toml"
        config = own if own.exists() else None
        if config is None and recipe is None and not given["data"]:
            raise ConfigError(f"{given['out']} holds no run to resume; start one with --data, --cache and --out")
    run(settings_of(given, config, recipe), resume=resume, say=say)


@train.command()
@click.option("--model", required=True, type=click.Path(path_type=Path), help="An .onnx written by `export`.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="train.csv of labelled recordings.")
@click.option("--audio-root", required=True, type=click.Path(path_type=Path), help="Folder of the recordings.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The checkpoint to write, for `export`.")
@click.option("--epochs", default=10, show_default=True, help="Number of epochs.")
def head(model: Path, data: Path, audio_root: Path, out: Path, epochs: int) -> None:
    """Adapt an exported model's last layer to the recordists' labels; the rest is frozen. Takes minutes of one core."""
    from .dataset import read_table
    from .tune_head import HeadOptions, tune_file

    tune_file(model, data, read_table(data, audio_root), out, HeadOptions(epochs=epochs), say=say)


@train.command()
@click.option("--model", default="birdnet", show_default=True, help="The teacher: an added model's name or a file.")
@click.option("--data", multiple=True, type=click.Path(path_type=Path), help="train.csv of recordings (repeatable).")
@click.option("--audio-root", multiple=True, type=click.Path(path_type=Path), help="Folder of each --data.")
@click.option("--taxonomy", multiple=True, type=click.Path(path_type=Path), help="csv of classes (repeatable).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Table to write, for fit --soft-labels.")
@click.option("--embeddings-out", type=click.Path(path_type=Path), help="npz of the embeddings, for fit --teacher.")
@click.option("--labels-out", type=click.Path(path_type=Path), help="Also write the classes, for fit --taxonomy.")
@click.option("--hop-s", default=1.0, show_default=True, help="Hop of the teacher's windows, in seconds.")
@click.option("--floor", default=0.01, show_default=True, help="Lower scores are not written.")
def teach(
    model: str,
    data: tuple[Path, ...],
    audio_root: tuple[Path, ...],
    taxonomy: tuple[Path, ...],
    out: Path,
    embeddings_out: Path | None,
    labels_out: Path | None,
    hop_s: float,
    floor: float,
) -> None:
    """Write soft labels: a teacher's scores for each second of the recordings."""
    from .dataset import read_table, with_codes
    from .tables import write_table
    from .teach import TeachOptions, read_labels
    from .teach import teach as listen
    from .teacher import LARGEST_RESIDUAL

    if not data or len(data) != len(audio_root) or not taxonomy:
        raise ConfigError("teach needs --taxonomy, and --data and --audio-root in pairs")
    recordings = [item for table, root in zip(data, audio_root, strict=True) for item in read_table(table, root)]
    labels = read_labels(taxonomy)
    recordings = with_codes(recordings, labels)
    if labels_out is not None:
        names = ("primary_label", "scientific_name", "common_name")
        values = [(label.code, label.scientific_name, label.common_name) for label in labels]
        write_table(labels_out, [dict(zip(names, row, strict=True)) for row in values])
    options = TeachOptions(hop_s=hop_s, floor=floor)
    rows, known, residual = listen(model, recordings, labels, out, options, embeddings_out=embeddings_out)
    say(f"{out}: {rows} rows for {len(recordings)} recordings; the teacher knows {known} of {len(labels)} classes")
    if residual > LARGEST_RESIDUAL:
        say(f"{embeddings_out}: without a classifier, as the teacher's logits are off a linear map by {residual:.2g}")


@train.command()
@CONFIG
@click.option("--model", default="birdnet", show_default=True, help="The teacher: an added model's name or a file.")
@click.option("--count", default=20000, show_default=True, type=click.IntRange(min=1), help="Number of mixtures.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write, for fit --varied.")
@setting_options(
    *("data", "audio_root", "taxonomy", "cache", "soft_labels", "extra_data", "extra_root", "background"),
    *("sample_by", "sample_exponent", "extra_share", "seed"),
)
def vary(config: Path | None, model: str, count: int, out: Path, **given: Any) -> None:
    """Make synthetic mixtures of recordings, also time-stretched, scored by a teacher; resumes if interrupted."""
    from .vary import Variations
    from .vary_run import vary as make

    settings = settings_of(given, config)
    begun = make(settings, model, count, out, Variations(), say=say)
    say(f"{out}: {count} sounds, {begun} of them made now")


@train.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@setting_options("data", "audio_root", "device")
@click.option("--hop", "hop_s", type=float, default=2.5, show_default=True, help="Seconds between windows.")
@click.option("--held-out", is_flag=True, help="Only the recordings that the checkpoint's fold held out.")
@click.option(
    "--soundscapes", type=click.Path(path_type=Path), help="Folder of soundscapes to evaluate against --truth."
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="csv with row_id and a column per class or `birds`; or onsets and offsets: csv, Raven, Audacity, a folder.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for metrics.json, classes.csv and scores.csv.")
def evaluate(
    checkpoint: Path,
    data: str | None,
    audio_root: str | None,
    device: str | None,
    hop_s: float,
    held_out: bool,
    soundscapes: Path | None,
    truth: Path | None,
    out: Path | None,
) -> None:
    """Evaluate a checkpoint on labelled recordings or soundscapes, scored as in the daemon."""
    from .device import choose_device
    from .ensemble import checkpoints_of, load_ensemble
    from .evaluate import evaluate_recordings, held_out_recordings, recordings_of
    from .evaluate_soundscapes import evaluate_soundscapes

    if (soundscapes is None) != (truth is None):
        raise ConfigError("--soundscapes and --truth belong together")
    ensemble = load_ensemble(checkpoints_of(checkpoint), choose_device(device or "auto"))
    if soundscapes and truth:
        evaluate_soundscapes(ensemble, soundscapes, truth, out=out, say=say)
        return
    fold = str(ensemble.checkpoint.config.get("fold", ""))
    chosen = held_out_recordings(checkpoint, fold, recordings_of(data or "", audio_root or ""), only=held_out)
    if chosen.trained_on:
        say(f"{chosen.trained_on} of these recordings were used in training, so the scores are too high (--held-out)")
    evaluate_recordings(ensemble, chosen.recordings, hop_s=hop_s, out=out, say=say)


@train.command("pseudo-label")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--soundscapes", type=click.Path(path_type=Path), required=True, help="Folder of unlabelled audio.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="csv to write, for fit's --pseudo.")
@click.option("--power", type=float, default=1.5, show_default=True, help="Scores are raised to this power.")
@click.option("--min-score", type=float, default=0.05, show_default=True, help="Lower scores are not written.")
@setting_options("device")
def pseudo_label(run: Path, soundscapes: Path, out: Path, power: float, min_score: float, device: str | None) -> None:
    """Write pseudo-labels of soundscapes by the mean of a run's folds (or one checkpoint), for `fit --pseudo`."""
    from .device import choose_device
    from .ensemble import checkpoints_of, load_ensemble
    from .pseudo_label import write_pseudo_labels

    if power <= 0 or not 0 < min_score <= 1:
        raise ConfigError(f"--power is {power}, expected above 0; --min-score is {min_score}, expected 0 to 1")
    ensemble = load_ensemble(checkpoints_of(run), choose_device(device or "auto"))
    rows, faults = write_pseudo_labels(ensemble, soundscapes, out, power=power, least=min_score)
    say(f"{out}: {rows} rows, from {len(ensemble.networks)} networks")
    if faults:
        raise BirdwatchError(f"{len(faults)} soundscapes are not in it:\n  " + "\n  ".join(faults))


@train.command()
@click.option("--model", required=True, type=click.Path(path_type=Path), help="The exported model.")
@click.option("--trained", required=True, type=click.Path(path_type=Path), help="csv of the training recordings.")
@click.option("--held-out", required=True, type=click.Path(path_type=Path), help="csv of held-out recordings.")
@click.option("--outside", required=True, type=click.Path(path_type=Path), help="csv of another collection.")
@click.option("--audio-root", required=True, type=click.Path(path_type=Path), help="Folder of these recordings.")
@click.option("--compare", multiple=True, help="Another model, scored on the same recordings; may be repeated.")
@click.option("--soundscapes", type=click.Path(path_type=Path), help="Folder with soundscapes and truth.csv.")
@click.option(
    "--background", required=True, type=click.Path(path_type=Path), help="csv of other sounds: filename, sound."
)
@click.option(
    "--background-root", required=True, type=click.Path(path_type=Path), help="Folder of sounds not used in training."
)
@click.option("--template", required=True, type=click.Path(path_type=Path), help="The card with {{placeholders}}.")
@click.option("--credit", multiple=True, help="Whom to credit before the recordists, such as a teacher.")
@click.option("--precision", default=0.9, show_default=True, help="Target precision of the threshold.")
@click.option("--hop-s", default=2.5, show_default=True, help="Hop of the windows, in seconds.")
@click.option("--seed", default=42, show_default=True, help="Seed of the resampling.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for card.md, manifest.json, figures.json."
)
def card(**given: Any) -> None:
    """Evaluate a model on recordings not used in training; write its card, and its threshold for the manifest."""
    from .card_run import CardOptions, write_card

    write_card(CardOptions(**given), say=say)


for command in (student, rounds, submit):
    train.add_command(command)


def main() -> None:
    """Run the command line; exit 0 done, 1 an error, 2 wrong usage."""
    try:
        train(prog_name="birdwatch-train")
    except BirdwatchError as error:
        click.echo(f"birdwatch-train: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        click.echo(f"birdwatch-train: training needs {error.name}: {install_command('train')}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
