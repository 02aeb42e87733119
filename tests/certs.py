"""A throw-away certificate authority, and what it signs: for servers, merchants, and their mistakes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

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

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the files they are written to."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    cert_path: Path
    key_path: Path

    def write_p12(self, path: Path, password: str) -> Path:
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"merchant", self.key, self.certificate, None, BestAvailableEncryption(password.encode())
            )
        )
        path.chmod(0o600)
        return path


class Authority:
    """A certificate authority in a folder; ``ca_path`` is what trusts it."""

    def __init__(self, folder: Path, name: str = "Throw-away CA") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(self._name, self._name, self._key, NOW - YEAR, NOW + YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(key_cert_sign=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_path = folder / "ca.pem"
        self.ca_path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def server(
        self,
        name: str = "server",
        *,
        hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
        not_before: datetime = NOW - YEAR,
        not_after: datetime = NOW + YEAR,
    ) -> Issued:
        """A server's certificate; by default one that is right for loopback."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(name, hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names, not_before, not_after)

    def client(
        self,
        common_name: str = "1900000109",
        *,
        name: str = "client",
        not_before: datetime = NOW - YEAR,
        not_after: datetime = NOW + YEAR,
    ) -> Issued:
        """A merchant's certificate; WeChat Pay writes the merchant number into its subject."""
        return self._issue(name, common_name, ExtendedKeyUsageOID.CLIENT_AUTH, None, not_before, not_after)

    def _issue(
        self,
        name: str,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
        not_before: datetime,
        not_after: datetime,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            _builder(subject, self._name, key, not_before, not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        issued = Issued(
            certificate=builder.sign(self._key, hashes.SHA256()),
            key=key,
            cert_path=self._folder / f"{name}.pem",
            key_path=self._folder / f"{name}.key",
        )
        issued.cert_path.write_bytes(issued.certificate.public_bytes(Encoding.PEM))
        issued.key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        issued.key_path.chmod(0o600)
        return issued


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
