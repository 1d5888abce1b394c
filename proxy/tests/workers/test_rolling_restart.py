"""Two gateways behind nginx, as `deploy/nginx.conf` has it, are restarted one after the other."""

import itertools
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.tests.support.servers import eventually
from zenzefi.tests.command import ROOT, free_port, is_refused, wait_until

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


def write_certificate(folder: Path) -> None:
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


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Any]:
    """Start nginx with the sample, in front of gateways on these two ports; its URL."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*gateways: int) -> str:
        folder, port = tmp_path / "nginx", free_port()
        folder.mkdir()
        write_certificate(folder)
        sample = (ROOT / "deploy" / "nginx.conf").read_text()
        for written, meant in {
            "127.0.0.1:8000": f"127.0.0.1:{gateways[0]}",
            "127.0.0.1:8010": f"127.0.0.1:{gateways[1]}",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/ssl/zenzefi": str(folder),
        }.items():
            assert written in sample
            sample = sample.replace(written, meant)
        (folder / "zenzefi.conf").write_text(sample)
        # Started by root its worker would be another user, who may not use the temporary folder.
        user = "user root root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        subprocess.run([*command, "-t"], check=True)
        processes.append(subprocess.Popen(command))
        wait_until(lambda: not is_refused(port))
        return f"https://127.0.0.1:{port}"

    yield start
    for process in processes:
        process.terminate()
        process.wait()


class Traffic:
    """Clients that send GETs and POSTs, each with a number of its own in the path, and record the answers."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.answers: list[str | int] = []
        self._numbers = itertools.count()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._drive, args=(url, headers)) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def _drive(self, url: str, headers: dict[str, str]) -> None:
        with httpx.Client(base_url=url, headers=headers, verify=False, trust_env=False, timeout=30) as client:
            while not self._enough.is_set():
                number = next(self._numbers)
                path, body = f"/api/v1/proxy/request/{number}", b"x" * 2000 if number % 2 else None
                try:
                    answer = client.request("POST" if body else "GET", path, content=body)
                    self.answers.append(answer.headers.get("X-Zenzefi-Error") or answer.status_code)
                except httpx.HTTPError as error:
                    self.answers.append(repr(error))

    def end(self) -> list[str | int]:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        return self.answers


def is_ready(gateway: Any) -> bool:
    try:
        return httpx.get(f"{gateway.url}/health/ready", trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False


# case F70
@pytest.mark.services
@pytest.mark.skipif(NGINX is None, reason="needs nginx")
def test_a_rolling_restart_of_two_gateways_behind_nginx_loses_no_request(
    nginx: Any, start_gateway_process: Any, recording_upstream: Any, alice_token: Any
) -> None:
    ports = free_port(), free_port()

    def start(port: int) -> Any:
        given = {"PORT": str(port), "DRAIN_DELAY": "2", "TRUSTED_PROXIES": "127.0.0.1"}
        return start_gateway_process(recording_upstream.url, **given)

    gateways = [start(port) for port in ports]
    for gateway in gateways:
        gateway.wait_ready()
        wait_until(lambda gateway=gateway: is_ready(gateway))
    traffic = Traffic(nginx(*ports), alice_token.headers)
    eventually(lambda: len(traffic.answers) > 50)
    for gateway, port in zip(gateways, ports, strict=True):
        assert gateway.end(signal.SIGTERM) == 0
        again = start(port)
        again.wait_ready()
        wait_until(lambda again=again: is_ready(again))
        so_far = len(traffic.answers)
        eventually(lambda so_far=so_far: len(traffic.answers) > so_far + 50)
    answers = traffic.end()

    assert set(answers) == {200}, [answer for answer in answers if answer != 200]
    carried = [request for request in recording_upstream.requests if request.target.startswith(b"/request/")]
    assert len({request.target for request in carried}) == len(answers)
    posts = [request.target for request in carried if request.line.startswith(b"POST")]
    assert len(posts) == len(set(posts))
