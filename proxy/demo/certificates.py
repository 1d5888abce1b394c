"""Certificates that can be downloaded. They are the same in every process."""

import base64
import hashlib
import textwrap
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from proxy.demo.pages import certificates_page, prefers_html
from proxy.demo.responses import IndentedJSONResponse

COUNT = 25
KINDS = ("Diagnostics user", "Workshop backend", "Vehicle coding", "Time authority", "Replacement package")
FIRST_EXPIRY = date(2031, 1, 15)


@dataclass(frozen=True)
class Certificate:
    """One entry of the list."""

    id: int
    name: str
    serial: str
    valid_until: str


def _certificate(number: int) -> Certificate:
    return Certificate(
        id=number,
        name=f"{KINDS[number % len(KINDS)]} {number:02}",
        serial=hashlib.sha256(f"certificate {number}".encode()).hexdigest()[:20].upper(),
        valid_until=(FIRST_EXPIRY + timedelta(days=37 * number)).isoformat(),
    )


CERTIFICATES = {str(number): _certificate(number) for number in range(1, COUNT + 1)}


async def list_certificates(request: Request) -> Response:
    """Return the list as a page if the client prefers HTML, else as JSON."""
    rows = [asdict(certificate) for certificate in CERTIFICATES.values()]
    vary = {"vary": "accept"}
    if prefers_html(request.headers.get("accept", "")):
        return HTMLResponse(certificates_page(rows), headers=vary)
    return IndentedJSONResponse(rows, headers=vary)


async def download_certificate(request: Request) -> Response:
    """Return one certificate as a file."""
    number = request.path_params["number"]
    certificate = CERTIFICATES.get(number)
    if certificate is None:
        raise HTTPException(404, f"There is no certificate {number}; they are numbered from 1 to {COUNT}.")
    disposition = f'attachment; filename="certificate-{certificate.id:02}.pem"'
    return Response(
        pem(certificate), headers={"content-disposition": disposition}, media_type="application/x-pem-file"
    )


def pem(certificate: Certificate) -> str:
    """Return a text in PEM form that holds no real certificate."""
    content = hashlib.shake_256(certificate.serial.encode()).digest(768)
    lines = textwrap.wrap(base64.b64encode(content).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
