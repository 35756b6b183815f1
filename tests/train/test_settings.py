from pathlib import Path

import pytest

from birdwatch.errors import ConfigError
from train.settings import Settings, read_toml, to_toml


def test_the_defaults_are_the_published_recipe() -> None:
    settings = Settings()
    assert (settings.arch, settings.epochs, settings.batch_size) == ("efficientnet_b0", 10, 32)
    assert (settings.lr, settings.min_lr, settings.weight_decay) == (5e-4, 1e-6, 1e-5)
    assert (settings.aug_prob, settings.mixup_alpha, settings.schedule) == (0.5, 0.5, "epoch")
    assert (settings.clip, settings.input_pool, settings.folds, settings.ema) == ("center", 1, 5, 0.0)


def test_toml_holds_every_setting(tmp_path: Path) -> None:
    settings = Settings(name='Vögel "im" Wald\\', lr=1e-3, fold="all", compile=True, soft_labels="a b.csv")
    (tmp_path / "a.toml").write_text(to_toml(settings), "utf-8")
    assert Settings(**read_toml(tmp_path / "a.toml")) == settings


def test_whole_numbers_serve_where_fractions_are_expected(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("ema = 0\nlr = 1\n")
    assert read_toml(tmp_path / "a.toml") == {"ema": 0.0, "lr": 1.0}


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('epoch = 3\nbatch_size = "big"\nresume = true\namp = 1\n')
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path / "a.toml")
    for part in ("'epoch'", "'resume'", "batch_size is 'big', expected int", "amp is 1, expected bool"):
        assert part in str(caught.value)
    (tmp_path / "a.toml").write_text("epochs = \n")
    with pytest.raises(ConfigError, match="is not TOML"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="no settings file"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clip": "middle"}, "clip is 'middle', expected one of center, random"),
        ({"mixup_prob": 1.5}, "mixup_prob is 1.5, expected 0 to 1"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"fold": "7"}, "fold is '7', expected one of all, none, 0, 1, 2, 3, 4"),
        ({"folds": 1}, "at least 2"),
        ({"clip": "labelled"}, "give --soft-labels"),
        ({"pseudo": "p.csv"}, "belong together"),
        ({"extra_data": "e.csv"}, "needs extra_root"),
        ({"negative_share": 0.6, "noise_share": 0.5}, "must leave room"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(**values)  # type: ignore[arg-type]
