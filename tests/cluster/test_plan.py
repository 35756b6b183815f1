"""A plan comes back as it was written, whatever the request, and another one is not overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from birdwatch.audio.continuation import Place
from birdwatch.batch.jobs import Job, Section
from birdwatch.batch.request import RunRequest
from birdwatch.cluster.plan import read_plan, write_plan
from birdwatch.cluster.sections import Cutting
from birdwatch.config.schema import ClassRules, Settings
from birdwatch.errors import ConfigError
from birdwatch.scores.blending import Blending
from birdwatch.tables.formats import Output

JOBS = [
    Job("a", Path("/s/a.wav"), None, 10, 20, 3.5, 1_700_000_000_000_000_000, warning="late"),
    Job("b", Path("/s/\udcff.wav"), 1, 10, 20, 0.0, None, fault="is empty"),
    Job(
        "c",
        Path("/s/c.flac"),
        None,
        1,
        2,
        60.0,
        place=Place("x", 0),
        end_frame=9,
        rest=(Job("d", Path("/s/d.flac"), None, 3, 4),),
    ),
    Job("e", Path("/s/e.wav"), None, 10, 20, 3.5, rate_hz=8000, exact_frames=28000),
    Job("f", Path("/s/f.wav"), None, 10, 20, 3.5, rate_hz=44100, exact_frames=154350),
]
# Sections of a second at 320 Hz.
CUTTING = Cutting(320, 320, (8000,))


@pytest.fixture
def request_(tmp_path: Path, tiny_model: Path) -> RunRequest:
    return RunRequest(
        recordings=("/s",),
        outputs=(Output(tmp_path / "out.csv", "detections"), Output(tmp_path / "k.csv", "kaggle")),
        settings=Settings(
            model=tiny_model, hop=1.0, threshold=0.25, lat=47.0, lon=9.0, class_={"eurbla": ClassRules(threshold=0.5)}
        ),
        min_score=0.1,
        channel="each",
        include=("*.wav",),
        blending=Blending(kernel=(0.2, 0.6, 0.2), overlap="mean"),
        jobs=3,
    )


def test_a_plan_comes_back(tmp_path: Path, request_: RunRequest) -> None:
    written = write_plan(tmp_path / "store", request_, {"hop_s": 1.0}, JOBS, CUTTING)
    found = read_plan(tmp_path / "store")
    assert list(found.jobs) == JOBS
    assert list(found.units) == list(written.units)
    assert found.cutting == CUTTING
    assert list(found.parts) == list(written.parts) == [found.parts[number] for number in range(len(found.parts))]
    sections = [Section(0, 320), Section(320, 640), Section(640, None)]
    assert [part.section for part in found.parts] == [None, None, None, *sections, None]
    assert sorted(number for unit in found.units for number in unit) == list(range(7))
    assert found.parameters == {"hop_s": 1.0}
    assert found.request == replace(request_, recordings=())
    assert write_plan(tmp_path / "store", request_, {"hop_s": 1.0}, JOBS, CUTTING) == written


def test_paths_become_absolute(tmp_path: Path, request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request_ = replace(request_, outputs=(Output(Path("out.csv"), "detections"),), template=Path("t.csv"))
    found = write_plan(tmp_path / "store", request_, {}, JOBS, CUTTING).request
    assert found.outputs[0].path == tmp_path / "out.csv"
    assert found.template == tmp_path / "t.csv"


def test_another_plan_is_not_overwritten(tmp_path: Path, request_: RunRequest) -> None:
    write_plan(tmp_path / "store", request_, {}, JOBS, CUTTING)
    with pytest.raises(ConfigError, match="the plan of another run"):
        write_plan(tmp_path / "store", request_, {}, JOBS[:1], CUTTING)
    with pytest.raises(ConfigError, match="the plan of another run"):
        write_plan(tmp_path / "store", replace(request_, min_score=0.2), {}, JOBS, CUTTING)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("plan.json", None, "holds no plan"),
        ("plan.json", "{", "cannot be read"),
        ("plan.json", '{"schema": 99}', "another version"),
        ("plan.json", '{"schema": 1}', "another version"),
        ("recordings/0.jsonl", '{"units": [0]}\n', "cannot be read"),
        ("recordings/0.jsonl", "", "0 of 5 recordings"),
    ],
)
def test_what_is_no_plan_is_said(
    tmp_path: Path, request_: RunRequest, name: str, text: str | None, reason: str
) -> None:
    store = tmp_path / "store"
    write_plan(store, request_, {}, JOBS, CUTTING)
    (store / name).unlink() if text is None else (store / name).write_text(text)
    with pytest.raises(ConfigError, match=reason):
        list(read_plan(store).jobs)
