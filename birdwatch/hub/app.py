"""The web application: routes below `api/v1`, the page at the root, and headers that keep other hosts out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from birdwatch._version import __version__
from birdwatch.errors import ConfigError, SinkError
from birdwatch.hub import event_routes, session_routes, settings_routes, view_routes
from birdwatch.hub.hub import Hub
from birdwatch.hub.page_bundle import bundle

__all__ = ["make_app"]

PAGE = Path(__file__).with_name("page")
PREFIX = "/api/v1"
# Everything comes from this host; images also from bytes that the page has.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
# A review or a table of thresholds; nothing larger is read.
MAX_BODY_BYTES = 200_000


def make_app(hub: Hub) -> FastAPI:
    """The application of a hub, which it starts and closes."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        try:
            yield
        finally:
            hub.close()

    app = FastAPI(
        title="birdwatch hub",
        version=__version__,
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
        # Their pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
    )
    app.state.hub = hub
    for routes in (session_routes, view_routes, settings_routes, event_routes):
        app.include_router(routes.router, prefix=PREFIX)
    app.add_exception_handler(ConfigError, _refused)
    app.add_exception_handler(SinkError, _unavailable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _denied)
    if PAGE.is_dir():
        # Of the page alone: clips have ranges, and what is live is not held back.
        app.mount("/", GZipMiddleware(_Page(PAGE)), name="page")
    app.add_middleware(_Headers)
    return app


class _Page(StaticFiles):
    """The page's files, those of the first view in one; a browser asks each time whether they changed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True)
        self._bundle = {
            name: (text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
            for name, text in bundle(directory).items()
        }

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path in self._bundle and scope["method"] in ("GET", "HEAD"):
            text, tag = self._bundle[path]
            kind = "text/css" if path.endswith(".css") else "text/javascript"
            response = Response(text, media_type=kind, headers={"ETag": tag})
            if self.is_not_modified(response.headers, Headers(scope=scope)):
                response = NotModifiedResponse(response.headers)
        else:
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


class _Headers:
    """Security headers on every answer, and no large bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, bounded, with_headers)


async def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 400)


async def _unavailable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": "5"})


async def _denied(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": str(error.detail)}, error.status_code, headers=error.headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0])
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return JSONResponse({"detail": f"{place} is {first.get('input')!r:.60}: {first['msg']}"}, 422)
