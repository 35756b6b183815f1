import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fold_run import run

import train.step as step
from birdwatch.checkpoint.file import load_tensors, read_checkpoint
from birdwatch.errors import ConfigError, SinkError
from train.run import fit
from train.settings import Settings, to_toml

ROOT = Path(__file__).parents[2]


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def lasting(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """The metrics of each epoch, but for those of the clock."""
    return [{k: v for k, v in row.items() if k not in ("windows_per_s", "waiting_share")} for row in history]


def test_mixup_runs_in_the_loop_and_the_loss_sees_the_mixed_targets(quick: Settings, monkeypatch) -> None:
    seen: dict[str, list[torch.Tensor]] = {"made": [], "shown": [], "judged": [], "targets": []}
    made, pooled, loss = step.network_input, step.pool_input, step.classification_loss

    def network_input(*args: Any) -> Any:
        shown = made(*args)
        seen["made"].append(shown.images)
        seen["targets"].append(shown.targets)
        return shown

    def pool_input(images: torch.Tensor, pool: tuple[int, int]) -> torch.Tensor:
        seen["shown"].append(images)
        return pooled(images, pool)

    def classification_loss(logits: Any, targets: torch.Tensor, weights: torch.Tensor, settings: Settings) -> Any:
        seen["judged"].append(targets)
        return loss(logits, targets, weights, settings)

    monkeypatch.setattr(step, "network_input", network_input)
    monkeypatch.setattr(step, "pool_input", pool_input)
    monkeypatch.setattr(step, "classification_loss", classification_loss)
    # Single labels, so that a target between 0 and 1 can only come from a mixture.
    run(replace(quick, epochs=1, secondary="ignored"))
    assert len(seen["made"]) == 2
    assert all(a is b for a, b in zip(seen["made"], seen["shown"], strict=True)), "the network is shown the mixture"
    assert all(a is b for a, b in zip(seen["targets"], seen["judged"], strict=True)), "and judged by its targets"
    mixed = torch.cat(seen["judged"])
    assert ((mixed > 0) & (mixed < 1)).any()
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(len(mixed)))
    seen["judged"].clear()
    run(replace(quick, epochs=1, secondary="ignored", mixup_prob=0.0, out=quick.out + "2"))
    assert set(torch.cat(seen["judged"]).flatten().tolist()) == {0.0, 1.0}


def test_the_same_settings_give_the_same_losses_to_the_last_digit(quick: Settings, birds: Path) -> None:
    rich = replace(
        quick,
        background=str(birds / "background"),
        negatives=str(birds / "other"),
        noise_share=0.1,
        mixup_on="power",
        noise_floor_prob=0.5,
        equaliser_prob=0.5,
        drop_path_rate=0.2,
        ema=0.9,
    )
    first = load_tensors(run(rich) / "last.pt")
    second = load_tensors(run(replace(rich, out=rich.out + "2")) / "last.pt")
    assert lasting(first["history"]) == lasting(second["history"])
    assert same(first["network"], second["network"])
    assert same(first["averaged"], second["averaged"])
    other = load_tensors(run(replace(rich, out=rich.out + "3", seed=43, epochs=1)) / "last.pt")
    assert other["history"][0]["loss"] != first["history"][0]["loss"]


