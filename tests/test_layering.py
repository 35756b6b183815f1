"""Who may import whom, read from the source: the core is pure and each library of the outside world has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The rooms of birdwatch/, lowest first: a module may import from rooms on lower floors and from its own room.
FLOORS: list[set[str]] = [
    {"_version", "errors"},
    {"process", "paths"},
    {"atomic_write", "file_lock", "extras", "standard_streams", "whole_file", "wording"},
    {"audio"},
    {"model"},
    {"scores"},
    {"config"},
    {"tables", "messaging", "service"},
    {"evaluation"},
    {"live", "batch", "report", "convert", "checkpoint"},
    {"api"},
    {"hub", "cluster"},
    {"bench"},
    {"cli"},
    {"__init__", "__main__"},
]
# Rooms that are planned and may be missing; all others must exist.
OPTIONAL: set[str] = set()

# Library -> the only modules of birdwatch that import it.
DOORS = {
    "onnxruntime": {"birdwatch/model/session.py"},
    "openvino": {"birdwatch/model/openvino_network.py"},
    "soundfile": {
        "birdwatch/audio/sndfile.py",
        "birdwatch/audio/encode.py",
        "birdwatch/live/clips.py",
        "birdwatch/live/recorder.py",
        "birdwatch/bench/recording.py",
        "birdwatch/bench/stream_audio.py",
    },
    "av": {
        "birdwatch/audio/ffmpeg.py",
        "birdwatch/audio/ffmpeg_frames.py",
        "birdwatch/live/stream.py",
        "birdwatch/bench/stream_audio.py",
    },
    "sounddevice": {"birdwatch/live/microphone.py"},
    "soxr": {"birdwatch/audio/resample.py"},
    "astral": {"birdwatch/live/schedule.py"},
    "nacl": {"birdwatch/messaging/curve_handshake.py"},
    "sqlite3": {
        "birdwatch/messaging/message_log.py",
        "birdwatch/messaging/message_pages.py",
        "birdwatch/batch/run_database.py",
        "birdwatch/batch/temporary_database.py",
        "birdwatch/hub/foreign.py",
        "birdwatch/hub/store.py",
    },
    "fsspec": {"birdwatch/batch/locations.py"},
    "distributed": {"birdwatch/cluster/dask_engine.py"},
    "dask": {"birdwatch/cluster/dask_engine.py"},
    "alembic": {
        "birdwatch/hub/store.py",
        "birdwatch/hub/migrations/env.py",
        "birdwatch/hub/migrations/versions/0001_first.py",
        "birdwatch/hub/migrations/versions/0002_covering.py",
    },
    "argon2": {"birdwatch/hub/access.py"},
    "uvicorn": {"birdwatch/hub/server.py"},
    "zmq": {f"birdwatch/messaging/{name}.py" for name in ("replay", "subscriber", "curve")},
}
# What training and export share. No other room imports it, so torch stays out of the daemon.
FOR_TRAINING = "checkpoint"
# What the daemon never loads; only converting other projects' models on request does.
NEVER = {"torch", "timm", "onnx", "pandas", "matplotlib", "librosa", "cv2", "sklearn", "train", "export"}
# Modules that take values and return values: no clock, thread, socket or file.
PURE = [
    *(
        f"audio/{name}"
        for name in (
            "types",
            "finite",
            "conditioning",
            "resample",
            "restart",
            "kaiser_fast",
            "ring",
            "windows",
            "levels",
        )
    ),
    *(
        f"model/{name}"
        for name in ("activation", "types", "frontend", "frontend_spec", "mel_spectrum", "manifest", "manifest_faults")
    ),
    *(
        f"scores/{name}"
        for name in ("types", "accounting", "aggregation", "blending", "events", "policy", "recordings", "rows")
    ),
    *(f"messaging/{name}" for name in ("messages", "station_status", "zmtp", "broadcast")),
    *(
        f"live/{name}"
        for name in (
            "listener",
            "results",
            "scorer",
            "frame_numbering",
            "clock_sync",
            "connection",
            "station",
            "scheduler",
        )
    ),
]
WORLD = {"os", "threading", "time", "socket", "subprocess", "pathlib", "zmq", "soundfile", "sounddevice", "onnxruntime"}


def room_of(name: str) -> str:
    """The room of a dotted name: `birdwatch.audio.ring` is in `audio`, `birdwatch` itself in `__init__`."""
    return name.split(".")[1] if "." in name else "__init__"


def floor_of(room: str) -> int:
    (floor,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return floor


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("library", DOORS)
def test_each_library_of_the_outside_world_has_one_door(library):
    users = {str(path.relative_to(ROOT)) for path in sources("birdwatch") if library in roots(path)}
    assert users <= DOORS[library]


@pytest.mark.slow
def test_the_daemon_imports_nothing_of_training():
    for path in sources("birdwatch"):
        if "convert" not in path.parts and FOR_TRAINING not in path.parts:
            assert not roots(path) & NEVER, path


def test_only_training_and_export_import_checkpoints():
    for path in sources("birdwatch"):
        others = {name for name in imports(path) if name.startswith(f"birdwatch.{FOR_TRAINING}")}
        assert FOR_TRAINING in path.parts or not others, path


def test_training_and_export_do_not_know_each_other():
    for one, other in (("train", "export"), ("export", "train")):
        for path in sources(one):
            assert not roots(path) & {other, f"birdwatch_{other}"}, path


@pytest.mark.parametrize("name", PURE)
def test_the_core_touches_no_clock_thread_socket_or_file(name):
    assert not roots(ROOT / "birdwatch" / f"{name}.py") & WORLD


def test_every_room_has_a_floor_and_is_there():
    found = {path.name.removesuffix(".py") for path in (ROOT / "birdwatch").glob("*.py")}
    found |= {path.parent.name for path in (ROOT / "birdwatch").glob("*/__init__.py")}
    assert found | OPTIONAL == set().union(*FLOORS)


def test_every_room_says_in_a_sentence_what_it_owns():
    for path in (ROOT / "birdwatch").glob("*/__init__.py"):
        assert (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].endswith("."), path


def test_rooms_import_only_lower_floors():
    wrong = []
    for path in sources("birdwatch"):
        room = path.relative_to(ROOT / "birdwatch").parts[0].removesuffix(".py")
        for name in imports(path):
            # `from birdwatch import x` is looked at as birdwatch.x.
            if not name.startswith("birdwatch.") or name == "birdwatch._version.__version__":
                continue
            other = room_of(name)
            if other != room and floor_of(other) >= floor_of(room):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


@pytest.mark.parametrize("library", DOORS)
def test_the_door_of_a_library_is_there(library):
    for door in DOORS[library]:
        assert library in roots(ROOT / door), f"{door} no longer imports {library}: shorten the list"


@pytest.mark.slow
def test_every_public_name_exists():
    for path in sources("birdwatch"):
        tree = ast.parse(path.read_text())
        listed = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
        ]
        if not listed or path.name == "__init__.py":
            continue
        defined = {
            node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for node in tree.body:
            if isinstance(node, ast.Assign):
                defined |= {t.id for t in node.targets if isinstance(t, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                defined.add(node.target.id)
            elif isinstance(node, ast.ImportFrom):
                defined |= {alias.asname or alias.name for alias in node.names}
        assert set(listed[0]) <= defined, path
        assert listed[0] == sorted(listed[0], key=lambda n: (not n.isupper(), not n[0].isupper(), n)), path


def loaded_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(out.stdout.split())


def test_importing_birdwatch_loads_nothing_heavy():
    heavy = {"numpy", "scipy", "onnxruntime", "soundfile", "soxr", "rich", "zmq", "click", "sounddevice"}
    assert not loaded_by("import birdwatch") & heavy


def test_help_loads_no_command():
    code = "from birdwatch.cli.main import birdwatch\ntry:\n birdwatch(['--help'])\nexcept SystemExit: pass"
    assert not loaded_by(code) & {"numpy", "scipy", "onnxruntime", "soundfile", "soxr", "zmq", "sounddevice"}


def test_scoring_and_listening_load_no_scipy():
    # A quarter of the time that a short run takes would go into importing it.
    code = (
        "import numpy as np, birdwatch.cli.run, birdwatch.cli.listen, birdwatch.live.daemon\n"
        "from birdwatch.model.builtin import built_in_model\n"
        "from birdwatch.model.classifier import OnnxClassifier\n"
        "OnnxClassifier(built_in_model(), provider='cpu').score(np.ones((1, 160000), np.float32))"
    )
    assert "scipy" not in loaded_by(code)


def test_running_loads_nothing_of_training():
    loaded = loaded_by("import birdwatch.cli.run, birdwatch.api")
    assert "onnxruntime" in loaded
    assert not loaded & (NEVER - {"train", "export"})
