"""`train vary`: varied sounds, kept with the output of a teacher; runs that resume, folds that may use them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from train_command import command

from birdwatch.api import load_model
from birdwatch.audio.types import AudioBlock
from birdwatch.checkpoint.file import read_checkpoint
from birdwatch.errors import ConfigError
from birdwatch.model.frontend import FrontendSpec, log_mel, mel_power
from birdwatch.model.manifest import Label
from birdwatch.scores.pipeline import WindowStream, windows_of
from train import vary_run
from train.dataset import read_table
from train.gather import gather
from train.run import fit
from train.settings import Settings
from train.soft_labels import LABEL_ODDS
from train.teach import TeachOptions, teach
from train.teacher import read_teacher
from train.varied import Varied, read_varied
from train.vary import Variations
from train.vary_run import Sounds, vary
from train.windows import VARIED, Draw, Windows

SPEC = FrontendSpec()
CODES = ("lowbird", "midbird", "highbird")
LABELS = tuple(Label(code, f"Avis {code}") for code in CODES)
COUNT, PART = 8, 3


@pytest.fixture(scope="module")
def taught(birds: Path, teacher_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the teacher's soft.csv and teacher.npz of the birds."""
    folder = tmp_path_factory.mktemp("taught")
    recordings = read_table(birds / "train.csv", birds / "train_audio")
    teach(
        str(teacher_model),
        recordings,
        LABELS,
        folder / "soft.csv",
        TeachOptions(),
        embeddings_out=folder / "teacher.npz",
    )
    return folder


@pytest.fixture
def settings(quick: Settings, birds: Path, taught: Path) -> Settings:
    return replace(
        quick,
        clip="labelled",
        soft_labels=str(taught / "soft.csv"),
        teacher=str(taught / "teacher.npz"),
        background=str(birds / "background"),
        sample_by="duration",
    )


