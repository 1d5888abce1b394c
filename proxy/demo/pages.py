"""The pages and the files they use, read once."""

import base64
import hashlib
import mimetypes
import secrets
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from proxy.demo.exchange import HttpError, Request, Response
from proxy.demo.preconditions import etag_matches

ASSETS = Path(__file__).parent / "assets"
HOME = Template((ASSETS / "home.html").read_text("utf-8"))
CERTIFICATES = Template((ASSETS / "certificates.html").read_text("utf-8"))
CERTIFICATE_ROW = Template((ASSETS / "certificate_row.html").read_text("utf-8"))
ABSOLUTE = Template((ASSETS / "absolute.html").read_text("utf-8"))
STATIC = {
    name: (ASSETS / "static" / name).read_bytes()
    for name in ("style.css", "app.js", "favicon.svg", "absolute.css", "absolute.js", "worker.js")
}
# Content policies that admit what the page of absolute paths uses, as strict as there are.
POLICIES = {
    "": "",
    "strict": "default-src 'none'; script-src $origin/static/; style-src $origin/static/; img-src $origin/static/; "
    "connect-src 'self'; worker-src $origin/static/; form-action $origin/echo/; base-uri 'none'",
    "nonce": "default-src 'none'; script-src 'nonce-$nonce' 'strict-dynamic'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'",
    "default": "default-src 'self'; object-src 'none'",
}


async def home(request: Request) -> Response:
    """The first page, with a session cookie of the server's own."""
    origin = f"{request.scope['scheme']}://{request.header('host')}"
    cookie = f"demo_session={secrets.token_hex(8)}; Path=/; HttpOnly; SameSite=Lax"
    headers = (("content-type", "text/html; charset=utf-8"), ("set-cookie", cookie))
    return Response(200, headers, HOME.substitute(origin=escape(origin)).encode())


async def absolute(request: Request) -> Response:
    """A page that asks for everything by absolute paths, under the policy that `policy` names."""
    policy = POLICIES.get(request.query.get("policy", ""))
    if policy is None:
        raise HttpError(400, f"policy must be one of {', '.join(filter(None, POLICIES))}.")
    nonce = secrets.token_hex(8) if "$nonce" in policy else ""
    page = ABSOLUTE.substitute(
        nonce=f' nonce="{nonce}"' if nonce else "",
        style_hash=_integrity(STATIC["absolute.css"]),
        script_hash=_integrity(STATIC["absolute.js"]),
    )
    origin = f"{request.scope['scheme']}://{request.header('host')}"
    stated = (("content-security-policy", Template(policy).substitute(origin=origin, nonce=nonce)),) if policy else ()
    return Response(200, (("content-type", "text/html; charset=utf-8"), *stated), page.encode())


def _integrity(content: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


async def static_file(request: Request) -> Response:
    """A stylesheet, a script or a picture."""
    content = STATIC.get(request.argument)
    if content is None:
        raise HttpError(404, f"There is no file {request.path}.")
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = (("etag", etag), ("cache-control", "no-cache"))
    if etag_matches(request.header("if-none-match"), etag):
        return Response(304, headers)
    media_type = mimetypes.guess_type(request.argument)[0] or "application/octet-stream"
    return Response(200, (("content-type", media_type), *headers), content)


def certificates_page(rows: Iterable[Mapping[str, object]]) -> bytes:
    """The list of certificates as a page."""
    return CERTIFICATES.substitute(rows="".join(CERTIFICATE_ROW.substitute(row) for row in rows)).encode()


def prefers_html(accept: str) -> bool:
    """Whether an Accept header ranks HTML above JSON."""
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
