"""nginx processes: one with any site, and one with the sample configuration of `deploy/`."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zenzefi.tests.support.command import ROOT, free_port, is_refused, wait_until

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
MAIN = """
daemon off;
{user}
error_log stderr crit;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    include {folder}/zenzefi.conf;
}}
"""


@contextlib.contextmanager
def running(folder: Path, site: str, port: int) -> Iterator[None]:
    """Run nginx with this `server` configuration, which listens on `port`, until the block ends."""
    (folder / "zenzefi.conf").write_text(site)
    # If root starts nginx, its worker runs as another user by default, who may not use the temporary folder.
    user = "user root root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    subprocess.run([*command, "-t"], check=True)
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: not is_refused(port))
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def as_deployed(folder: Path, *gateways: int) -> Iterator[str]:
    """Run nginx with `deploy/nginx.conf` in front of gateways on these two ports; yield its URL."""
    port = free_port()
    write_certificate(folder)
    site = (ROOT / "deploy" / "nginx.conf").read_text()
    for sample, value in {
        "127.0.0.1:8000": f"127.0.0.1:{gateways[0]}",
        "127.0.0.1:8010": f"127.0.0.1:{gateways[1]}",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/zenzefi": str(folder),
    }.items():
        assert sample in site
        site = site.replace(sample, value)
    with running(folder, site, port):
        yield f"https://127.0.0.1:{port}"


def write_certificate(folder: Path) -> None:
    """Write a self-signed certificate and its key, as the sample configuration names them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "zenzefi.example")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today)
        .not_valid_after(today + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    formats = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "privkey.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *formats))
