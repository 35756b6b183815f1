"""A reverse proxy in the test's process: what nginx does with the lines of docs/hub.md, by the standard library."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

CHUNK = 65536
# Of one connection, and not passed on (RFC 9110, 7.6.1).
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


class ReverseProxy:
    """Shows `upstream` (host:port) below `prefix` (`/birds`). asked: every path that a client asked for.

    client, scheme: whom and what it claims to the hub to have been asked by.
    """

    def __init__(self, upstream: str, prefix: str) -> None:
        self.upstream, self.prefix = upstream, prefix
        self.client, self.scheme = "10.9.8.7", "http"
        self.asked: list[str] = []
        proxy = self

        class Handler(_Handler):
            of = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ReverseProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    of: ReverseProxy
    # Without it the body ends with the connection: no length is needed for what is live.
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Pass a request on."""
        self.of.asked.append(self.path)
        if self.path == self.of.prefix:
            self.send_response(301)
            self.send_header("Location", f"{self.of.prefix}/")
            self.end_headers()
            return
        if not self.path.startswith(f"{self.of.prefix}/"):
            self.send_error(404, "not below the prefix")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        # Set, not added to: a client cannot choose the address by which its attempts are counted.
        headers |= {"X-Forwarded-For": self.of.client, "X-Forwarded-Proto": self.of.scheme}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection(self.of.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path.removeprefix(self.of.prefix), body or None, headers)
            self._pass_on(upstream.getresponse())
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            upstream.close()

    do_POST = do_DELETE = do_GET  # noqa: N815 - their names

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.end_headers()
        # What has come is passed on at once (proxy_buffering off).
        while part := answer.read1(CHUNK):
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Nothing."""
