"""The Python interface: red packets by reference, with the parameter names of R9.1, but idempotent.

    from campaign import RedPack

    with RedPack(config="campaign.toml") as red_pack:
        red_pack.send_red_pack({"type": "normal", "re_openid": "oXXXX", "total_amount": 8.88, …},
                               reference="order-4711")

It is the command line without a terminal: the same settings, ledger, numbers, caps and locks, so both may
be used beside each other. Amounts go in as yuan. Errors are those of `campaign.errors`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from campaign.cli.desk import Stop, open_desk
from campaign.cli.gateway import open_gateway
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.cli.send import pay, read_options
from campaign.config import FILE_NAME, Settings, find_settings, load_settings
from campaign.domain.verdict import halt_advice
from campaign.errors import NeedsPerson, NotFinished, UsageError
from campaign.ports import Clock, Gateway, SystemClock
from campaign.stages.records import LIMIT_DEFAULT, Record, ask_status, find_packet, list_records, record_of
from campaign.stages.single import Packet, order_of
from campaign.stages.standing import Standing
from campaign.text import Text, text
from campaign.wechat.answers import explain

if TYPE_CHECKING:
    import pandas

__all__ = ["RedPack"]

_TEXTS: Final = ("send_name", "act_name", "remark", "wishing", "scene_id", "risk_info")
_REQUIRED: Final = ("type", "re_openid", "total_amount")
#: ``gateway_type`` chose among the configurations of another platform; here the settings do.
_KNOWN: Final = frozenset({*_REQUIRED, *_TEXTS, "official_account_id", "total_num", "gateway_type"})

_log = logging.getLogger("campaign.api")


class _Log:
    """Says to the log what the command line says on stderr."""

    def say(self, sentence: Text, *, style: str = "") -> None:  # noqa: ARG002 - a terminal's
        _log.info("%s", sentence)


class RedPack:
    """Sends single packets and looks up what was sent. May be shared by threads; close it at the end."""

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        wait_s: float = 30.0,
        unmask: bool = False,
        gateway_hosts: Sequence[str] = (),
    ) -> None:
        """Read the settings; nothing is opened yet.

        Args:
            config: ``campaign.toml``, or the folder it is in; by default the working directory.
            wait_s: how long `send_red_pack` may stay for its turn, and again for a clear answer.
            unmask: give openids in full.
            gateway_hosts: as ``--gateway-host``.

        Raises:
            SetupError: there are no settings, or something is wrong in them.
        """
        path = Path(config) if config is not None else None
        file = find_settings(path / FILE_NAME if path and path.is_dir() else path)
        self._settings: Settings = load_settings(file, gateway_hosts=gateway_hosts)
        self._wait_s = wait_s
        self._unmask = unmask
        self._clock: Clock = SystemClock()
        self._stop = Stop()
        self._opening = threading.Lock()
        self._opened = ExitStack()
        self._wire: Gateway | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back. The next request would open them again."""
        with self._opening:
            self._wire = None
            self._opened.close()

    def send_red_pack(self, params: Mapping[str, Any], *, reference: str) -> dict[str, str]:
        """Send one packet, once: the same reference again sends nothing more and answers the same.

        Args:
            params: ``type`` (``normal``), ``re_openid`` and ``total_amount`` (yuan); ``send_name``,
                ``act_name``, ``remark``, ``wishing``, ``scene_id`` and ``risk_info``, else the settings';
                ``official_account_id`` and ``total_num`` are checked where given.
            reference: your own number for this packet, never used for another one.

        Returns:
            ``return_code``, ``mch_billno``, and ``send_listid``, which may be empty.

        Raises:
            UsageError: the parameters cannot be sent, or ask for a packet that WeChat Pay no longer has.
            PlanConflict: the reference stands for another packet.
            NotFinished: not sent, or not known yet; the same call goes on. ``error.message.facts`` has the
                ``mch_billno``.
            NeedsPerson: not paid, and not by itself any more; says why, and who does what.
        """
        order = order_of(self._packet(params, reference), read_options(self._settings))
        paid = pay(
            order,
            self._settings,
            _Log(),
            self._clock,
            self._stop,
            gateway=self._gateway,
            agree=lambda: True,
            wait_s=self._wait_s,
        )
        assert paid is not None
        standing, sent = paid
        _raise_unpaid(standing, sent.entry.mch_billno)
        return {
            "return_code": "SUCCESS",
            "mch_billno": sent.entry.mch_billno,
            "send_listid": sent.entry.send_listid,
        }

    def get_sent_red_pack_list(self, limit: int = LIMIT_DEFAULT, offset: int = 0) -> Record:
        """A page of the sent records, oldest first: ``meta`` and ``objects``; at most 1000 at a time.

        Raises:
            UsageError: limit or offset is out of range.
        """
        with existing_ledger(self._settings, self._clock) as ledger:
            return list_records(ledger, limit=limit, offset=offset, unmask=self._unmask)

    def get_sent_red_pack(self, id: int | str) -> Record:  # noqa: A002 - the parameter's name in R9.1
        """One record by its id.

        Raises:
            UsageError: there is none.
        """
        with existing_ledger(self._settings, self._clock) as ledger:
            return record_of(find_packet(ledger, str(id)), unmask=self._unmask)

    def get_red_pack_status(
        self,
        *,
        mch_billno: str | None = None,
        id: int | str | None = None,  # noqa: A002 - the parameter's name in R9.1
    ) -> Record:
        """Ask WeChat Pay now: the fields of its answer, as text and in fen. One of the two names the packet.

        Raises:
            UsageError: both or none were given, or there is no such packet.
            NotFinished: no clear answer came.
        """
        if (mch_billno is None) == (id is None):
            raise UsageError(text("Give either mch_billno or id."))
        with existing_ledger(self._settings, self._clock) as ledger:
            packet = find_packet(ledger, str(id) if mch_billno is None else mch_billno)
            assert ledger is not None
            with (
                self._gateway() as wire,
                open_desk(self._settings, ledger, wire, self._clock, self._stop) as desk,
            ):
                return ask_status(desk, packet, unmask=self._unmask)

    def frame(self, campaign: str | None = None) -> pandas.DataFrame:
        """The rows of a campaign, or of all, as a pandas DataFrame: one for each bill number, in sheet order.

        It only reads, and makes no run wait. A million rows to as many people take 50 s of CPU, half of it
        for reading the ledger, and 1.0 GB, of which the frame itself keeps 0.56 GB.

        - ``campaign``, ``sheet``, ``act_name``, ``err_code``, ``verdict``, ``state``: categories, the last
          two as the report has them.
        - ``row``; ``issue``, from 2 on where the row was given another number; ``person``, the same in all
          rows of one openid, in this frame: Int64.
        - ``total_amount``; ``paid_amount``, what was taken from the account and did not come back;
          ``refund_amount``, what came back: fen, Int64. While WeChat Pay has not taken the money, or nobody
          knows, the last two are 0; else they add up to the first.
        - ``sent_at``, ``accepted_at``, ``settled_at``: when the last request left, when the packet was
          taken, when we learned how it ended. ``rcv_time``, ``refund_time``: when it was opened or came
          back, where WeChat Pay says so; ``closed_at``: either, else when we learned of it, by which the
          report counts its days. Beijing time, datetime64[s].
        - ``mch_billno``, ``row_key``, ``re_openid``: text; openids are masked everywhere, unless this
          `RedPack` is to ``unmask``.
        - The operator's own columns as text, under their headers; one that is a name of ours begins with
          ``own_``.

        Args:
            campaign: its name; by default all campaigns, the oldest first.

        Raises:
            UsageError: there is no such campaign.
        """
        from campaign.report.dataframe import data_frame

        with existing_ledger(self._settings, self._clock) as ledger:
            return data_frame(ledger, chosen_campaigns(ledger, campaign), unmask=self._unmask)

    def _gateway(self) -> AbstractContextManager[Gateway]:
        """The gateway, opened once and kept."""
        with self._opening:
            if self._wire is None:
                self._wire = self._opened.enter_context(open_gateway(self._settings, _Log()))
            return nullcontext(self._wire)

    def _packet(self, params: Mapping[str, Any], reference: str) -> Packet:
        if strangers := sorted(set(params) - _KNOWN):
            raise UsageError(
                text("Unknown parameters: {names}.", names=tuple(strangers)),
                advice=text("The parameters are {names}.", names=tuple(sorted(_KNOWN))),
            )
        if missing := [name for name in _REQUIRED if params.get(name) in (None, "")]:
            raise UsageError(text("Missing parameters: {names}.", names=tuple(missing)))
        account = params.get("official_account_id") or self._settings.merchant.wxappid
        if account != self._settings.merchant.wxappid:
            raise UsageError(
                text(
                    "official_account_id is {given}, and the settings are those of {ours}.",
                    given=repr(account),
                    ours=self._settings.merchant.wxappid,
                ),
                advice=text("Use the settings of that account (config=)."),
            )
        texts = {name: _text(name, params.get(name)) for name in _TEXTS}
        return Packet(
            reference=_text("reference", reference),
            re_openid=_text("re_openid", params["re_openid"]),
            amount=_yuan(params["total_amount"]),
            hb_type=_text("type", params["type"]),
            total_num=str(params.get("total_num") or 1),
            **texts,
        )


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(text("{name} must be text.", name=name))
    return value


def _yuan(value: object) -> str:
    """The amount as plain decimal text. A float means the number that it is printed as (R9.1)."""
    if not isinstance(value, int | float | str | Decimal):
        raise UsageError(text("total_amount must be a number of yuan, as 8.88."))
    if isinstance(value, str):
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > 10**12:
        raise UsageError(text("total_amount must be a number of yuan, as 8.88."))
    return format(number.normalize() if number else Decimal(0), "f")


def _raise_unpaid(standing: Standing, number: str) -> None:
    """The error that says why the packet was not taken, if it was not."""
    if standing.halt is not None:
        raise NotFinished(
            text("Packet {mch_billno} is not finished.", mch_billno=number),
            advice=halt_advice(standing.halt, explain),
        )
    for entry, need in standing.needs:
        raise NeedsPerson(
            text(
                "Packet {mch_billno} ({err_code}): {reason}.",
                mch_billno=number,
                err_code=entry.err_code or entry.state,
                reason=need.reason,
            ),
            advice=need.advice,
        )
