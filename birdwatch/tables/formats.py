"""The table formats: their names and suffixes, their requirements, and the function that writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, cast

from birdwatch.atomic_write import Identities, check_folder, check_writable
from birdwatch.config.loading import state_folder
from birdwatch.errors import ConfigError, SinkError
from birdwatch.paths import file_name, is_object_store, is_url
from birdwatch.tables.audacity import audacity_rows
from birdwatch.tables.cells import plain_cells, write_csv
from birdwatch.tables.dataset import check_dataset, recordings_path, write_dataset
from birdwatch.tables.detections import DETECTION_COLUMNS, detection_columns, detection_rows
from birdwatch.tables.json_lines import json_lines
from birdwatch.tables.kaleidoscope import KALEIDOSCOPE_COLUMNS, kaleidoscope_rows
from birdwatch.tables.own_files import OwnFiles, check_replaceable, table_beside
from birdwatch.tables.parquet import require_pyarrow, write_parquet
from birdwatch.tables.raven import RAVEN_COLUMNS, raven_rows
from birdwatch.tables.result import Result, Rows, Vocabulary
from birdwatch.tables.submission import SUBMISSION_COLUMNS, Template, kaggle_rows, submission_rows, template_rows

__all__ = ["FORMS", "Output", "choose_outputs", "local_place", "write_output"]

# The format -> the end of a file of it in a folder of one file per recording, or None where there is no such folder.
FORMS: dict[str, str | None] = {
    "submission": None,
    "kaggle": None,
    "detections": None,
    "parquet": None,
    "jsonl": None,
    "raven": ".selections.txt",
    "audacity": ".labels.txt",
    "kaleidoscope": None,
}
# One row per event by default, since a person looks at each of them.
READ_BY_PEOPLE = {"raven", "audacity"}
# Suffix -> format, for suffixes with one format only.
DECISIVE = {".parquet": "parquet", ".jsonl": "jsonl", ".selections.txt": "raven", ".labels.txt": "audacity"}


@dataclass(frozen=True, slots=True)
class Output:
    """One `--out`. folder: a folder `path` instead of one file. rows: what a row is.

    In a folder is one file per recording, of Parquet one per site and date. url: where in an object store it goes in
    the end; it is written to `path` first.
    """

    path: Path
    form: str
    folder: bool = False
    rows: Rows = "windows"
    url: str = ""

    @property
    def shown(self) -> str:
        """The path or URL, for messages."""
        return self.url or str(self.path)

    def check(self, recordings: int, *, names: Iterable[str] = (), inputs: Identities = MappingProxyType({})) -> None:
        """Raise SinkError or ConfigError now, not after a night's work, where it could not be written in the end.

        names: of the recordings, as files of a folder are called. inputs: files that are read.
        """
        if self.form == "parquet":
            require_pyarrow()
        if self.form == "audacity" and not self.folder and recordings > 1:
            raise ConfigError(
                f"Audacity's labels have no column for the file, and {recordings} recordings were given; "
                f"give a folder (--out {self.path.with_suffix('')}/ --format audacity) for one file per recording"
            )
        if not self.folder:
            check_replaceable(self.path, inputs=inputs)
            return
        if self.form == "parquet":
            check_dataset(self.path, inputs=inputs)
            return
        for folder in dict.fromkeys((self.path / name).parent for name in ("x", *names)):
            check_folder(folder)
        for path in self.path.rglob(f"*{FORMS[self.form]}") if self.path.is_dir() else ():
            check_writable(path, inputs=inputs)

    def places(self) -> Iterator[Path]:
        """What is there now of what would be written."""
        yield self.path
        if self.folder:
            yield recordings_path(self.path)
            yield from self.path.rglob("*") if self.path.is_dir() else ()

    def check_tables(self, names: Iterable[str]) -> None:
        """Raise SinkError where the folder has a table of a recording in `names` that birdwatch did not write so."""
        if self.folder and self.form != "parquet":
            OwnFiles(self.path).check(map(self.table_of, names))

    def table_of(self, name: str) -> Path:
        """The file of the recording `name` in the folder."""
        inner = Path(name)
        # Room for the name while it is written.
        return self.path / inner.with_name(file_name(inner.name, str(FORMS[self.form]), room=len(".part") + 1))


def local_place(url: str) -> Path:
    """Where a table for an object store is written first, and what is kept of its run; the same for the same URL."""
    digest = hashlib.sha256(url.rstrip("/").encode("utf-8", "surrogatepass")).hexdigest()[:16]
    name = file_name(url.rstrip("/").rpartition("/")[2], "", room=len(".errors.csv.part") + 1)
    return state_folder() / "outputs" / digest / name


def choose_outputs(outs: Sequence[str], formats: Sequence[str], rows: Rows | None = None) -> list[Output]:
    """What each `--out` is: `--format` decides, else the end of its name. Raises ConfigError.

    One `--format` for several `--out` counts for those whose names leave it open (.csv and folders); as many as there
    are `--out` go with them in order.
    """
    if len(formats) > 1 and len(formats) != len(outs):
        raise ConfigError(
            f"{len(formats)} --format for {len(outs)} --out; give one for all, or one each in the same order"
        )
    chosen = []
    for number, out in enumerate(outs):
        if is_url(out) and not is_object_store(out):
            raise SinkError(
                "--out is a URL to which nothing can be written; expected a local file, or one in an object store "
                "such as s3://bucket/detections.parquet"
            )
        by_name = next((form for end, form in DECISIVE.items() if out.lower().endswith(end)), None)
        if len(formats) == len(outs):
            form: str | None = formats[number]
        else:
            form = by_name or (formats[0] if formats else None)
        path = local_place(out) if is_url(out) else Path(out)
        if path.name in ("", ".."):
            # Files beside it need a name.
            path = path.resolve()
            if not path.name:
                raise SinkError(f"--out {out} is the root of all folders; name a folder or a file in it")
        shown = out if is_url(out) else Path(out)
        folder = out.endswith("/") or (path.is_dir() and not is_url(out))
        if form is None:
            if folder:
                raise SinkError(
                    f"{shown} is a folder; name a file to write, or add --format parquet, raven or audacity to fill it"
                )
            if path.suffix.lower() == ".csv":
                form = "submission"
            else:
                raise ConfigError(
                    f"--out {out} does not determine its format; end it in .csv, {', '.join(DECISIVE)}, "
                    f"or add --format {'|'.join(FORMS)}"
                )
        if folder and FORMS[form] is None and form != "parquet":
            raise SinkError(f"{shown} is a folder; name a file to write, since {form} is one table")
        rows_of_it = rows or ("events" if form in READ_BY_PEOPLE else "windows")
        chosen.append(Output(path, form, folder, rows_of_it, out.rstrip("/") if is_url(out) else ""))
    paths = [os.path.realpath(output.path) for output in chosen]
    if len(set(paths)) < len(paths):
        raise ConfigError("two --out name the same file; give each its own")
    return chosen


def write_output(
    output: Output,
    results: Sequence[Result],
    words: Vocabulary,
    *,
    run: Mapping[str, Any],
    template: Template | None = None,
) -> list[str]:
    """Write one output whole, or leave what was there; returns the template's row ids that no recording gave."""
    absent: list[str] = []
    words = replace(words, rows=output.rows)
    if output.folder and output.form == "parquet":
        write_dataset(output.path, results, words, run)
    elif output.folder:
        output.path.mkdir(parents=True, exist_ok=True)
        own = OwnFiles(output.path)
        # Before the first is written: all of them or none.
        output.check_tables(result.name for result in results)
        for result in results:
            path = output.table_of(result.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with table_beside(path, own=own) as stream:
                _write(cast(IO[str], stream), output.form, [result], words, None, absent)
    elif output.form == "parquet":
        with table_beside(output.path, binary=True) as stream:
            write_parquet(cast(IO[bytes], stream), results, words, run)
    else:
        with table_beside(output.path) as stream:
            _write(cast(IO[str], stream), output.form, results, words, template, absent)
    return absent


def _write(
    stream: IO[str],
    form: str,
    results: Sequence[Result],
    words: Vocabulary,
    template: Template | None,
    absent: list[str],
) -> None:
    if form == "jsonl":
        stream.writelines(line + "\n" for line in json_lines(results, words))
        return
    header: Sequence[str] | None
    rows: Iterator[Sequence[object]]
    if form == "kaggle" and template is not None:
        header, rows = ("row_id", *template[0]), template_rows(results, words, template, absent)
    elif form == "kaggle":
        header, rows = ("row_id", *words.manifest.codes), kaggle_rows(results, words)
    else:
        header, make = _PLAIN[form]
        header = detection_columns(words) if form == "detections" else header
        rows = make(results, words)
    if FORMS[form]:
        stream.writelines("\t".join(plain_cells(row)) + "\n" for row in chain([header] if header else [], rows))
        return
    write_csv(stream, [header or ()], verbatim=True)
    # A template's rows are the competition's own names.
    write_csv(stream, rows, verbatim=template is not None and form == "kaggle")


_PLAIN: dict[str, tuple[Sequence[str] | None, Callable[[Iterable[Result], Vocabulary], Iterator[Sequence[object]]]]] = {
    "submission": (SUBMISSION_COLUMNS, submission_rows),
    "detections": (DETECTION_COLUMNS, detection_rows),
    "kaleidoscope": (KALEIDOSCOPE_COLUMNS, kaleidoscope_rows),
    "raven": (RAVEN_COLUMNS, raven_rows),
    "audacity": (None, audacity_rows),
}
