"""The page to try the service with, at `/`: its files, and how they are sent.

Static files without a build step; `web/page.js` calls the service's own routes. The page's own
style comes after the report's. No file tells anything of the critic or of a request, so they need
no token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import Response

from genprm.report.html import css

# The browser loads from the service alone, runs no other script, and makes no markup of text.
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
KINDS = {
    "index.html": "text/html",
    "report.css": "text/css",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "examples.json": "application/json",
    "icon.svg": "image/svg+xml",
}
PATHS = {"/" if name == "index.html" else f"/{name}": name for name in KINDS}


def add_page(app: FastAPI) -> None:
    """Have the application answer at `PATHS`, under whatever prefix it is mounted at."""
    for path, name in PATHS.items():
        app.add_route(path, _sender(name), include_in_schema=False)


def _sender(name: str) -> Callable[[Request], Awaitable[Response]]:
    web = files("cluster.serving").joinpath("web", name)
    content = css() if name == "report.css" else web.read_text(encoding="utf-8")

    async def send(request: Request) -> Response:
        return Response(content, media_type=KINDS[name], headers=HEADERS)

    return send
