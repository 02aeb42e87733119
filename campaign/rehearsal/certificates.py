"""The stand-in's throw-away authority and the certificates it signs, as files in one folder."""

from __future__ import annotations

import ipaddress
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: A merchant's real certificate lasts as long (R8).
_VALID: Final = timedelta(days=5 * 365)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files in a folder; the keys have mode 0600."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def client(self) -> Path:
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    @property
    def client_p12(self) -> Path:
        """Certificate and key in one; its password is the merchant number, as WeChat Pay does it (R8)."""
        return self.folder / "client.p12"

    @property
    def server(self) -> Path:
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    def files(self) -> tuple[Path, ...]:
        """Every file, the authority last: it vouches for the others."""
        return (self.client, self.client_key, self.client_p12, self.server, self.server_key, self.ca)


def ensure(folder: Path, mch_id: str) -> Certificates:
    """The folder's certificates, made where it has no complete set that is this merchant's and still valid.

    The authority's own key is thrown away, so nobody can add to a set: a broken one is replaced as a whole.
    """
    found = Certificates(folder)
    if not _usable(found, mch_id):
        folder.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            _make(Certificates(workshop), mch_id)
            for path in found.files():
                (workshop / path.name).replace(path)
        finally:
            shutil.rmtree(workshop)
    return found


def _usable(found: Certificates, mch_id: str) -> bool:
    if not all(path.is_file() for path in found.files()):
        return False
    try:
        client, server, ca = (
            x509.load_pem_x509_certificate(path.read_bytes())
            for path in (found.client, found.server, found.ca)
        )
        client.verify_directly_issued_by(ca)
        server.verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001 - whatever is wrong with a throw-away certificate, a new one mends it
        return False
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return (
        merchant_in(client) == mch_id
        and min(client.not_valid_after_utc, server.not_valid_after_utc) > tomorrow
    )


def merchant_in(certificate: x509.Certificate) -> str:
    """The merchant number in a certificate's subject."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _make(files: Certificates, mch_id: str) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = _named("campaign rehearsal")
    authority = (
        _builder(name, name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )

    def issue(common_name: str, purpose: x509.ObjectIdentifier, cert: Path, key_path: Path) -> _Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            _builder(_named(common_name), name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        _write(cert, certificate.public_bytes(Encoding.PEM))
        _write(key_path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key, certificate

    key, certificate = issue(mch_id, ExtendedKeyUsageOID.CLIENT_AUTH, files.client, files.client_key)
    password = BestAvailableEncryption(mch_id.encode())
    _write(
        files.client_p12,
        pkcs12.serialize_key_and_certificates(b"rehearsal", key, certificate, None, password),
    )
    issue("127.0.0.1", ExtendedKeyUsageOID.SERVER_AUTH, files.server, files.server_key)
    _write(files.ca, authority.public_bytes(Encoding.PEM))


_Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A day back, so that a clock that is a little behind accepts it.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
