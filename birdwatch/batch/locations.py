"""Remote folders and recordings, addressed by URLs that fsspec supports: listed in order, described and read.

What a storage library raises becomes one line without credentials. They come from the library's own configuration,
never from a URL: one that holds a password or a signature is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EACCES, EIO, ENOENT
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from birdwatch.errors import ConfigError, SourceError
from birdwatch.extras import install_command

__all__ = [
    "Entry",
    "State",
    "check_url",
    "entries",
    "filesystem",
    "is_folder",
    "read_blocks",
    "read_range",
    "reason_text",
    "state_of",
    "tried_twice",
]

SIGNED = re.compile(r"[?&][^=&]*(?:sig|token|credential|secret|password|accesskey|apikey|auth)[^=&]*=", re.IGNORECASE)
USER = re.compile(r"(?<=//)[^/@\s]*@")
QUERY = re.compile(r"\?[^\s'\")]+")
BLOCK_BYTES = 8 << 20
# Messages of libraries are cut here: some contain a whole response of the server.
REASON_CHARACTERS = 300
# Where the libraries keep what changes with an object's bytes, the surest first; the last are times.
VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "Content-MD5",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "mtime",
    "created",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder. name: as people read it; url: where it is."""

    name: str
    url: str
    folder: bool


@dataclass(frozen=True, slots=True)
class State:
    """A recording as it is now. version: another number where its ETag, or its time if it has none, is another."""

    size_bytes: int
    version: int


def check_url(url: str) -> None:
    """Raise ConfigError for a URL with credentials, or one that no installed library reads; it is not opened."""
    said = _redacted(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"{said} is not a URL ({error}); expected one such as s3://bucket/2025/") from None
    web = parts.scheme.lower() in ("http", "https")
    if parts.password is not None or (web and parts.username is not None):
        raise ConfigError(
            f"{said} holds a user's credentials, which would appear in lists and logs; leave them out of the URL and "
            "give them to the storage library by its own configuration or environment"
        )
    if SIGNED.search(url) or (web and parts.query):
        raise ConfigError(
            f"{said} has a query, which may be a signature; name the object without one, and give credentials to the "
            "storage library by its own configuration or environment"
        )
    if "::" in url:
        raise ConfigError(f"{said} chains file systems (::); expected one such as s3://bucket/2025/")
    filesystem(url)


def is_folder(url: str) -> bool:
    """Whether a URL names a folder: one that ends in a slash does; http:// knows no others."""
    if url.endswith("/"):
        return True
    if url.lower().startswith("http"):
        return False
    system, path = filesystem(url)
    try:
        return bool(system.info(path)["type"] == "directory")
    except Exception:
        # Opening it gives the error.
        return False


def entries(folder: str) -> list[Entry]:
    """What is in a folder, in order of names. Raises SourceError where it cannot be listed."""
    system, path = filesystem(folder)
    root = path.rstrip("/")

    def listed() -> list[Any]:
        system.invalidate_cache(path)
        return list(system.ls(path, detail=True))

    found = _twice(listed, folder)
    # Else the library keeps every listing of a season in memory.
    system.invalidate_cache(path)
    web = folder.lower().startswith("http")
    there: dict[str, Entry] = {}
    for info in found:
        name = str(info["name"])
        if not name.startswith(root + "/"):
            continue
        inner, is_dir = name[len(root) + 1 :], info["type"] == "directory" or name.endswith("/")
        inner = inner.rstrip("/")
        # A folder's own mark, and the links of a web server's page that sort it.
        if not inner or "/" in inner or (web and re.search(r"[?#]", inner)):
            continue
        shown = unquote(inner) if web else inner
        there[shown + "/" * is_dir] = Entry(shown, f"{folder.rstrip('/')}/{inner}", is_dir)
    return sorted(there.values(), key=lambda entry: (entry.name, entry.folder))


def state_of(url: str, shown: str) -> State:
    """A recording's size and version. shown: its name in messages. Raises SourceError."""
    system, path = filesystem(url)

    def asked() -> Any:
        system.invalidate_cache()
        return system.info(path)

    info = _twice(asked, shown)
    if info["type"] == "directory":
        raise SourceError(f"{shown} is a folder, expected a recording")
    if info.get("size") is None:
        raise SourceError(f"{shown} cannot be fetched: the server does not say its size")
    version = next((info[key] for key in VERSIONS if info.get(key) is not None), "")
    digest = hashlib.sha256(str(version).strip('"').encode()).digest()
    return State(int(info["size"]), int.from_bytes(digest[:7]))


