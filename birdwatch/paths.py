"""Paths as text for tables, databases and messages, which hold Unicode; a file's name may be any bytes."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

__all__ = ["file_name", "is_object_store", "is_url", "text_of"]

# Two characters at least before the colon: `C://` is a drive.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

# Their libraries make an object only where there is none, if they are asked to, and show none that is not whole.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")

# What file systems allow, in bytes.
MAX_NAME_BYTES = 255


def text_of(path: Path | str) -> str:
    r"""The path as text that can be written anywhere: bytes that are not UTF-8 as `\xNN`, `/` between folders."""
    text = path.as_posix() if isinstance(path, Path) else path
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def is_url(text: str) -> bool:
    """Whether an argument names a place elsewhere, such as s3://bucket/2025/, and not a file here."""
    return URL.match(text) is not None


def is_object_store(text: str) -> bool:
    """Whether a URL is in an object store, where files can be written, and not at a web server, say."""
    return is_url(text) and text.partition("://")[0].lower() in OBJECT_STORES


def file_name(name: str, suffix: str, *, room: int = 0) -> str:
    """`name + suffix`, shortened in front of the suffix to what file systems allow, less `room` bytes.

    What is shortened ends in eight digits of its hash, so that different names stay different.
    """
    allowed = MAX_NAME_BYTES - room - len(os.fsencode(suffix))
    data = os.fsencode(name)
    if len(data) <= allowed:
        return name + suffix
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: allowed - 9].decode('utf-8', 'ignore')}-{digest}{suffix}"