@pytest.fixture
def folder(settings: Settings, teacher_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight varied sounds in parts of three."""
    monkeypatch.setattr(vary_run, "PART", PART)
    made = vary(settings, str(teacher_model), COUNT, tmp_path / "varied", Variations(), say=print, quiet=True)
    assert made == COUNT
    return tmp_path / "varied"


def opened(folder: Path, settings: Settings) -> Varied:
    return read_varied(folder, SPEC, read_teacher(Path(settings.teacher), CODES), CODES)


def sounds_of(settings: Settings) -> Sounds:
    return Sounds(gather(settings, SPEC, say=print, quiet=True), settings, SPEC, Variations(), count=COUNT)


def test_the_sound_s_mel_and_the_teacher_s_output_are_kept(
    folder: Path, settings: Settings, teacher_model: Path
) -> None:
    varied, sounds, model = opened(folder, settings), sounds_of(settings), load_model(teacher_model)
    assert len(varied) == COUNT
    for number in range(COUNT):
        samples, ingredients = sounds[number]
        assert samples.shape == (SPEC.window_frames,)
        assert varied.made_of[number] == ingredients
        power = mel_power(samples[None], SPEC)[0].T
        kept_db, db = (10 * np.log10(np.maximum(values, 1e-10)) for values in (varied.mel(number), power))
        assert np.abs(kept_db - db).max() < 0.04, "half precision of -100 to 30 dB"
        # The teacher scores the first and the last 3 of 5 s.
        stream = WindowStream(SPEC.rate_hz, model.manifest, hop_s=2.0)
        windows = list(windows_of([AudioBlock(samples, 0, SPEC.rate_hz)], stream))[:2]
        assert [window.start_frame / 24000 for window in windows] == [0.0, 2.0]
        assert all(window.valid_frames == 72000 for window in windows)
        expected = model.embed(np.stack([window.samples for window in windows]))
        np.testing.assert_allclose(varied.embedding(number), expected.mean(axis=0), atol=2e-3)


def test_images_of_what_is_kept_are_the_front_end_s(folder: Path, settings: Settings) -> None:
    from birdwatch.checkpoint.frontend import images_of

    varied, sounds = opened(folder, settings), sounds_of(settings)
    import torch

    for number in range(COUNT):
        image = images_of(torch.from_numpy(varied.mel(number).T[None].copy()), SPEC)[0].numpy()
        np.testing.assert_allclose(image, log_mel(sounds[number][0][None], SPEC)[0], atol=1e-3)


def test_targets_are_the_teacher_s_with_the_odds_of_what_is_sung_as_it_was(
    folder: Path, settings: Settings, teacher_model: Path
) -> None:
    varied, sounds, model = opened(folder, settings), sounds_of(settings), load_model(teacher_model)
    natural = 0
    for number in range(COUNT):
        samples, ingredients = sounds[number]
        stream = WindowStream(SPEC.rate_hz, model.manifest, hop_s=2.0)
        windows = list(windows_of([AudioBlock(samples, 0, SPEC.rate_hz)], stream))[:2]
        expected = model.score(np.stack([window.samples for window in windows])).max(axis=0)
        for item in ingredients:
            assert item.natural == (item.speed == 1.0) or not item.natural
        for code in {item.label for item in ingredients if item.natural}:
            p = expected[CODES.index(code)]
            expected[CODES.index(code)] = LABEL_ODDS * p / (LABEL_ODDS * p + 1 - p)
            natural += 1
        np.testing.assert_allclose(varied.target(number), expected, atol=0.03)
    assert natural > 0


def test_an_interrupted_run_goes_on_to_the_same_bytes(folder: Path, settings: Settings, teacher_model: Path) -> None:
    before = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert list(before) == [
        *(f"000{part}.{kind}" for part in range(3) for kind in ("embedding.npy", "json", "mel.npy")),
        "varied.json",
    ]
    (folder / "0001.json").unlink()  # killed between the arrays and the note
    with pytest.raises(ConfigError, match="holds 1 of 3 parts"):
        opened(folder, settings)
    assert vary(settings, str(teacher_model), COUNT, folder, Variations(), say=print, quiet=True) == PART
    assert {path.name: path.read_bytes() for path in sorted(folder.iterdir())} == before
    with pytest.raises(ConfigError, match="was made with sounds 8, not 9"):
        vary(settings, str(teacher_model), 9, folder, Variations(), say=print, quiet=True)


def test_sounds_follow_the_species_whatever_a_run_takes_its_windows_from(
    folder: Path, settings: Settings, teacher_model: Path, tmp_path: Path
) -> None:
    # The default takes the centre of each recording, and its cache holds nothing else.
    centre = replace(settings, clip="center", cache=str(tmp_path / "mels"))
    vary(centre, str(teacher_model), PART, tmp_path / "centre", Variations(), say=print, quiet=True)
    assert (tmp_path / "centre/0000.json").read_bytes() == (folder / "0000.json").read_bytes()
    assert (tmp_path / "centre/0000.mel.npy").read_bytes() == (folder / "0000.mel.npy").read_bytes()


def test_a_fold_that_all_sounds_are_kept_from_is_refused(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Varied, "without", lambda self, filenames: np.array([], int))
    with pytest.raises(ConfigError, match=f"fold 0: each of the {COUNT} synthetic mixtures has a held-out recording"):
        fit(replace(settings, varied=str(folder)), resume=False, say=print, quiet=True)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_without_room_for_both_is_refused(folder: Path, settings: Settings, share: float) -> None:
    with pytest.raises(ConfigError, match=f"varied_share is {share}, expected above 0 and below 1"):
        replace(settings, varied=str(folder), varied_share=share)


def test_training_learns_from_them_and_goes_on_to_the_same_weights(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    settings = replace(settings, varied=str(folder), varied_share=0.5, epochs=2)
    lines: list[str] = []
    data = gather(settings, SPEC, say=lines.append, quiet=True)
    assert f"{COUNT} synthetic mixtures with scores of the teacher" in lines
    assert data.varied is not None
    assert data.soft_labels != gather(replace(settings, varied=""), SPEC, say=print, quiet=True).soft_labels
    fit(settings, resume=False, say=lines.append, quiet=True)
    with (tmp_path / "run/folds.csv").open(newline="") as stream:
        held_out = frozenset(row["filename"] for row in csv.DictReader(stream) if row["fold"] == "0")
    left = len(data.varied.without(held_out))
    assert f"fold 0: uses {left} of the synthetic mixtures; the others have held-out recordings" in lines
    import torch

    whole = torch.load(tmp_path / "run/fold0/best.pt", weights_only=True)["state_dict"]
    again = replace(settings, out=str(tmp_path / "again"))

    class StoppedError(Exception):
        pass

    def stop_after_first(line: str) -> None:
        if "epoch 2/2" in line:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(again, resume=False, say=stop_after_first, quiet=True)
    fit(again, resume=True, say=print, quiet=True)
    resumed = torch.load(tmp_path / "again/fold0/best.pt", weights_only=True)["state_dict"]
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_the_commands_make_sounds_and_learn_from_them(
    birds: Path, mels: Path, taught: Path, teacher_model: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    config = tmp_path / "a.toml"
    config.write_text(
        'clip = "labelled"\narch = "test_efficientnet"\ninput_pool = 4\ninput_pool_time = 2\n'
        'epochs = 1\nworkers = 0\nthreads = 1\ndevice = "cpu"\nfolds = 3\n'
    )
    given = ("--config", config, "--data", birds / "train.csv", "--audio-root", birds / "train_audio", "--cache", mels)
    given = (*given, "--taxonomy", birds / "taxonomy.csv", "--soft-labels", taught / "soft.csv")
    assert command(monkeypatch, "vary", *given, "--model", teacher_model, "--count", 3, "--out", tmp_path / "v") == 0
    assert f"{tmp_path / 'v'}: 3 sounds, 3 of them made now" in capsys.readouterr().out
    learnt = ("--teacher", taught / "teacher.npz", "--varied", tmp_path / "v", "--out", tmp_path / "run")
    assert command(monkeypatch, "fit", *given, *learnt, "--fold", "none") == 0
    assert "full: uses 3 of the synthetic mixtures" in capsys.readouterr().out
    assert read_checkpoint(tmp_path / "run/full/best.pt").model.pool == (4, 2)
    assert command(monkeypatch, "fit", *given, "--varied", tmp_path / "v", "--out", tmp_path / "other") == 1
    assert "varied needs the teacher's embeddings: give --teacher" in capsys.readouterr().err


def test_sounds_of_other_recordings_are_refused(folder: Path, settings: Settings, birds: Path, tmp_path: Path) -> None:
    with (birds / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    used = {item.filename for sound in opened(folder, settings).made_of for item in sound}
    with (tmp_path / "fewer.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row in rows if row["filename"] != min(used))
    with pytest.raises(ConfigError, match=f"made of other recordings, such as {min(used)}"):
        gather(replace(settings, varied=str(folder), data=str(tmp_path / "fewer.csv")), SPEC, say=print, quiet=True)
    with pytest.raises(ConfigError, match="no varied sounds in"):
        gather(replace(settings, varied=str(tmp_path / "none")), SPEC, say=print, quiet=True)
    with pytest.raises(ConfigError, match="give --teacher"):
        replace(settings, varied=str(folder), teacher="")


def test_a_draw_of_a_varied_sound_is_left_as_the_teacher_scored_it(folder: Path, settings: Settings) -> None:
    import torch

    from birdwatch.checkpoint.frontend import images_of
    from train.batches import network_input

    settings = replace(
        settings,
        varied=str(folder),
        background_prob=1.0,
        mixup_on="power",
        mixup_prob=1.0,
        equaliser_prob=1.0,
        noise_floor_prob=1.0,
        low_pass_prob=1.0,
        high_pass_prob=1.0,
        mel_shift_prob=1.0,
        padding_prob=1.0,
        aug_prob=0.0,
    )
    data = gather(settings, SPEC, say=print, quiet=True)
    loader = Windows(
        data.sources,
        SPEC,
        3,
        settings=settings,
        fold=0,
        backgrounds=data.backgrounds,
        teacher=data.teacher,
        varied=data.varied,
    )
    loaded = [loader[draw] for draw in (Draw(0, 0, VARIED, 4), Draw(0, 1, 0, None), Draw(0, 2, VARIED, 2))]
    batch = {name: torch.stack([one[name] for one in loaded]) for name in loaded[0]}
    assert batch["varied"].tolist() == [True, False, True]
    shown = network_input(batch, settings, SPEC, np.random.default_rng(0))
    plain = images_of(batch["mel"].transpose(1, 2), SPEC)
    for row in (0, 2):
        assert torch.equal(shown.images[row], plain[row])
        assert torch.equal(shown.targets[row], batch["target"][row])
        assert shown.embedding_weights is not None
        assert shown.embedding_weights[row] == 1.0
    assert not torch.equal(shown.images[1], plain[1])


def test_a_teacher_without_embeddings_is_refused(settings: Settings, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no embeddings to learn"):
        vary(settings, str(tiny_model), 1, tmp_path / "v", Variations(), say=print, quiet=True)
    none = replace(settings, soft_labels="", teacher="", clip="random")
    with pytest.raises(ConfigError, match="give --soft-labels"):
        vary(none, str(tiny_model), 1, tmp_path / "v", Variations(), say=print, quiet=True)
