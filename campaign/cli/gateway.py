"""The gateway that the settings name: WeChat Pay, a stand-in at an address, or the built-in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from campaign.cli.session import Speaker
from campaign.config import Settings
from campaign.errors import SetupError
from campaign.ports import Gateway, SystemClock
from campaign.text import text
from campaign.wechat.bills import FundFlowClient
from campaign.wechat.certificate import ClientCertificate
from campaign.wechat.client import RedpackClient
from campaign.wechat.transport import RequestsTransport, Transport

if TYPE_CHECKING:
    from campaign.wechat.curl import CurlTransport


@contextmanager
def open_gateway(settings: Settings, speaker: Speaker) -> Iterator[Gateway]:
    """The gateway, ready for requests; closed at the end, and the rehearsal's server with it.

    Raises:
        SetupError: key or certificate are missing or wrong. Nothing was connected then.
    """
    api_key = settings.merchant.api_key.get_secret_value()
    with _open_transport(settings, speaker) as transport:
        yield RedpackClient(
            transport=transport,
            api_key=api_key,
            mch_id=settings.merchant.mch_id,
            appid=settings.merchant.wxappid,
        )


@contextmanager
def open_bills(settings: Settings, speaker: Speaker) -> Iterator[FundFlowClient]:
    """Where funds bills come from: the same gateway, in the same way; raises as `open_gateway`."""
    api_key = settings.merchant.api_key.get_secret_value()
    with _open_transport(settings, speaker) as transport:
        yield FundFlowClient(
            transport=transport,
            api_key=api_key,
            mch_id=settings.merchant.mch_id,
            appid=settings.merchant.wxappid,
        )


@contextmanager
def _open_transport(settings: Settings, speaker: Speaker) -> Iterator[Transport]:
    kind = _transport(settings.gateway.transport)
    with _place(settings, speaker) as (urls, certificate, ca_bundle):
        transport = kind(
            urls,
            certificate=certificate,
            ca_bundle=ca_bundle,
            connections=settings.gateway.connections,
            connect_timeout_s=settings.gateway.connect_timeout_s,
            read_timeout_s=settings.gateway.read_timeout_s,
        )
        try:
            yield transport
        finally:
            transport.close()


def _transport(name: Literal["requests", "curl"]) -> type[RequestsTransport | CurlTransport]:
    if name == "requests":
        return RequestsTransport
    try:
        from campaign.wechat.curl import CurlTransport
    except ImportError as error:
        raise SetupError(
            text('gateway.transport = "curl" needs pycurl, which is not installed here'),
            advice=text(
                'install it with: pip install "campaign[fast]", or set gateway.transport = "requests"'
            ),
        ) from error
    return CurlTransport


def client_certificate(settings: Settings) -> ClientCertificate | None:
    """The merchant's certificate with its key; None where the settings name none.

    Raises:
        SetupError: a file is missing, open to others, unreadable or expired, or the key is another's.
    """
    merchant, now_s = settings.merchant, SystemClock().now_s()
    if merchant.p12:
        return ClientCertificate.from_p12(merchant.p12, password=merchant.mch_id, now_s=now_s)
    if merchant.certificate and merchant.private_key:
        return ClientCertificate.from_pem(merchant.certificate, merchant.private_key, now_s=now_s)
    return None


@contextmanager
def _place(
    settings: Settings, speaker: Speaker
) -> Iterator[tuple[tuple[str, ...], ClientCertificate | None, Path | None]]:
    """Where requests go, the certificate to show, and the authorities to trust instead of the public."""
    if not settings.gateway.is_rehearsal:
        yield settings.gateway.urls, client_certificate(settings), settings.gateway.ca_bundle
        return
    from campaign.rehearsal.local import start

    speaker.say(text("REHEARSAL: a stand-in for WeChat Pay answers; no real money moves."), style="cyan")
    with start(settings) as served:
        files = served.certificates
        certificate = ClientCertificate.from_pem(files.client, files.client_key, now_s=SystemClock().now_s())
        yield (served.url,), certificate, files.ca
