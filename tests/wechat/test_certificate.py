"""The merchant's certificate: every ordinary mistake is one clear sentence."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)

from campaign.errors import SetupError
from campaign.wechat.certificate import ClientCertificate
from tests.certs import NOW, YEAR, Authority, Issued

MCH_ID = "1900000109"
NOW_S = NOW.timestamp()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.client(MCH_ID)


def read(issued: Issued, now_s: float = NOW_S) -> ClientCertificate:
    return ClientCertificate.from_pem(issued.cert_path, issued.key_path, now_s=now_s)


def test_pem_and_p12_say_whose_it_is_and_until_when(issued: Issued, tmp_path: Path) -> None:
    p12 = issued.write_p12(tmp_path / "c.p12", MCH_ID)
    for certificate in (read(issued), ClientCertificate.from_p12(p12, password=MCH_ID, now_s=NOW_S)):
        assert certificate.common_name == MCH_ID
        assert abs(certificate.not_after - (NOW + YEAR)) < timedelta(seconds=1)
        assert certificate.not_after.tzinfo is not None


def test_a_p12_in_the_old_encryption_is_read(issued: Issued, tmp_path: Path) -> None:
    """WeChat Pay's own tool still writes it."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())
        .build(MCH_ID.encode())
    )
    path = tmp_path / "old.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"x", issued.key, issued.certificate, None, encryption)
    )
    path.chmod(0o600)
    assert ClientCertificate.from_p12(path, password=MCH_ID, now_s=NOW_S).common_name == MCH_ID


def _missing_certificate(issued: Issued, authority: Authority) -> object:
    issued.cert_path.unlink()
    return read(issued)


def _missing_key(issued: Issued, authority: Authority) -> object:
    issued.key_path.unlink()
    return read(issued)


def _missing_p12(issued: Issued, authority: Authority) -> object:
    return ClientCertificate.from_p12(issued.cert_path.with_name("x.p12"), password=MCH_ID, now_s=NOW_S)


def _folder(issued: Issued, authority: Authority) -> object:
    return ClientCertificate.from_pem(issued.cert_path.parent, issued.key_path, now_s=NOW_S)


def _wrong_password(issued: Issued, authority: Authority) -> object:
    p12 = issued.write_p12(issued.cert_path.with_name("c.p12"), MCH_ID)
    return ClientCertificate.from_p12(p12, password="1900000110", now_s=NOW_S)


def _not_a_p12(issued: Issued, authority: Authority) -> object:
    return ClientCertificate.from_p12(issued.key_path, password=MCH_ID, now_s=NOW_S)


def _p12_without_key(issued: Issued, authority: Authority) -> object:
    path = issued.cert_path.with_name("c.p12")
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", None, None, [issued.certificate], BestAvailableEncryption(MCH_ID.encode())
        )
    )
    path.chmod(0o600)
    return ClientCertificate.from_p12(path, password=MCH_ID, now_s=NOW_S)


def _other_key(issued: Issued, authority: Authority) -> object:
    return ClientCertificate.from_pem(
        issued.cert_path, authority.client(MCH_ID, name="other").key_path, now_s=NOW_S
    )


def _swapped(issued: Issued, authority: Authority) -> object:
    issued.cert_path.chmod(0o600)
    return ClientCertificate.from_pem(issued.key_path, issued.cert_path, now_s=NOW_S)


def _garbage_key(issued: Issued, authority: Authority) -> object:
    issued.key_path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return read(issued)


