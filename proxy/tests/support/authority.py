"""A certificate authority for servers and clients of tests."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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
