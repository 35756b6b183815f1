"""The modules and the styles of the page's first view in one file each, so that a phone waits for fewer answers.

A browser asks a host for six files at a time, and each six cost a round trip. The page's modules stay files of their
own. In `first.js` each of them is a function that returns what it exports, called in the order in which they need each
other. A view that is loaded later imports a module by its own address, and gets the same objects.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath

__all__ = ["bundle"]

FIRST = "first"
ENTRY, VIEW = "app.js", "views/live.js"
STYLES = ("style.css", "views.css")

IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:(?:async )?function|class|const) (\w+))", re.MULTILINE)
LATER = re.compile(r'import\("([^"]+)"\)')
LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def bundle(folder: Path) -> dict[str, str]:
    """Address -> text: of `first.js` and `first.css`, and of each module in `first.js` as a reference to it.

    folder: the page's. Raises ValueError for an import or export that is written in another form, and for a circle.
    """
    texts: dict[str, str] = {}
    for module in (ENTRY, VIEW):
        _gather(folder, module, texts, ())
    names = {module: EXPORT.findall(text) for module, text in texts.items()}
    # What is needed comes first; the entry, which needs the view later, last.
    order = sorted(texts, key=lambda module: module == ENTRY)
    files = {module: _reference(module, names[module]) for module in order}
    parts = [_function(module, texts[module], names[module], texts) for module in order]
    parts.append(f"export {{ {', '.join(map(_object, order))} }};\n")
    files[f"{FIRST}.js"] = "".join(parts)
    files[f"{FIRST}.css"] = "".join((folder / name).read_text("utf-8") for name in STYLES)
    return files


def _gather(folder: Path, module: str, texts: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module after those that it imports."""
    if module in above:
        raise ValueError(f"modules of the page import each other: {' -> '.join([*above, module])}")
    if module in texts:
        return
    text = (folder / module).read_text("utf-8")
    for _, name in IMPORT.findall(text):
        _gather(folder, _resolved(module, name), texts, (*above, module))
    texts[module] = text


def _resolved(module: str, name: str) -> str:
    """The address below the page of what `module` calls `name`."""
    return normpath(join(dirname(module), name))


def _object(module: str) -> str:
    """The variable that holds what a module exports; no name in the page's modules begins so."""
    return "$" + re.sub(r"\W", "_", module.removesuffix(".js"))


def _function(module: str, text: str, names: list[str], inside: dict[str, str]) -> str:
    def taken(match: re.Match[str]) -> str:
        return f"const {{{match[1].replace(' as ', ': ')}}} = {_object(_resolved(module, match[2]))};\n"

    def later(match: re.Match[str]) -> str:
        other = _resolved(module, match[1])
        return f"Promise.resolve({_object(other)})" if other in inside else f'import("./{other}")'

    body = EXPORT.sub("", LATER.sub(later, IMPORT.sub(taken, text)))
    if left := LEFT.search(body):
        raise ValueError(f"{module}: {left[0]!r} is not understood; import and export names, each where it is declared")
    return f"const {_object(module)} = (() => {{\n{body}return {{ {', '.join(names)} }};\n}})();\n"


def _reference(module: str, names: list[str]) -> str:
    up = "../" * module.count("/") or "./"
    listed = f"export const {{ {', '.join(names)} }} = {_object(module)};\n" if names else ""
    return f'import {{ {_object(module)} }} from "{up}{FIRST}.js";\n{listed}'
