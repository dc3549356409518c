"""The page ``/docs``: Swagger UI from the package fastapi-offline, nothing from elsewhere.

Our own page instead of FastAPI's, because that one has a script within it, which a strict
Content-Security-Policy refuses, and loads the rest from the internet.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sentinel API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
#: Files of the package, by the path that serves them.
ASSETS = {
    "/docs/swagger-ui.css": ("swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": ("swagger-ui-bundle.js", "text/javascript"),
}
SCRIPT = "/docs/start.js"
#: What anyone may read without a token.
OPEN = frozenset({"/docs", SCRIPT, *ASSETS})
#: Swagger UI draws its icons from data URLs and sets styles by script, which needs no more.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: For parts that only change with a new version of the package.
KEPT = {"Cache-Control": "max-age=3600"}


def install(app: FastAPI) -> None:
    """Let `app` serve the page and its parts."""
    static = Path(str(files("fastapi_offline") / "static"))

    async def page() -> Response:
        return HTMLResponse(PAGE)

    async def start() -> Response:
        return Response(START, media_type="text/javascript", headers=KEPT)

    def part(name: str, media_type: str) -> Any:
        async def send() -> Response:
            return FileResponse(static / name, media_type=media_type, headers=KEPT)

        return send

    app.add_api_route("/docs", page, include_in_schema=False)
    app.add_api_route(SCRIPT, start, include_in_schema=False)
    for path, (name, media_type) in ASSETS.items():
        app.add_api_route(path, part(name, media_type), include_in_schema=False)
