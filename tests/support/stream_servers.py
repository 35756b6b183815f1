"""Real servers of streams on loopback: Icecast, HLS, RTSP (also UDP only), RTMP, RTP, UDP and SRT, fed with a tone."""

from __future__ import annotations

import functools
import http.server
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "reader", "s3cret-pass"
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
# The system's Python has GStreamer's bindings, the test environment has not.
SYSTEM_PYTHON = "/usr/bin/python3"

ICECAST = """<icecast>
<limits><clients>20</clients><sources>3</sources><burst-size>16384</burst-size></limits>
<authentication><source-password>hackme</source-password><admin-user>a</admin-user>
<admin-password>b</admin-password></authentication>
<hostname>localhost</hostname>
<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
<fileserve>0</fileserve>
<paths><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
</paths>
<logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog></logging>
<security><chroot>0</chroot>{owner}</security>
</icecast>
"""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


class StreamServer:
    """`url` can be read once `start` was called; `kill`, `stop` and `go_on` do what signals do."""

    def __init__(self, kind: str, folder: Path) -> None:
        needs("ffmpeg")
        self.kind = kind
        self.folder = folder
        udp = kind in ("rtp", "udp", "srt")
        self.port = free_port(socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._http: http.server.ThreadingHTTPServer | None = None
        self.url = {
            "icecast": f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}/birds.ogg",
            "hls": f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}/live.m3u8?token={PASSWORD}",
            "rtsp-udp": f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/mic",
            "rtsp": f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/mic",
            "rtmp": f"rtmp://127.0.0.1:{self.port}/live/{PASSWORD}",
            "rtp": f"rtp://127.0.0.1:{self.port}",
            "udp": f"udp://127.0.0.1:{self.port}",
            "srt": f"srt://127.0.0.1:{self.port}?passphrase={PASSWORD}",
        }[kind]

    def start(self, *, rate_hz: int = 48000) -> StreamServer:
        match self.kind:
            case "icecast":
                self._icecast()
                self._feed(rate_hz, "-c:a", "libopus", "-b:a", "64k", "-content_type", "application/ogg", "-f", "ogg",
                           f"icecast://source:hackme@127.0.0.1:{self.port}/birds.ogg")  # fmt: skip
            case "hls":
                self._serve_folder()
                self._feed(rate_hz, "-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags",
                           "delete_segments+omit_endlist", str(self.folder / "live.m3u8"))  # fmt: skip
            case "rtsp" | "rtsp-udp":
                if subprocess.run([SYSTEM_PYTHON, str(RTSP_SERVER), "--check"], capture_output=True).returncode:
                    pytest.skip("GStreamer's RTSP server and its Python bindings are not installed")
                transport = "udp" if self.kind == "rtsp-udp" else "tcp"
                self._run(SYSTEM_PYTHON, str(RTSP_SERVER), str(self.port), USER, PASSWORD, str(rate_hz), transport)
            case "rtmp":
                # FFmpeg waits for one listener, and ends with it.
                self._feed(rate_hz, "-c:a", "aac", "-f", "flv", "-listen", "1", self.url)
            case "rtp":
                self._feed(44100, "-c:a", "pcm_s16be", "-f", "rtp", self.url)
            case "udp":
                self._feed(rate_hz, "-c:a", "aac", "-f", "mpegts", self.url)
            case "srt":
                url = f"srt://127.0.0.1:{self.port}?mode=listener&passphrase={PASSWORD}"
                self._feed(rate_hz, "-c:a", "aac", "-f", "mpegts", url)
        return self

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def _run(self, *command: str) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
            )

    def _feed(self, rate_hz: int, *output: str) -> None:
        tone = f"sine=frequency=3000:sample_rate={rate_hz}"
        encode: Sequence[str] = ("-ar", str(rate_hz), "-ac", "1", *output)
        self._run("ffmpeg", "-nostdin", "-loglevel", "warning", "-re", "-f", "lavfi", "-i", tone, *encode)

    def _icecast(self) -> None:
        needs("icecast2")
        owner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
        self.folder.chmod(0o777)
        # icecast2 gives up root, and must still reach its log through pytest's folders, which only root may enter.
        temporary = Path(tempfile.gettempdir()).resolve()
        for parent in self.folder.resolve().parents:
            if parent.is_relative_to(temporary) and parent != temporary:
                parent.chmod(0o755)
        config = self.folder / "icecast.xml"
        config.write_text(ICECAST.format(port=self.port, folder=self.folder, owner=owner))
        self._run("icecast2", "-c", str(config))
        for _ in range(200):
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            threading.Event().wait(0.05)
        raise AssertionError("icecast2 does not listen")

    def _serve_folder(self) -> None:
        handler = functools.partial(_Quiet, directory=str(self.folder))
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass
