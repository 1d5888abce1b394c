"""The certificates on offer: always the same ones."""

import base64
import hashlib
import textwrap
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from proxy.demo.exchange import HttpError, Request, Response, json_response
from proxy.demo.pages import certificates_page, prefers_html

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
    """The list: a page for a browser, JSON for everybody else."""
    rows = [asdict(certificate) for certificate in CERTIFICATES.values()]
    vary = (("vary", "accept"),)
    if prefers_html(request.header("accept")):
        html = ("content-type", "text/html; charset=utf-8")
        return Response(200, (html, *vary), certificates_page(rows))
    return json_response(rows, headers=vary)


async def download_certificate(request: Request) -> Response:
    """One certificate as a file."""
    certificate = CERTIFICATES.get(request.argument)
    if certificate is None:
        raise HttpError(404, f"There is no certificate {request.argument}; they are numbered from 1 to {COUNT}.")
    name = f"certificate-{certificate.id:02}.pem"
    headers = (
        ("content-type", "application/x-pem-file"),
        ("content-disposition", f'attachment; filename="{name}"'),
    )
    return Response(200, headers, pem(certificate).encode())


def pem(certificate: Certificate) -> str:
    """A text in the shape of a PEM file; it holds no real certificate."""
    content = hashlib.shake_256(certificate.serial.encode()).digest(768)
    lines = textwrap.wrap(base64.b64encode(content).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
