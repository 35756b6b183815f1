"""A server of S3 on loopback, moto's, as a process of its own; objects are put into it without credentials."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

__all__ = ["KEY_ID", "SECRET", "Bucket", "bucket_server"]

KEY_ID, SECRET = "AKIATESTTESTTEST", "secret-of-this-test"
# It wants these to replace and to delete, and does not look whether they are right.
SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request, Signature=0"}
# It ends when its stdin does, so with this process at the latest.
SERVER = (
    "import sys\n"
    "from moto.server import ThreadedMotoServer\n"
    "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
    "server.start()\n"
    "print(server.get_host_and_port()[1], flush=True)\n"
    "sys.stdin.read()\n"
)


class Bucket:
    """The bucket `aru` of a server. env: what programs need to reach it."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.env = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._put("aru", b"")

    def put(self, key: str, data: bytes) -> None:
        self._put(f"aru/{quote(key)}", data)

    def fill(self, folder: Path, prefix: str) -> None:
        """Put the files of a folder, under `prefix`."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(prefix + path.relative_to(folder).as_posix(), path.read_bytes())

    def get(self, key: str) -> bytes:
        request = urllib.request.Request(f"{self.address}/aru/{quote(key)}", headers=SIGNED)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, in order; a thousand at most."""
        url = f"{self.address}/aru?list-type=2&prefix={quote(prefix, safe='')}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=SIGNED), timeout=30) as answer:
            found = ElementTree.fromstring(answer.read()).iter("{http://s3.amazonaws.com/doc/2006-03-01/}Key")
        return sorted(str(key.text) for key in found)

    def delete(self, key: str) -> None:
        self._ask(urllib.request.Request(f"{self.address}/aru/{quote(key)}", headers=SIGNED, method="DELETE"))

    def _put(self, path: str, data: bytes) -> None:
        # Else a form, of which the server reads half a megabyte at most.
        headers = {**SIGNED, "Content-Type": "application/octet-stream"}
        self._ask(urllib.request.Request(f"{self.address}/{path}", data=data, headers=headers, method="PUT"))

    @staticmethod
    def _ask(request: urllib.request.Request) -> None:
        with urllib.request.urlopen(request, timeout=30):
            pass


@contextmanager
def bucket_server() -> Iterator[Bucket]:
    """A server with one empty bucket while the block lasts."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Bucket(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(timeout=30)
