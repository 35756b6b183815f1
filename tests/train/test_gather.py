import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from birdwatch.errors import ConfigError, SourceError
from birdwatch.model.frontend import FrontendSpec
from train.cache import MelCache
from train.dataset import read_table
from train.gather import gather
from train.prepare import prepare, read_audio
from train.settings import Settings

SPEC = FrontendSpec()


def test_prepare_makes_each_array_once_and_goes_on_where_it_was(birds: Path, tmp_path: Path) -> None:
    cache = MelCache.open(tmp_path / "mels", SPEC, centre=False)
    recordings = read_table(birds / "train.csv", birds / "train_audio")
    arrays, faults = prepare(cache, recordings[:4], workers=2, quiet=True)
    assert faults == []
    times = [array.stat().st_mtime_ns for array in arrays]
    arrays, faults = prepare(cache, recordings, workers=2, quiet=True)
    assert faults == []
    assert [array.stat().st_mtime_ns for array in arrays[:4]] == times, "what was there is not made again"
    assert all(array.is_file() for array in arrays)
    assert not list((tmp_path / "mels").rglob("*.part"))


def test_audio_is_read_mono_at_the_models_rate(birds: Path, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    t = np.arange(44100) / 44100
    stereo = np.stack([0.4 * np.sin(2 * np.pi * 1000 * t), 0 * t], axis=1).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", stereo, 44100)
    samples = read_audio(tmp_path / "a.flac", 32000)
    assert samples.dtype == np.float32
    assert abs(len(samples) - 32000) <= 1
    assert np.abs(samples[8000:24000]).max() == pytest.approx(0.2, abs=2e-3)


@pytest.fixture
def damaged(birds: Path, quick: Settings, tmp_path: Path) -> Settings:
    """The data set with a missing, an empty and a faked recording."""
    root = tmp_path / "damaged"
    shutil.copytree(birds, root)
    (root / "train_audio/lowbird/XC01.wav").unlink()
    (root / "train_audio/midbird/XC12.wav").write_bytes(b"")
    (root / "train_audio/highbird/XC23.wav").write_text("This is not audio.")
    return replace(quick, data=str(root / "train.csv"), audio_root=str(root / "train_audio"))


def test_missing_and_broken_recordings_are_all_listed_before_training(damaged: Settings) -> None:
    with pytest.raises(SourceError) as caught:
        gather(damaged, SPEC, say=print, quiet=True)
    message = str(caught.value)
    assert "3 of 18 recordings cannot be used" in message
    for name in ("lowbird/XC01.wav", "midbird/XC12.wav", "highbird/XC23.wav", "--skip-broken"):
        assert name in message


def test_broken_recordings_can_be_left_out(damaged: Settings) -> None:
    lines: list[str] = []
    data = gather(replace(damaged, skip_broken=True), SPEC, say=lines.append, quiet=True)
    assert len(data.recordings) == len(data.sources) == 15
    assert any("left out, 3 recordings" in line and "XC23.wav" in line for line in lines)


def test_all_that_the_settings_name_is_gathered(birds: Path, quick: Settings, tmp_path: Path) -> None:
    (tmp_path / "extra.csv").write_text("primary_label,filename\ncrow,crow.wav\n")
    (tmp_path / "soft.csv").write_text(
        "filename,start_s,end_s,label,score\n"
        "lowbird/XC00.wav,0,3,lowbird,0.9\nlowbird/XC00.wav,0,3,crow,0.9\ncrow.wav,0,3,midbird,0.4\n"
    )
    (tmp_path / "pseudo.csv").write_text("filename,start_s,end_s,label,score\nrain0.wav,0,5,highbird,0.6\n")
    settings = replace(
        quick,
        extra_data=str(tmp_path / "extra.csv"),
        extra_root=str(birds / "other"),
        negatives=str(birds / "other"),
        background=str(birds / "background"),
        soft_labels=str(tmp_path / "soft.csv"),
        pseudo=str(tmp_path / "pseudo.csv"),
        pseudo_root=str(birds / "background"),
    )
    lines: list[str] = []
    data = gather(settings, SPEC, say=lines.append, quiet=True)
    assert data.codes == ("lowbird", "midbird", "highbird")
    assert len(data.recordings) == 18
    assert [item.labels for item in data.sources[18:]] == [(), ()], "a label outside the classes is a negative"
    assert data.sources[18].spans is not None, "but soft labels say what is in it"
    assert data.sources[0].labels == (0, 2)
    assert data.sources[0].spans is not None
    assert data.sources[1].spans is None
    assert [item.filename for item in data.backgrounds] == ["rain0.wav", "rain1.wav"]
    assert [item.filename for item in data.pseudo] == ["rain0.wav"]
    assert any("1 rows name labels outside" in line for line in lines)
    assert any("soft labels for 1 of 18" in line for line in lines)


def test_secondary_labels_are_used_masked_or_ignored(quick: Settings) -> None:
    found = {
        kind: gather(replace(quick, secondary=kind), SPEC, say=print, quiet=True).sources[0]
        for kind in ("used", "masked", "ignored")
    }
    assert (found["used"].labels, found["used"].masked) == ((0, 2), ())
    assert (found["masked"].labels, found["masked"].masked) == ((0,), (2,))
    assert (found["ignored"].labels, found["ignored"].masked) == ((0,), ())


def test_the_fingerprint_is_the_datas(birds: Path, quick: Settings, tmp_path: Path) -> None:
    before = gather(quick, SPEC, say=print, quiet=True).fingerprint
    assert gather(quick, SPEC, say=print, quiet=True).fingerprint == before
    text = (birds / "train.csv").read_text().replace("recordist 00", "somebody else")
    (tmp_path / "train.csv").write_text(text)
    assert gather(replace(quick, data=str(tmp_path / "train.csv")), SPEC, say=print, quiet=True).fingerprint != before


def test_a_folder_of_classes_needs_no_table(quick: Settings) -> None:
    data = gather(replace(quick, data="", taxonomy=""), SPEC, say=print, quiet=True)
    assert data.codes == ("highbird", "lowbird", "midbird")
    assert len(data.recordings) == 18


def test_what_is_missing_is_asked_for(quick: Settings) -> None:
    with pytest.raises(ConfigError, match="--audio-root"):
        gather(replace(quick, audio_root=""), SPEC, say=print)
    with pytest.raises(ConfigError, match="--cache"):
        gather(replace(quick, cache=""), SPEC, say=print)
