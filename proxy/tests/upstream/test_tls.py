"""TLS to the upstream: verification of its certificate, and the client certificate of the gateway."""

import asyncio
import contextlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy import health_checks
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.websockets import open_socket, read_close
from zenzefi import env

THIS_HOST = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
OTHER_HOST = x509.DNSName("elsewhere.example")


class Authority:
    """A certificate authority that keeps its files in a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"authority {folder.name}")])
        folder.mkdir()
        self.file = str(folder / "authority.pem")
        self._write(self.file, self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0)))

    def _sign(self, name, key, extension, days=1):
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=days))
        return builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())

    @staticmethod
    def _write(path, *things):
        with Path(path).open("wb") as file:
            for thing in things:
                if isinstance(thing, x509.Certificate):
                    file.write(thing.public_bytes(serialization.Encoding.PEM))
                else:
                    key_format = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                    file.write(thing.private_bytes(serialization.Encoding.PEM, *key_format))

    def issue(self, name=THIS_HOST, days=1):
        """Issue a certificate for so many days; return the files of the certificate, of its key and of both."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server or client")])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName([name]), days)
        parts = {"certificate": [certificate], "key": [key], "both": [certificate, key]}
        files = [str(self._folder / f"{certificate.serial_number}-{part}.pem") for part in parts]
        for path, things in zip(files, parts.values(), strict=True):
            self._write(path, *things)
        return files


class TlsTerminator:
    """A TLS server in front of a plain one; with `clients_of` it accepts only clients of that authority."""

    def __init__(self, loop, url, certificate, clients_of=None):
        self._loop = loop
        self._port = urlsplit(url).port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        if clients_of:
            self._context.load_verify_locations(clients_of.file)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._tasks = set()
        self.handshakes = 0
        self._server = loop.run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context))
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader, writer):
        self.handshakes += 1
        self._tasks.add(asyncio.current_task())
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await asyncio.gather(_pump(reader, onward), _pump(onward_reader, writer))
        finally:
            onward.transport.abort()
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    def stop(self):
        self._loop.run(self._stop())

    async def _stop(self):
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "known")


@pytest.fixture
def unknown_authority(tmp_path):
    return Authority(tmp_path / "unknown")


@pytest.fixture
def reaches(gateway, demo_upstream, _upstream_loop, alice_token):
    """Yield a function that puts TLS between gateway and demo upstream, and returns whether the gateway accepts it.

    HTTP, WebSocket and health checks must agree.
    """
    started = []

    def reach(certificate, clients_of=None, **settings):
        started.append(TlsTerminator(_upstream_loop, demo_upstream.url, certificate, clients_of))
        gateway.restart(ZENZEFI_TARGET_URL=started[-1].url, **settings)
        response = gateway.client(alice_token).get("/echo")
        with open_socket(gateway, "/ws/echo", alice_token) as opened:
            if response.status_code != 200:
                assert_denied(response, "upstream_unreachable")
                assert read_close(opened) == (1014, "upstream_unreachable")
                assert health_checks.check()["checks"]["upstream"] == "failed"
                return False
            opened.send("there")
            assert opened.recv(timeout=5) == "there"
        assert health_checks.check()["checks"]["upstream"] == "ok"
        assert started[-1].handshakes >= 3
        return True

    yield reach
    for terminator in started:
        terminator.stop()


def test_an_authority_from_the_settings(reaches, authority):
    assert reaches(authority.issue()[2], ZENZEFI_CA_FILE=authority.file)


@pytest.mark.parametrize("days", [-1, 1])
@pytest.mark.parametrize("name", [THIS_HOST, OTHER_HOST])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("verify", [False, True])
def test_authority_name_and_expiry_are_verified_unless_disabled(
    reaches, authority, unknown_authority, days, name, known, verify
):
    certificate = (authority if known else unknown_authority).issue(name, days)[2]
    right = known and name is THIS_HOST and days > 0
    assert reaches(certificate, ZENZEFI_CA_FILE=authority.file, ZENZEFI_VERIFY_TLS=verify) == (right or not verify)


def test_the_systems_authorities_are_the_default(reaches, authority):
    assert not reaches(authority.issue()[2])


@pytest.mark.parametrize("verify", [False, True])
def test_the_client_certificate_is_sent_on_request(reaches, authority, unknown_authority, verify):
    server = authority.issue()[2]
    given = {"ZENZEFI_CA_FILE": authority.file, "ZENZEFI_VERIFY_TLS": verify}
    certificate, key, both = authority.issue()
    assert not reaches(server, authority, **given)
    assert reaches(server, authority, **given, ZENZEFI_CLIENT_CERT=certificate, ZENZEFI_CLIENT_KEY=key)
    assert reaches(server, authority, **given, ZENZEFI_CLIENT_CERT=both, ZENZEFI_CLIENT_KEY="")
    assert reaches(server, **given, ZENZEFI_CLIENT_CERT=both)  # not requested
    foreign = unknown_authority.issue()[2]
    assert not reaches(server, authority, **given, ZENZEFI_CLIENT_CERT=foreign, ZENZEFI_CLIENT_KEY="")


class TestSettings:
    @pytest.fixture
    def read(self, monkeypatch):
        """Return a function that reads these settings and returns their values, or the message of the error."""

        def read(certificate="", key="", authorities=""):
            monkeypatch.setenv("CERT", certificate)
            monkeypatch.setenv("KEY", key)
            monkeypatch.setenv("CA", authorities)
            try:
                return env.client_certificate("CERT", key_name="KEY"), env.authorities("CA")
            except env.ImproperlyConfigured as error:
                return str(error)

        return read

    def test_valid_files(self, read, authority):
        certificate, key, both = authority.issue()
        assert read() == ("", "")
        assert read(certificate, key, authority.file) == (certificate, authority.file)
        assert read(both) == (both, "")

    def test_invalid_files(self, read, authority, tmp_path):
        certificate, key, _ = authority.issue()
        expected = "it must be a certificate in PEM, with its unencrypted key in KEY or in the same file."
        unusable = f"CERT={certificate!r} cannot be used: {expected}"
        assert read("", key) == "KEY is set, but CERT is not. Set CERT to the certificate of the key."
        assert read(certificate) == unusable
        assert read(certificate, authority.issue()[1]) == unusable
        assert read(key) == unusable.replace(certificate, key)
        assert (
            read(certificate, "/nowhere") == "KEY='/nowhere' cannot be used: it must be the path of an existing file."
        )
        encrypted = tmp_path / "encrypted.pem"
        protection = serialization.BestAvailableEncryption(b"password")
        encrypted.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
            )
        )
        assert read(certificate, str(encrypted)) == unusable
        assert (
            read(authorities=key) == f"CA={key!r} cannot be used: it must be a readable file of certificates in PEM."
        )
