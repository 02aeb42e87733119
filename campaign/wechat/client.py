"""The client of the red packet calls: signs, posts once, translates the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from campaign.domain.answer import QueryAnswer, SendAnswer
from campaign.domain.billno import nonce_str
from campaign.ports import Exchange, Line
from campaign.wechat.answers import read_query, read_send
from campaign.wechat.bodies import Bodies
from campaign.wechat.fields import BILL_TYPE, GETHBINFO, SENDREDPACK
from campaign.wechat.transport import Transport


class RedpackClient:
    """WeChat Pay over a transport (`campaign.ports.Gateway`). Thread-safe if its transport is."""

    def __init__(self, *, transport: Transport, api_key: str, mch_id: str, appid: str) -> None:
        """``appid``: the account under which the packets are sent, ``wxappid`` there (R2.7)."""
        self._transport = transport
        self._api_key = api_key
        self._mch_id = mch_id
        self._appid = appid
        self._sends = Bodies(SENDREDPACK, api_key)
        self._questions = Bodies(GETHBINFO, api_key)

    def __repr__(self) -> str:
        return f"RedpackClient(mch_id={self._mch_id!r}, appid={self._appid!r})"

    @property
    def line(self) -> Line | None:
        """The transport, where it can carry many requests on one thread."""
        return self._transport.line

    def send_redpack(self, parameters: Mapping[str, str]) -> SendAnswer:
        """Send one packet and wait for the answer; raises as `campaign.ports.Exchange.now`."""
        return self.sending(parameters).now()

    def query(self, mch_billno: str, *, appid: str = "") -> QueryAnswer:
        """Ask about one bill number and wait for the answer; raises as `campaign.ports.Exchange.now`."""
        return self.asking(mch_billno, appid=appid).now()

    def sending(self, parameters: Mapping[str, str]) -> Exchange[SendAnswer]:
        """One packet; see `campaign.ports.Gateway`."""
        read = partial(read_send, expected=parameters, api_key=self._api_key)
        return Exchange(SENDREDPACK.path, self._sends.of(parameters), read, self._transport.post)

    def asking(self, mch_billno: str, *, appid: str = "") -> Exchange[QueryAnswer]:
        """The question about one bill number; see `campaign.ports.Gateway`."""
        parameters = {
            "appid": appid or self._appid,
            "bill_type": BILL_TYPE,
            "mch_billno": mch_billno,
            "mch_id": self._mch_id,
            "nonce_str": nonce_str(mch_billno),
        }
        read = partial(read_query, mch_billno=mch_billno, api_key=self._api_key)
        return Exchange(GETHBINFO.path, self._questions.of(parameters), read, self._transport.post)

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()
