"""Fetching the funds bill of a day: v2 ``downloadfundflow`` (R10.2)."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from campaign.domain.bill import Bill
from campaign.domain.billno import nonce_str
from campaign.domain.days import DAY_S, HOUR_S, day_start_s
from campaign.errors import BillRejected, CampaignError, GatewayError, NotFinished, SetupError
from campaign.text import Text, text
from campaign.wechat.envelope import Malformed, flat, from_xml, to_xml
from campaign.wechat.fields import DOWNLOADFUNDFLOW
from campaign.wechat.fundflow import parse_bill
from campaign.wechat.signing import sign_hmac_sha256
from campaign.wechat.transport import Transport

#: What may come over the wire: a compressed day of millions of lines.
DOWNLOAD_BYTES_MAX: Final = 256 * 1024 * 1024

#: From the beginning of a day until its bill is surely there: 10:00 of the next (R10.2).
READY_S: Final = DAY_S + 10 * HOUR_S

_SHA1: Final = re.compile(r"SHA(?:-?1)?=([0-9A-Fa-f]{40})", re.ASCII)
#: Codes that say: the same request will succeed later.
_LATER: Final = {
    "BILL_CREATING": text("WeChat Pay has not made the bill of {day} yet."),
    "SYSTEMERROR": text("WeChat Pay is busy and did not give the bill of {day}."),
    "FREQ_LIMIT": text("WeChat Pay was asked too often and did not give the bill of {day}."),
}


class FundFlowClient:
    """Downloads funds bills over a transport. One call is one request."""

    def __init__(self, *, transport: Transport, api_key: str, mch_id: str, appid: str) -> None:
        """``appid``: ``wxappid`` in the settings."""
        self._transport = transport
        self._api_key = api_key
        self._mch_id = mch_id
        self._appid = appid

    def __repr__(self) -> str:
        return f"FundFlowClient(mch_id={self._mch_id!r}, appid={self._appid!r})"

    def bill(self, day: date, account: str, *, now_s: float) -> Bill:
        """The bill of one Beijing day; without lines where nothing moved (NO_BILL_EXIST).

        Args:
            account: ``Basic`` or ``Operation``.
            now_s: before the bill is surely made, that there is none does not prove that nothing moved, so
                such a bill covers no day.

        Raises:
            NotFinished: not made yet, WeChat Pay is busy, or cannot be reached; the same call succeeds later.
            SetupError: WeChat Pay refuses the request: key, certificate or merchant are wrong.
            BillRejected: what came is no whole bill.
        """
        file = f"fundflow-{account}-{day}"
        days = frozenset({day}) if now_s >= day_start_s(day) + READY_S else frozenset[date]()
        parameters = {
            "account_type": account,
            "appid": self._appid,
            "bill_date": f"{day:%Y%m%d}",
            "mch_id": self._mch_id,
            "nonce_str": nonce_str(file),
            "sign_type": "HMAC-SHA256",
            "tar_type": "GZIP",
        }
        signed = {**parameters, "sign": sign_hmac_sha256(parameters, self._api_key)}
        try:
            content, digest = self._transport.download(
                DOWNLOADFUNDFLOW.path, to_xml(signed), bytes_max=DOWNLOAD_BYTES_MAX
            )
        except GatewayError as error:
            raise NotFinished(
                text("The bill of {day} could not be fetched: {cause}.", day=str(day), cause=error.message),
                advice=_AGAIN,
            ) from error
        if content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
            code, words = _complaint(content, file)
            if code == "NO_BILL_EXIST":
                return Bill(file=file, account=account, asked_days=days)
            raise _refused(code, words, day)
        found = _SHA1.fullmatch(digest.strip())
        return parse_bill(content, file=file, account=account, sha1=found[1] if found else "", days=days)


def _complaint(content: bytes, file: str) -> tuple[str, str]:
    """Code and words of an answer that is no bill; older answers have the code in ``return_msg`` only."""
    try:
        fields = flat(from_xml(content))
    except Malformed:
        raise BillRejected(
            text("WeChat Pay's answer for {file} is neither a bill nor an error message.", file=file),
            advice=_AGAIN,
        ) from None
    words = fields.get("err_code_des") or fields.get("return_msg", "")
    code = fields.get("err_code") or fields.get("error_code") or fields.get("return_msg", "")
    return code.strip().upper().replace(" ", "_"), words


def _refused(code: str, words: str, day: date) -> CampaignError:
    if code in _LATER:
        return NotFinished(Text(_LATER[code].template, {"day": str(day)}), advice=_AGAIN)
    return SetupError(
        text(
            "WeChat Pay refuses to give the bill of {day}: {code} {words}",
            day=str(day),
            code=code or "–",
            words=words,
        ),
        advice=text(
            "An engineer compares mch_id, wxappid, api_key and certificate with the merchant platform; "
            "`campaign doctor` tests them. A bill can also be downloaded there and be named as a file."
        ),
    )


_AGAIN: Final = text(
    "Run the same command again later. WeChat Pay makes a day's bill from 09:00 (Beijing) of the next day; "
    "after 10:00 it should be there."
)
