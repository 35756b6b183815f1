"""The picture of the rooms: drawn from the imports, and the one in docs/ is current."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "scripts" / "draw_rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(folder: Path, imports: dict[str, list[str]]) -> Path:
    """A package `birdwatch` whose rooms import each other as told."""
    root = folder / "birdwatch"
    for room, others in imports.items():
        (root / room).mkdir(parents=True)
        (root / room / "__init__.py").write_text(f'"""What {room} <owns> & keeps."""\n')
        lines = [f"from birdwatch.{other} import x" for other in others]
        (root / room / "x.py").write_text("\n".join(["from pathlib import Path", *lines, ""]))
    (root / "api.py").write_text('"""The interface."""\n')
    return root


@pytest.mark.slow
def test_the_committed_picture_is_current(drawing: ModuleType) -> None:
    assert drawing.main(["--check"]) == 0


def test_a_room_stands_above_all_that_it_imports(drawing: ModuleType, tmp_path: Path) -> None:
    root = package(tmp_path, {"a": [], "b": ["a"], "c": ["a", "b"]})
    arrows = drawing.room_imports(root)
    assert arrows == {"a": set(), "api": set(), "b": {"a"}, "c": {"a", "b"}}
    assert drawing.floors(arrows) == [["a", "api"], ["b"], ["c"]]
    assert drawing.direct(arrows)["c"] == {"b"}


def test_a_circle_is_refused_by_name(drawing: ModuleType, tmp_path: Path) -> None:
    root = package(tmp_path, {"a": ["b"], "b": ["a"]})
    with pytest.raises(ValueError, match="a -> b -> a"):
        drawing.floors(drawing.room_imports(root))


def test_the_picture_is_well_formed_whatever_a_sentence_holds(drawing: ModuleType, tmp_path: Path) -> None:
    picture = ElementTree.fromstring(drawing.draw(package(tmp_path, {"a": [], "b": ["a"]})))
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a/", "b/", "api.py", "What a <owns> & keeps."} <= set(texts)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == 2  # the arrow, and the tip of all arrows