def read_range(url: str, start: int, end: int, size: int, shown: str) -> bytes:
    """The bytes from `start` to before `end` of a recording of `size` bytes. Raises SourceError."""
    system, path = filesystem(url)

    def read() -> bytes:
        data = bytes(system.cat_file(path, start=start, end=end)) if end > start else b""
        # A web server may know no ranges, and sends all.
        data = data[start:end] if len(data) == size != end - start else data
        if len(data) != end - start:
            raise EOFError(f"{len(data)} bytes came instead of {end - start}")
        return data

    return _twice(read, shown)


def read_blocks(url: str, size: int, shown: str, keep: Callable[[Iterator[bytes]], None]) -> None:
    """Give a recording's `size` bytes to `keep` in blocks of 8 MB; once more from the start where they break off.

    Raises SourceError, and whatever `keep` raises.
    """
    system, path = filesystem(url)
    failed: list[BaseException] = []

    def blocks() -> Iterator[bytes]:
        count = 0
        try:
            with system.open(path, "rb", block_size=BLOCK_BYTES, cache_type="none") as stream:
                while block := stream.read(min(BLOCK_BYTES, size - count) if size > count else 1):
                    count += len(block)
                    yield block
            if count != size:
                raise EOFError(f"it breaks off after {count} of {size} bytes")
        except GeneratorExit:
            raise
        except Exception as error:
            failed.append(error)
            raise

    def all_of_it() -> None:
        try:
            keep(blocks())
        except Exception as error:
            # Errors of `keep` are not errors of the library.
            if error not in failed:
                raise _KeepError(error) from error
            raise

    try:
        _twice(all_of_it, shown)
    except _KeepError as error:
        raise error.kept from None


class _KeepError(BaseException):
    """The data could not be stored, so reading it again does not help."""

    def __init__(self, kept: Exception) -> None:
        super().__init__()
        self.kept = kept


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system, one for each thread, and the path in it. Raises ConfigError."""
    scheme = url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ConfigError(f"{_redacted(url)} needs fsspec: {install_command('remote')}") from None
    try:
        system, path = url_to_fs(url)
        return system, str(path)
    except ImportError as error:
        raise ConfigError(
            f"{scheme}:// needs another package, here and where recordings are scored: {reason_text(error)}"
        ) from None
    except Exception as error:
        raise ConfigError(
            f"{_redacted(url)} cannot be used ({reason_text(error)}); expected a URL such as s3://bucket/2025/"
        ) from None


def tried_twice(action: Callable[[], T]) -> T:
    """What `action` gives, tried once more where another try may help.

    Raises FileNotFoundError, PermissionError, FileExistsError, or another OSError, whose `strerror` is a line without
    credentials.
    """
    for last in (False, True):
        try:
            return action()
        except FileExistsError:
            raise
        except Exception as error:
            cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
            status = _status_of(cause)
            if isinstance(cause, FileNotFoundError) or status == 404:
                raise FileNotFoundError(ENOENT, reason_text(error)) from None
            if isinstance(cause, PermissionError) or status in (401, 403):
                raise PermissionError(EACCES, f"permission refused ({reason_text(cause)})") from None
            if last:
                raise OSError(EIO, reason_text(cause)) from None
    raise AssertionError


def _status_of(error: BaseException) -> int | None:
    """What a server answered, as aiohttp and botocore have it; None where it was no answer."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _twice(action: Callable[[], T], shown: str) -> T:
    """What `action` gives, tried once more where another try may help. Raises SourceError."""
    try:
        return tried_twice(action)
    except FileNotFoundError:
        raise SourceError(f"{shown}: no such file") from None
    except OSError as error:
        raise SourceError(f"{shown} cannot be fetched: {error.strerror}") from None


def reason_text(error: BaseException) -> str:
    """A library's message in one line, without the credentials of URLs in it."""
    text = _redacted(" ".join(str(error).split()))[:REASON_CHARACTERS]
    return text or type(error).__name__


def _redacted(text: str) -> str:
    return QUERY.sub("?...", USER.sub("...@", text))
