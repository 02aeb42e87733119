"""The merchant's API certificate (R8): read, checked, and handed to TLS."""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from campaign.domain.days import beijing_day
from campaign.errors import SetupError
from campaign.text import Text, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate with its private key, found to belong together and to be valid now."""

    #: Where the certificate was read from.
    source: Path
    #: The subject's common name; WeChat Pay writes the merchant number there.
    common_name: str
    not_after: datetime
    _chain_pem: bytes = field(repr=False)
    _private_key: PrivateKeyTypes = field(repr=False)

    @classmethod
    def from_pem(cls, certificate: Path, private_key: Path, *, now_s: float) -> ClientCertificate:
        """Read ``apiclient_cert.pem`` and ``apiclient_key.pem``.

        Args:
            now_s: Unix seconds; the certificate must be valid then.

        Raises:
            SetupError: a file is missing, open to others or unreadable, the two do not belong
                together, or the dates are wrong.
        """
        try:
            chain = x509.load_pem_x509_certificates(_read(certificate))
        except ValueError as error:
            raise _not_readable(certificate, text("a certificate in PEM")) from error
        try:
            key = load_pem_private_key(_read_secret(private_key), password=None)
        except TypeError as error:
            raise SetupError(
                text("{path}: the private key has a password", path=private_key),
                advice=text("use apiclient_key.pem as WeChat Pay's tool made it, or apiclient_cert.p12"),
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _not_readable(private_key, text("a private key in PEM")) from error
        return cls._checked(certificate, chain, key, now_s=now_s)

    @classmethod
    def from_p12(cls, path: Path, *, password: str, now_s: float) -> ClientCertificate:
        """Read ``apiclient_cert.p12``.

        Args:
            password: the merchant number, unless somebody changed it (R8).
            now_s: as in `from_pem`.

        Raises:
            SetupError: as in `from_pem`, or the password is wrong.
        """
        data = _read_secret(path)
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(data, password.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SetupError(
                text("{path} cannot be opened: wrong password, or not a .p12 file", path=path),
                advice=text("its password is the merchant number; check merchant.mch_id and the file"),
            ) from error
        if key is None or leaf is None:
            raise _not_readable(path, text("a .p12 file with certificate and private key"))
        return cls._checked(path, [leaf, *others], key, now_s=now_s)

    @classmethod
    def _checked(
        cls, source: Path, chain: Sequence[x509.Certificate], key: PrivateKeyTypes, *, now_s: float
    ) -> ClientCertificate:
        leaf = chain[0]
        if _spki(leaf.public_key()) != _spki(key.public_key()):
            raise SetupError(
                text("{path}: the private key does not belong to this certificate", path=source),
                advice=text("use the certificate and the key that were made together"),
            )
        now = datetime.fromtimestamp(now_s, UTC)
        if now >= leaf.not_valid_after_utc:
            raise SetupError(
                text(
                    "{path}: the certificate expired on {date}",
                    path=source,
                    date=_date(leaf.not_valid_after_utc),
                ),
                advice=text(
                    "apply for a new API certificate on the merchant platform; the bill numbers stay"
                ),
            )
        if now < leaf.not_valid_before_utc:
            raise SetupError(
                text(
                    "{path}: the certificate is not valid before {date}",
                    path=source,
                    date=_date(leaf.not_valid_before_utc),
                ),
                advice=text("check this machine's clock"),
            )
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return cls(
            source=source,
            common_name=str(names[0].value) if names else "",
            not_after=leaf.not_valid_after_utc,
            _chain_pem=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
            _private_key=key,
        )

    def as_pem(self) -> tuple[bytes, bytes]:
        """The certificate with its chain, and the private key in clear: for a library that takes both from
        memory, and for nothing else."""
        key = self._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._chain_pem, key

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a TLS context show this certificate.

        OpenSSL takes it from a file only. That file is encrypted with a passphrase that nobody keeps,
        readable by its owner alone, and gone at once, so a .p12's key never lies on the disk in clear.

        Raises:
            SetupError: no temporary file could be written, or OpenSSL refuses the certificate.
        """
        passphrase = secrets.token_hex(32)
        pem = self._chain_pem + self._private_key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
        )
        try:
            handle, name = tempfile.mkstemp(prefix="campaign-", suffix=".pem")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(pem)
                context.load_cert_chain(name, password=passphrase)
            finally:
                Path(name).unlink()
        except ssl.SSLError as error:
            raise SetupError(
                text(
                    "{path}: TLS cannot use this certificate ({cause})",
                    path=self.source,
                    cause=error.strerror,
                ),
                advice=text("apply for a new API certificate on the merchant platform"),
            ) from error
        except OSError as error:
            raise SetupError(
                text("no temporary file can be written for TLS: {cause}", cause=error.strerror),
                advice=text("make room or set TMPDIR to a folder that can be written"),
            ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SetupError(
            text("{path} does not exist", path=path),
            advice=text(
                "put the merchant's API certificate there, or correct its path in campaign.toml ([merchant])"
            ),
        ) from error
    except OSError as error:
        raise SetupError(
            text("{path} cannot be read: {cause}", path=path, cause=error.strerror),
            advice=text("check the path and the file's permissions"),
        ) from error


def _read_secret(path: Path) -> bytes:
    """Read a file with a private key, which only its owner may open (a .p12's password is public)."""
    data = _read(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise SetupError(
            text("{path}: others on this machine may read the private key", path=path),
            advice=text("run: chmod 600 {path}", path=path),
        )
    return data


def _not_readable(path: Path, kind: Text) -> SetupError:
    return SetupError(
        text("{path} is not {kind}", path=path, kind=kind),
        advice=text("use the files of the merchant's API certificate as they were downloaded"),
    )


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _date(moment: datetime) -> date:
    """The day as the operator's calendar has it."""
    return beijing_day(moment.timestamp())
