"""A web server over a folder in memory, with ranges or without, that breaks off or refuses where it is told to."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

__all__ = ["WebFolder", "web_folder"]


class WebFolder:
    """files: path -> bytes. broken: path -> how many more answers stop in the middle. refused: paths that get 403.

    asked: how often each path was read. signature: what a redirect adds to the address, as stores of objects do.
    """

    def __init__(self, files: Mapping[str, bytes], *, ranges: bool = True) -> None:
        self.files, self.ranges = dict(files), ranges
        self.broken: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.signature = ""
        self.url = ""


def handler(folder: WebFolder) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = unquote(self.path.partition("?")[0]).lstrip("/")
            if folder.signature and folder.signature not in self.path:
                self.say(302, b"", body, {"Location": f"{self.path}?{folder.signature}"})
            elif path in folder.refused:
                self.say(403, b"no", body, {})
            elif path.endswith("/") or not path:
                inner = {name[len(path) :].partition("/") for name in folder.files if name.startswith(path)}
                links = {first + slash for first, slash, _ in inner}
                page = "".join(f'<a href="{link}">x</a>' for link in sorted(links, reverse=True))
                self.say(200, f'<a href="?C=N;O=D">Name</a>{page}'.encode(), body, {"Content-Type": "text/html"})
            elif path not in folder.files:
                self.say(404, b"none", body, {})
            else:
                self.file(path, body)

        def file(self, path: str, body: bool) -> None:
            data, status = folder.files[path], 200
            headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Content-Type": "audio/x"}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if folder.ranges:
                headers["Accept-Ranges"] = "bytes"
                if wanted:
                    start, end = int(wanted[1]), min(len(data), int(wanted[2] or len(data)) + 1)
                    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
                    data, status = data[start:end], 206
            folder.asked[path] += body
            if body and folder.broken[path]:
                folder.broken[path] -= 1
                self.say(status, data, False, headers)
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                self.connection.close()
                return
            self.say(status, data, body, headers)

        def say(self, status: int, data: bytes, body: bool, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    return Handler


@contextmanager
def web_folder(files: Mapping[str, bytes], *, ranges: bool = True) -> Iterator[WebFolder]:
    """The folder, served while the block lasts."""
    folder = WebFolder(files, ranges=ranges)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(folder)) as server:
        server.daemon_threads = True
        folder.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
            thread.join()
