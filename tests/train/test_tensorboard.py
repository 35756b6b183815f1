from __future__ import annotations

from pathlib import Path

import pytest

import train.tensorboard as module
from birdwatch.errors import ConfigError


def test_without_the_package_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '.*\[tensorboard\]'"):
        module.require_tensorboard()


# What tensorboard imports warns of itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_epochs_metrics_are_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch, loss in ((1, 0.5), (2, 0.25)):
        module.log_epoch(tmp_path, {"epoch": epoch, "loss": loss, "recording_auc": None})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
