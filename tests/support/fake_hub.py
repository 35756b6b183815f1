"""A hub that invents its answers: the page of birdwatch/hub/page/ with an API behind it, by the standard library."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
import time
from datetime import timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fake_answers import NAMES, Answers
from fake_season import NOW, iso
from synthetic_songs import flac, levels, png, recording

from birdwatch.hub.page_bundle import bundle

__all__ = ["CSP", "FakeHub"]

PAGE = Path(__file__).resolve().parents[2] / "birdwatch" / "hub" / "page"
BUNDLE = bundle(PAGE)
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
LIVE_SONGS = [("eurbla", 2.0, 0.9), ("gretit1", 8.0, 0.6), ("eurbla", 13.5, 0.8), ("winwre4", 19.0, 0.7)]
LIVE_SONGS += [("cowpig1", 24.0, 0.9), ("comchi1", 30.0, 0.55), ("eurbla", 36.0, 0.9), ("comcha", 42.5, 0.7)]
LIVE_SONGS += [("eurrob1", 48.0, 0.6), ("sonthr1", 52.5, 0.8)]
LIVE_S = 60


@lru_cache(maxsize=400)
def sound(code: str, number: int) -> Any:
    return recording([(code, 1.2, 1.0), ("gretit1" if number % 3 == 0 else "eurrob1", 4.5, 0.12)], 7.5, number)


@lru_cache(maxsize=1)
def live_levels() -> Any:
    return levels(recording(LIVE_SONGS, LIVE_S, 3), bands=96, hop_s=0.1)


class FakeHub:
    """State of the invented hub: a season, thresholds, reviews, and who is signed in."""

    def __init__(self, *, password: str | None = None, public: bool = False, prefix: str = "", live_s: float = 0.1):
        self.answers = Answers()
        self.by_id = self.answers.by_id
        self.password, self.public, self.prefix, self.live_s = password, public, prefix, live_s
        self.signed_in = password is None
        self.thresholds: dict[str, Any] = {"default": 0.3, "classes": {"comred2": 0.62, "comswi": 0.5}}
        self.requests: list[str] = []
        hub = self

        class Handler(_Handler):
            fake = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{prefix}/"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _split(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        self.fake.requests.append(f"{self.command} {self.path}")
        path = parts.path.removeprefix(self.fake.prefix)
        return path, {name: values[-1] for name, values in parse_qs(parts.query).items()}

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        if self.headers.get("If-None-Match") == tag:
            status, body = 304, b""
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "ETag": tag, "Cache-Control": "no-cache"}
        for name, value in {**headers, "Content-Security-Policy": CSP}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def do_GET(self) -> None:
        path, query = self._split()
        fake = self.fake
        if not path.startswith("/api/"):
            return self._file(path)
        path = path.removeprefix("/api/v1")
        if path == "/session":
            session = {"version": "0.9.0", "public": fake.public, "signed_in": fake.signed_in, "csrf": "token"}
            return self._json({**session, "password_set": fake.password is not None})
        if not fake.signed_in and not fake.public:
            return self._json({"detail": "sign in first"}, 401)
        if path == "/live":
            return self._live(query.get("station"))
        if found := re.fullmatch(r"/events/([^/]+)(/clip|/picture)?", path):
            return self._event(*found.groups())
        if found := re.fullmatch(r"/species/([^/]+)", path):
            one = fake.answers.one_species(found[1])
            return self._json(one) if one else self._json({"detail": f"no species {found[1]} here"}, 404)
        if found := re.fullmatch(r"/stations/([^/]+)/accounting", path):
            return self._json(fake.answers.accounting(found[1], query))
        answers: dict[str, Any] = {
            "/stations": lambda: {"stations": fake.answers.stations()},
            "/today": lambda: fake.answers.today(query),
            "/species": lambda: fake.answers.species(query),
            "/events": lambda: fake.answers.events(query),
            "/review/next": lambda: fake.answers.next_review(query),
            "/labels": lambda: fake.answers.labels(query),
            "/settings/thresholds": lambda: {
                **fake.thresholds,
                "writable": fake.signed_in and query.get("station") != "pond",
                "why": "pond is on another machine: change its file there" if query.get("station") == "pond" else None,
            },
        }
        if path in answers:
            return self._json(answers[path]())
        return self._json({"detail": f"nothing at {path}"}, 404)

    def _file(self, path: str) -> None:
        file = PAGE / (path.lstrip("/") or "index.html")
        if (text := BUNDLE.get(path.lstrip("/"))) is not None:
            return self._send(text.encode(), TYPES[file.suffix])
        if not file.is_file() or ".." in path:
            return self._json({"detail": f"nothing at {path}"}, 404)
        return self._send(file.read_bytes(), TYPES.get(file.suffix, "text/plain; charset=utf-8"))

    def _event(self, name: str, part: str | None) -> None:
        event = self.fake.by_id.get(name)
        if event is None:
            return self._json({"detail": f"no event {name} here"}, 404)
        number = int(name.split("-")[1])
        if part is None:
            return self._json(event)
        if not event["clip"]:
            return self._json({"detail": f"the audio of event {name} is no longer kept"}, 404)
        if part == "/clip":
            return self._send(flac(sound(event["code"], number)), "audio/flac")
        return self._send(png(levels(sound(event["code"], number), bands=96, hop_s=0.02)), "image/png")

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _write(self) -> None:
        path, _ = self._split()
        path, body, fake = path.removeprefix("/api/v1"), self._body(), self.fake
        if self.headers.get("X-CSRF-Token") != "token":
            return self._json({"detail": "no token"}, 403)
        if path == "/login":
            fake.signed_in = body.get("password") == fake.password
            return self._json({} if fake.signed_in else {"detail": "wrong password"}, 200 if fake.signed_in else 401)
        if path == "/logout":
            fake.signed_in = False
            return self._json({})
        if not fake.signed_in:
            return self._json({"detail": "sign in first"}, 401)
        if found := re.fullmatch(r"/events/([^/]+)/review", path):
            review = None if self.command == "DELETE" else {"code": None, "by": None, **body, "at_utc": iso(NOW)}
            fake.by_id[found[1]]["review"] = review
            return self._json(fake.by_id[found[1]])
        if path == "/settings/thresholds":
            fake.thresholds = {"default": body["default"], "classes": body["classes"]}
            return self._json({**fake.thresholds, "writable": True, "why": None})
        return self._json({"detail": f"nothing at {path}"}, 404)

    do_POST = do_PUT = do_DELETE = _write  # noqa: N815

    def _live(self, station: str | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()

        def say(kind: str, data: Any) -> None:
            self.wfile.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()

        try:
            for row in self.fake.answers.stations():
                say("status", row)
            self._spectra(say, station or "garden")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _spectra(self, say: Any, station: str) -> None:
        picture, started = live_levels(), NOW
        # Half a minute at once, so that a picture need not wait for the picture to fill.
        for turn in range(100000):
            at = started + timedelta(seconds=turn * 0.1)
            column = picture[turn % len(picture)]
            data = {"station": station, "utc": iso(at), "mels": len(column), "columns": 1, "column_s": 0.1}
            say("spectrum", {**data, "b64": base64.b64encode(column.tobytes()).decode()})
            for code, start_s, gain in LIVE_SONGS:
                if turn % len(picture) == int((start_s + 2.5) * 10):
                    found = {"station": station, "code": code, "name": NAMES[code], "score": round(0.5 + gain / 2, 2)}
                    begun = at - timedelta(seconds=2.5)
                    found |= {"start_utc": iso(begun), "end_utc": iso(begun + timedelta(seconds=3.6))}
                    say("detection", {**found, "event_id": f"live-{turn}"})
                if turn % len(picture) == int((start_s + 4) * 10):
                    events = self.fake.answers.season.events
                    say("event", next(event for event in events if event["code"] == code) | {"start_utc": iso(at)})
            if turn > 300:
                time.sleep(self.fake.live_s)


if __name__ == "__main__":
    with FakeHub(public=False) as running:
        print(running.url, flush=True)
        threading.Event().wait(float(sys.argv[1]) if len(sys.argv) > 1 else None)
