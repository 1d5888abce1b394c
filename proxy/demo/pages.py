"""The pages of the demo upstream, and their files."""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = Path(__file__).parent / "assets"
HOME = Template((ASSETS / "home.html").read_text("utf-8"))
CERTIFICATES = Template((ASSETS / "certificates.html").read_text("utf-8"))
CERTIFICATE_ROW = Template((ASSETS / "certificate_row.html").read_text("utf-8"))
ABSOLUTE = Template((ASSETS / "absolute.html").read_text("utf-8"))
# The strictest content policies that admit everything on the page of absolute paths.
POLICIES = {
    "": "",
    "strict": "default-src 'none'; script-src $origin/static/; style-src $origin/static/; img-src $origin/static/; "
    "connect-src 'self'; worker-src $origin/static/; form-action $origin/echo/; base-uri 'none'",
    "nonce": "default-src 'none'; script-src 'nonce-$nonce' 'strict-dynamic'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'",
    "default": "default-src 'self'; object-src 'none'",
}


async def home(request: Request) -> Response:
    """Return the first page, and set a session cookie."""
    response = HTMLResponse(HOME.substitute(origin=escape(_origin(request))))
    response.set_cookie("demo_session", secrets.token_hex(8), httponly=True)
    return response


async def absolute(request: Request) -> Response:
    """Return a page that uses absolute paths only, under the content policy that `policy` names."""
    policy = POLICIES.get(request.query_params.get("policy", ""))
    if policy is None:
        raise HTTPException(400, f"policy must be one of {', '.join(filter(None, POLICIES))}.")
    nonce = secrets.token_hex(8) if "$nonce" in policy else ""
    page = ABSOLUTE.substitute(
        nonce=f' nonce="{nonce}"' if nonce else "",
        style_hash=_integrity("absolute.css"),
        script_hash=_integrity("absolute.js"),
    )
    header = Template(policy).substitute(origin=_origin(request), nonce=nonce)
    return HTMLResponse(page, headers={"content-security-policy": header} if policy else None)


def _origin(request: Request) -> str:
    return f"{request['scheme']}://{request.headers.get('host', '')}"


def _integrity(name: str) -> str:
    content = (ASSETS / "static" / name).read_bytes()
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


class RevalidatedFiles(StaticFiles):
    """Static files that browsers revalidate at each use."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file, or 304 if the client has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def certificates_page(rows: Iterable[Mapping[str, object]]) -> str:
    """Return the list of certificates as a page."""
    return CERTIFICATES.substitute(rows="".join(CERTIFICATE_ROW.substitute(row) for row in rows))


def prefers_html(accept: str) -> bool:
    """Return whether an Accept header ranks HTML above JSON."""
    weights = dict(_weighed(media_range) for media_range in accept.lower().split(","))
    return _weight("text", "html", weights) > _weight("application", "json", weights)


def _weighed(media_range: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip() for part in media_range.split(";"))
    weight = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    try:
        return media_type, float(weight)
    except ValueError:
        return media_type, 0.0


def _weight(kind: str, subtype: str, weights: Mapping[str, float]) -> float:
    ranges = (f"{kind}/{subtype}", f"{kind}/*", "*/*")
    return next((weights[media_range] for media_range in ranges if media_range in weights), 0.0)
