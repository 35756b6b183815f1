"""Who may import whom, read from the source: the core is pure and each library of the outside world has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Library -> the only modules of birdwatch that import it.
DOORS = {
    "onnxruntime": {"birdwatch/model/session.py"},
    "soundfile": {"birdwatch/audio/file.py", "birdwatch/live/clips.py", "birdwatch/bench/recording.py"},
    "sounddevice": {"birdwatch/live/microphone.py"},
    "soxr": {"birdwatch/audio/resample.py"},
    "sqlite3": {"birdwatch/messaging/message_log.py", "birdwatch/batch/run_database.py"},
    "zmq": {f"birdwatch/sinks/{name}.py" for name in ("publisher", "replay", "subscriber", "curve", "endpoint")},
}
# What the daemon never loads, and the one corner that may: converting other people's models on request.
NEVER = {"torch", "timm", "onnx", "pandas", "matplotlib", "librosa", "cv2", "sklearn", "train", "export"}
PURE = [
    "audio",
    "frontend",
    "resample",
    "ring",
    "windowing",
    "aggregate",
    "model",
    "events",
    "timeline",
    "placement",
    "ledger",
    "levels",
    "recordings",
    "listener",
]
WORLD = {"os", "threading", "time", "socket", "subprocess", "pathlib", "zmq", "soundfile", "sounddevice", "onnxruntime"}


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


@pytest.mark.parametrize("library", DOORS)
def test_each_library_of_the_outside_world_has_one_door(library):
    users = {str(path.relative_to(ROOT)) for path in sources("birdwatch") if library in roots(path)}
    assert users <= DOORS[library]


def test_the_daemon_imports_nothing_of_training():
    for path in sources("birdwatch"):
        if "foreign" not in path.parts:
            assert not roots(path) & NEVER, path


def test_training_and_export_do_not_know_each_other():
    for one, other in (("train", "export"), ("export", "train")):
        for path in sources(one):
            assert not roots(path) & {other, f"birdwatch_{other}"}, path


@pytest.mark.parametrize("name", PURE)
def test_the_core_touches_no_clock_thread_socket_or_file(name):
    path = ROOT / "birdwatch" / f"{name}.py"
    if not path.exists():
        pytest.skip(f"{path.name} is not written yet")
    assert not roots(path) & WORLD


@pytest.mark.parametrize("name", PURE)
def test_the_core_knows_nothing_of_its_edges(name):
    path = ROOT / "birdwatch" / f"{name}.py"
    if not path.exists():
        pytest.skip(f"{path.name} is not written yet")
    edges = ("birdwatch.sources", "birdwatch.sinks", "birdwatch.cli", "birdwatch.cli.main", "birdwatch.live.daemon")
    assert not [found for found in imports(path) if found.startswith(edges)]


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
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
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


def test_running_loads_nothing_of_training():
    loaded = loaded_by("import birdwatch.cli.run, birdwatch.api")
    assert "onnxruntime" in loaded
    assert not loaded & (NEVER - {"train", "export"})