def _encrypted_key(issued: Issued, authority: Authority) -> object:
    issued.key_path.write_bytes(
        issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    return read(issued)


def _expired(issued: Issued, authority: Authority) -> object:
    return read(issued, (NOW + YEAR).timestamp() + 1)


def _not_yet_valid(issued: Issued, authority: Authority) -> object:
    return read(issued, (NOW - YEAR).timestamp() - 1)


def _open_to_the_group(issued: Issued, authority: Authority) -> object:
    issued.key_path.chmod(0o640)
    return read(issued)


def _open_to_all(issued: Issued, authority: Authority) -> object:
    p12 = issued.write_p12(issued.cert_path.with_name("c.p12"), MCH_ID)
    p12.chmod(0o604)
    return ClientCertificate.from_p12(p12, password=MCH_ID, now_s=NOW_S)


@pytest.mark.parametrize(
    "mistake, sentence",
    [
        (_missing_certificate, r"client\.pem does not exist"),
        (_missing_key, r"client\.key does not exist"),
        (_missing_p12, r"x\.p12 does not exist"),
        (_folder, "cannot be read: Is a directory"),
        (_wrong_password, "wrong password, or not a .p12"),
        (_not_a_p12, "wrong password, or not a .p12"),
        (_p12_without_key, "is not a .p12 file with certificate and private key"),
        (_other_key, "does not belong to this certificate"),
        (_swapped, "is not a certificate in PEM"),
        (_garbage_key, "is not a private key in PEM"),
        (_encrypted_key, "the private key has a password"),
        (_expired, r"expired on \d{4}-\d\d-\d\d"),
        (_not_yet_valid, r"not valid before \d{4}-\d\d-\d\d"),
        (_open_to_the_group, "others on this machine may read"),
        (_open_to_all, "others on this machine may read"),
    ],
)
def test_each_mistake_is_one_sentence_with_advice(
    issued: Issued, authority: Authority, mistake: Callable[[Issued, Authority], object], sentence: str
) -> None:
    with pytest.raises(SetupError, match=sentence) as caught:
        mistake(issued, authority)
    assert caught.value.advice is not None
    assert MCH_ID not in str(caught.value.advice)


def test_the_dates_are_exclusive_and_inclusive(issued: Issued) -> None:
    last = issued.certificate.not_valid_after_utc.timestamp()
    first = issued.certificate.not_valid_before_utc.timestamp()
    read(issued, first)
    read(issued, last - 1)
    with pytest.raises(SetupError, match="expired"):
        read(issued, last)


def test_neither_key_nor_certificate_appear_in_the_repr(issued: Issued) -> None:
    certificate = read(issued)
    assert "PRIVATE" not in repr(certificate)
    assert "BEGIN" not in repr(certificate)
    assert "Key object" not in repr(certificate)


def test_the_key_touches_the_disk_only_encrypted_and_is_gone_at_once(
    issued: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen: list[tuple[bytes, int]] = []

    class Spy(ssl.SSLContext):
        def load_cert_chain(self, certfile, keyfile=None, password=None) -> None:  # type: ignore[no-untyped-def]
            path = Path(certfile)
            seen.append((path.read_bytes(), path.stat().st_mode & 0o777))
            super().load_cert_chain(certfile, keyfile, password)

    read(issued).load_into(Spy(ssl.PROTOCOL_TLS_CLIENT))
    [(pem, mode)] = seen
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in pem
    assert b"BEGIN PRIVATE KEY" not in pem
    assert mode == 0o600
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "error, sentence",
    [
        (OSError(28, "No space left on device"), "No space left"),
        (ssl.SSLError(1, "ee key too small"), "TLS cannot use this certificate .ee key too small"),
    ],
)
def test_a_failure_to_load_is_a_setup_error_and_leaves_nothing(
    issued: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    class Broken(ssl.SSLContext):
        def load_cert_chain(self, *args: object, **kwargs: object) -> None:
            raise error

    with pytest.raises(SetupError, match=sentence):
        read(issued).load_into(Broken(ssl.PROTOCOL_TLS_CLIENT))
    assert list(folder.iterdir()) == []


def test_a_folder_for_temporary_files_that_is_missing_is_a_setup_error(
    issued: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SetupError, match="no temporary file"):
        read(issued).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_setup_error(issued: Issued) -> None:
    issued.cert_path.chmod(0)
    with pytest.raises(SetupError, match="cannot be read"):
        read(issued)
