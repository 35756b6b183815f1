"""URLs of streams: the supported schemes, and how they are shown without credentials."""

from __future__ import annotations

from urllib.parse import urlsplit

from birdwatch.errors import ConfigError

__all__ = ["checked_url", "has_credentials", "redacted"]

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "srt", "rtp", "udp", "file")


def checked_url(url: str) -> str:
    """`url` if it can be opened. Raises ConfigError, which does not show it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in SCHEMES and bool(parts.hostname or parts.path.endswith(".sdp"))
        # A port that is no number.
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"url is not the address of a stream; expected one of {', '.join(SCHEMES[:-1])}, or file: and the path of "
            "an .sdp file",
            setting="url",
        )
    return url


def redacted(url: str) -> str:
    """The scheme, host and path: no user, password, token, passphrase or stream key."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    path = parts.path
    if parts.scheme in ("rtmp", "rtmps"):
        # The last part is the stream's key.
        path = path.rsplit("/", 1)[0]
    return f"{parts.scheme}://{host}{path}"


def has_credentials(url: str) -> bool:
    """Whether there is anything in it that `redacted` hides."""
    return redacted(url) != url
