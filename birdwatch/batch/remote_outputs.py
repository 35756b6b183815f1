"""Tables in an object store: written to the local disk first, then uploaded.

A single table is there whole, or as it was. A dataset is whole while its list of recordings is there: an older list is
deleted first, then the parts are uploaded, what an older dataset had besides goes, and the list comes last. Until then
`<out>.uploading` lies beside it, so that parts without a list are known as birdwatch's own when the upload is repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path

from birdwatch.batch.remote_files import check_target, create, delete, download, exists, files_under, upload
from birdwatch.batch.results import errors_path, filtered_path
from birdwatch.errors import SinkError, reason_of
from birdwatch.tables.dataset import is_part, recordings_path
from birdwatch.tables.formats import FORMS, Output
from birdwatch.tables.own_files import check_replaceable

__all__ = ["check_remote_outputs", "errors_shown", "upload_outputs"]

# Beside a dataset while it is uploaded.
UPLOADING = ".uploading"


def errors_shown(first: Output) -> str:
    """Where the recordings that failed are listed, for people."""
    return _beside(first, errors_path(first.path)) if first.url else str(errors_path(first.path))


def check_remote_outputs(outputs: Sequence[Output], *, inputs: Container[str]) -> None:
    """Make room here for what goes elsewhere, and raise SinkError where it could not be written there in the end.

    inputs: URLs that are read.
    """
    for output in outputs:
        if not output.url:
            continue
        if output.url in inputs:
            raise SinkError(f"{output.url} is an input of this command; name another file to write")
        check_target(output.url, what="--out")
        try:
            if output.folder and output.form == "parquet":
                _check_dataset(output)
            _forget(output)
            output.path.parent.mkdir(parents=True, exist_ok=True)
            _check_own(output)
        except OSError as error:
            raise SinkError(f"{output.url} cannot be written ({reason_of(error)})") from error


def _check_dataset(output: Output) -> None:
    """Refuse to replace anything but a dataset of birdwatch, as with a local folder."""
    there = list(files_under(output.url))
    strange = next((name for name in there if not is_part(name)), None)
    if strange is not None:
        raise SinkError(
            f"{output.url} holds {strange}, which is no part of a dataset and would be lost; name a new folder"
        )
    listed = _beside(output, recordings_path(output.path))
    if there and not exists(listed) and not exists(output.url + UPLOADING):
        raise SinkError(
            f"{output.url} holds a dataset without {listed.rpartition('/')[2]} beside it, so of another program; name "
            "a new folder"
        )


def _check_own(output: Output) -> None:
    """Bring tables that are there here, so that what a person made or changed is known as with files here."""
    if output.folder and output.form != "parquet":
        for name in files_under(output.url):
            if name.endswith(str(FORMS[output.form])):
                _bring(f"{output.url}/{name}", output.path / name)
    elif not output.folder and exists(output.url):
        _bring(output.url, output.path)
        try:
            check_replaceable(output.path)
        except SinkError as error:
            raise SinkError(str(error).replace(str(output.path), output.url)) from error


def _bring(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        download(url, stream)


def upload_outputs(outputs: Sequence[Output]) -> None:
    """Upload what was written here for places elsewhere, with the lists beside the first; the copies here then go.

    Raises SinkError; what was written stays here then.
    """
    for number, output in enumerate(outputs):
        if not output.url:
            continue
        try:
            _upload(output)
            for path in (errors_path(output.path), filtered_path(output.path)) if number == 0 else ():
                _upload_or_delete(path, _beside(output, path))
        except OSError as error:
            raise SinkError(
                f"{output.url} could not be written ({reason_of(error)}); it is in {output.path}: copy it, or start "
                "the same run again with --resume, or `birdwatch merge`"
            ) from error
        _forget(output)


def _upload(output: Output) -> None:
    if not output.folder:
        upload(output.path, output.url)
        return
    here = {path.relative_to(output.path).as_posix(): path for path in output.path.rglob("*") if path.is_file()}
    listed = recordings_path(output.path)
    if output.form == "parquet":
        create(output.url + UPLOADING)
        delete(_beside(output, listed))
    for name, path in sorted(here.items()):
        upload(path, f"{output.url}/{name}")
    if output.form == "parquet":
        for name in files_under(output.url):
            if name not in here:
                delete(f"{output.url}/{name}")
        upload(listed, _beside(output, listed))
        delete(output.url + UPLOADING)


def _upload_or_delete(path: Path, url: str) -> None:
    """Upload a list, or delete an older one where there is none now."""
    if path.exists():
        upload(path, url)
    else:
        delete(url)


def _forget(output: Output) -> None:
    """Delete the local copy of an output, but not the run database, which belongs to an interrupted run."""
    if output.folder:
        shutil.rmtree(output.path, ignore_errors=True)
    for path in (output.path, recordings_path(output.path), errors_path(output.path), filtered_path(output.path)):
        with suppress(FileNotFoundError, IsADirectoryError):
            path.unlink()


def _beside(output: Output, path: Path) -> str:
    """The URL of a file that is written beside an output."""
    return f"{output.url.rpartition('/')[0]}/{path.name}"
