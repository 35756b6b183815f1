"""Finds the audio of a detection, and makes a spectrogram and a sound of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from birdwatch.audio.file import AudioFile
from birdwatch.errors import DecodeError
from birdwatch.report.clip import encode_clip
from birdwatch.report.picture import spectrogram_png
from birdwatch.tables.rows import DetectionRow

__all__ = ["BAND_HZ", "Recordings"]

# What a picture spans; birds that sing above are few, and a taller band makes the others small.
BAND_HZ = (0.0, 12000.0)


class Recordings:
    """Finds the recording of a detection: among `recordings` (name -> file), else where the table says."""

    def __init__(self, recordings: Mapping[str, Path]) -> None:
        self.by_name = recordings
        self.by_file: dict[str, list[Path]] = defaultdict(list)
        for path in recordings.values():
            self.by_file[path.name].append(path)

    def path_of(self, row: DetectionRow) -> Path | None:
        """The file, or None. One that has moved is known by its name, or by its file's where only one has it."""
        name = row.recording if row.channel is None else row.recording.removesuffix(f"_ch{row.channel}")
        same = self.by_file.get(Path(row.path).name, [])
        if name in self.by_name and self.by_name[name].name == Path(row.path).name:
            return self.by_name[name]
        if len(same) == 1:
            return same[0]
        path = Path(row.path)
        return path if path.exists() else None

    def moment(self, row: DetectionRow) -> tuple[bytes | None, tuple[str, bytes] | None]:
        """A moment's picture and sound, or two times None."""
        path = self.path_of(row)
        if path is None:
            return None, None
        try:
            audio = AudioFile(path, channel=row.channel)
            samples = audio.read(row.start_s, row.end_s)
        except DecodeError:
            return None, None
        if not len(samples):
            return None, None
        low_hz, high_hz = BAND_HZ
        png = spectrogram_png(samples, audio.rate_hz, low_hz=low_hz, high_hz=high_hz)
        return png, encode_clip(samples, audio.rate_hz)
