"""The first view's modules in one file: all of them, in order, and what is written otherwise is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from birdwatch.hub.page_bundle import bundle

PAGE = Path(__file__).resolve().parents[2] / "birdwatch" / "hub" / "page"


def imported(path: Path, known: set[Path]) -> set[Path]:
    """The modules that `path` imports before it runs, and theirs."""
    for name in re.findall(r'^import\b[^;]*?from "(\.[^"]+)"', path.read_text(), re.MULTILINE):
        module = (path.parent / name).resolve()
        if module not in known:
            known.add(module)
            imported(module, known)
    return known


def test_the_first_view_needs_no_other_module():
    """One after another, each module would cost a round trip."""
    app, live = PAGE / "app.js", PAGE / "views" / "live.js"
    needed = {app, live} | imported(app, set()) | imported(live, set())
    files = bundle(PAGE)
    assert set(files) == {str(path.relative_to(PAGE)) for path in needed} | {"first.js", "first.css"}
    assert not re.search(r"^import\b", files["first.js"], re.MULTILINE)
    assert '"./views/live.js"' not in files["first.js"]
    assert 'import("./views/today.js")' in files["first.js"]


def test_the_page_asks_for_the_two_files_only():
    text = (PAGE / "index.html").read_text()
    assert re.findall(r'<script[^>]*src="([^"]+)"|rel="(?:stylesheet|modulepreload)" href="([^"]+)"', text) == [
        ("", "first.css"),
        ("first.js", ""),
    ]


def test_a_module_refers_to_the_same_objects_by_the_names_that_it_exports():
    files = bundle(PAGE)
    assert files["words.js"].startswith(
        'import { $words } from "./first.js";\nexport const { clock, clockSeconds, day, '
    )
    assert files["views/live.js"] == (
        'import { $views_live } from "../first.js";\nexport const { show } = $views_live;\n'
    )
    for name in ("words.js", "dom.js", "parts.js", "state.js"):
        declared = re.findall(
            r"^export (?:async )?(?:function|const|class) (\w+)", (PAGE / name).read_text(), re.MULTILINE
        )
        assert re.findall(r"\w+", files[name].split("{")[2].split("}")[0]) == declared


def page(folder: Path, **modules: str) -> Path:
    (folder / "views").mkdir()
    for name in ("style.css", "views.css"):
        (folder / name).write_text(f"/* {name} */\n")
    texts = {"app": 'import { a } from "./a.js";\nrun(a);\n', "a": "export const a = 1;\n", "live": "", **modules}
    for name, text in texts.items():
        (folder / ("views/live.js" if name == "live" else f"{name}.js")).write_text(text)
    return folder


def test_each_module_is_a_function_called_after_those_that_it_needs(tmp_path):
    folder = page(
        tmp_path,
        live='import { b as c } from "../b.js";\nexport async function show() { return import("../app.js"); }\n',
        b='import { a } from "./a.js";\nexport class b { x = a; }\n',
    )
    assert bundle(folder) == {
        "first.css": "/* style.css */\n/* views.css */\n",
        "a.js": 'import { $a } from "./first.js";\nexport const { a } = $a;\n',
        "b.js": 'import { $b } from "./first.js";\nexport const { b } = $b;\n',
        "views/live.js": 'import { $views_live } from "../first.js";\nexport const { show } = $views_live;\n',
        "app.js": 'import { $app } from "./first.js";\n',
        "first.js": (
            "const $a = (() => {\nconst a = 1;\nreturn { a };\n})();\n"
            "const $b = (() => {\nconst { a } = $a;\nclass b { x = a; }\nreturn { b };\n})();\n"
            "const $views_live = (() => {\nconst { b: c } = $b;\n"
            "async function show() { return Promise.resolve($app); }\nreturn { show };\n})();\n"
            "const $app = (() => {\nconst { a } = $a;\nrun(a);\nreturn {  };\n})();\n"
            "export { $a, $b, $views_live, $app };\n"
        ),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('import a from "./a.js";\n', r"a\.js: 'import a from "),
        ("const a = 1;\nexport { a };\n", r"a\.js: 'export \{ a \};' is not understood"),
        ("export default 3;\n", r"a\.js: 'export default 3;'"),
        ('import { b } from "./app.js";\n', r"import each other: app\.js -> a\.js -> app\.js"),
    ],
)
def test_other_forms_and_circles_are_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        bundle(page(tmp_path, a=text))