def test_a_killed_run_goes_on_to_the_same_weights(quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, epochs=5, ema=0.9, average_last=2)
    whole = run(replace(settings, out=str(tmp_path / "whole")))
    config = tmp_path / "a.toml"
    config.write_text(to_toml(replace(settings, out=str(tmp_path / "killed"), workers=1)), "utf-8")
    state = tmp_path / "killed" / "fold0" / "last.pt"
    with (tmp_path / "log").open("wb") as log:
        victim = subprocess.Popen(
            [sys.executable, "-m", "train", "fit", "--config", str(config)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 300
            while not state.exists() and victim.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            if victim.poll() is None:
                os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
    assert victim.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert len(load_tensors(state)["history"]) < 5, "it was killed on its way"
    lines: list[str] = []
    resumed = run(replace(settings, out=str(tmp_path / "killed")), resume=True, say=lines.append)
    assert any("resumes after epoch" in line for line in lines)
    # The victim loaded with a process of its own, this one without: that makes no difference either.
    for name in ("best.pt", "average.pt"):
        assert same(dict(read_checkpoint(whole / name).state_dict), dict(read_checkpoint(resumed / name).state_dict)), (
            name
        )
    first, second = load_tensors(whole / "last.pt"), load_tensors(resumed / "last.pt")
    assert same(first["network"], second["network"])
    assert lasting(first["history"]) == lasting(second["history"])
    assert len((resumed / "metrics.csv").read_text().splitlines()) == 6


def test_a_run_is_neither_resumed_with_other_settings_nor_overwritten(quick: Settings) -> None:
    run(replace(quick, epochs=1))
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        run(quick)
    with pytest.raises(ConfigError, match=r"lr was 0.0005 and is 0.1"):
        run(replace(quick, epochs=1, lr=0.1), resume=True)
    run(replace(quick, epochs=1, workers=0, cache=quick.cache), resume=True)


def test_a_full_disk_leaves_the_last_epoch_to_go_on_from(quick: Settings, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    folder = Path(quick.out) / "fold0"

    def fill_the_disk(line: str) -> None:
        if "epoch 2/2" in line:
            (folder / ".last.pt.part").symlink_to("/dev/full")

    with pytest.raises(SinkError, match="No space left"):
        run(quick, say=fill_the_disk)
    assert len(load_tensors(folder / "last.pt")["history"]) == 1
    assert read_checkpoint(folder / "best.pt").metrics["epoch"] in (1, 2)
    run(quick, resume=True)
    whole = run(replace(quick, out=str(tmp_path / "whole")))
    assert same(load_tensors(whole / "last.pt")["network"], load_tensors(folder / "last.pt")["network"])


def test_a_loss_that_is_no_number_stops_with_the_batch_that_caused_it(quick: Settings, tmp_path: Path, mels) -> None:
    run(replace(quick, epochs=1))
    own = tmp_path / "mels"
    shutil.copytree(mels, own)
    array = next(own.glob("midbird/XC13.wav.*.npy"))
    np.save(array, np.full_like(np.load(array), np.nan))
    everything = replace(quick, cache=str(own), out=str(tmp_path / "nan"), fold="none", mixup_prob=0.0)
    with pytest.raises(step.TrainingError) as caught:
        run(everything)
    message = str(caught.value)
    assert "the loss is nan in epoch 1, batch" in message
    assert "midbird/XC13.wav (its mel spectrogram is not finite)" in message
    assert message.count("not finite") == 1


def test_the_average_of_the_last_epochs_is_their_mean(quick: Settings) -> None:
    before: dict[str, torch.Tensor] = {}
    folder = Path(quick.out) / "fold0"

    def keep_the_first_epoch(line: str) -> None:
        if "epoch 2/2" in line:
            before.update(load_tensors(folder / "last.pt")["network"])

    run(replace(quick, average_last=2, select="last"), say=keep_the_first_epoch)
    after = load_tensors(folder / "last.pt")["network"]
    assert same(dict(read_checkpoint(folder / "best.pt").state_dict), after), "select last keeps the last epoch"
    average = read_checkpoint(folder / "average.pt").state_dict
    for name, value in average.items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(value, ((before[name].double() + after[name]) / 2).float())
    assert read_checkpoint(folder / "average.pt").metrics["recording_auc"] is not None


def test_an_epochs_line_tells_speed_and_waiting(quick: Settings) -> None:
    lines: list[str] = []
    folder = run(replace(quick, epochs=1), say=lines.append)
    (line,) = [line for line in lines if "epoch 1/1" in line]
    assert "windows/s" in line
    assert "% of the time waiting for data" in line
    (row,) = load_tensors(folder / "last.pt")["history"]
    assert row["windows_per_s"] > 0
    assert 0 < row["waiting_share"] < 1


def test_stopping_early_gives_what_the_whole_run_had_by_then(quick: Settings) -> None:
    whole = replace(quick, epochs=3, schedule="step", average_last=1, out=quick.out + " whole")

    def interrupt(line: str) -> None:
        if "epoch 3/3" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(whole, say=interrupt)
    stopped = run(replace(whole, stop_epoch=2, out=quick.out))
    first, second = load_tensors(Path(whole.out) / "fold0" / "last.pt"), load_tensors(stopped / "last.pt")
    assert same(first["network"], second["network"])
    assert lasting(first["history"]) == lasting(second["history"])
    assert same(dict(read_checkpoint(stopped / "average.pt").state_dict), second["network"])


def test_everything_is_trained_on_without_a_fold(quick: Settings) -> None:
    fit(replace(quick, fold="none", epochs=1), resume=False, say=lambda _: None, quiet=True)
    checkpoint = read_checkpoint(Path(quick.out) / "full" / "best.pt")
    assert checkpoint.config["fold"] == "none"
    assert "recording_auc" not in checkpoint.metrics
    assert [label.common_name for label in checkpoint.manifest.labels] == ["Lowbird", "Midbird", "Highbird"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "test_maxvit"}, "test_maxvit takes no images of 64 x 64 .*choose another --arch"),
        ({"arch": "densenet121"}, "densenet121 has no stochastic depth; give --drop-path-rate 0"),
        ({"arch": "deit_tiny_distilled_patch16_224", "input_pool": 1}, "takes no images of 256 x 256"),
    ],
)
def test_networks_that_cannot_be_trained_so_are_refused_at_once(quick: Settings, changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(replace(quick, **changes))


def test_a_larger_taxonomys_checkpoint_starts_another_head(quick: Settings, birds: Path, tmp_path: Path) -> None:
    """Pretraining on all species, then a competition of two of them."""
    first = fit(replace(quick, fold="none", epochs=1), resume=False, say=lambda _: None, quiet=True)
    (tmp_path / "two.csv").write_text(
        "\n".join(line for line in (birds / "train.csv").read_text("utf-8").splitlines() if "midbird" not in line)
    )
    (tmp_path / "taxonomy.csv").write_text("primary_label\nlowbird\nhighbird\n")
    mine = {"data": str(tmp_path / "two.csv"), "taxonomy": str(tmp_path / "taxonomy.csv"), "out": quick.out + "2"}
    lines: list[str] = []
    run(replace(quick, **mine, epochs=1, lr=1e-12, init=str(first / "full" / "best.pt")), say=lines.append)
    donor, found = (read_checkpoint(path) for path in (first / "full" / "best.pt", Path(mine["out"]) / "fold0/best.pt"))
    assert any("not loaded, new: classifier.weight, classifier.bias" in line for line in lines)
    assert found.state_dict["classifier.weight"].shape[0] == 2
    for name, _ in [(n, v) for n, v in donor.state_dict.items() if "conv" in n and n.endswith("weight")]:
        torch.testing.assert_close(found.state_dict[name], donor.state_dict[name], rtol=0, atol=1e-6)
