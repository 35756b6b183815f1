"""`birdwatch model add-silero`: the voice activity network that `privacy` needs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from birdwatch.convert.silero import PROJECT, read_network
from birdwatch.convert.wheels import fetch_wheel
from birdwatch.model.registry import write_model
from birdwatch.model.voice_activity import VoiceActivity, voice_model_path

__all__ = ["model_add_silero"]


@click.command("add-silero")
@click.option("--wheel", type=click.Path(path_type=Path), help="A local wheel of silero-vad. [default: from PyPI]")
def model_add_silero(wheel: Path | None) -> None:
    """Download Silero's voice activity network (MIT, 1.2 MB) from PyPI, for the setting `privacy`."""
    with tempfile.TemporaryDirectory(prefix="birdwatch-") as folder:
        data = read_network(wheel or fetch_wheel(PROJECT, Path(folder)))
        beside = Path(folder) / "silero.onnx"
        beside.write_bytes(data)
        # Fails here, not when the station starts.
        VoiceActivity(beside)
    write_model(voice_model_path(), data)
    click.echo(f"{voice_model_path()}: set privacy to drop-audio or drop-all", err=True)
