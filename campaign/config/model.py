"""``campaign.toml`` as frozen models: one class a table, one field a key (architecture, section 8)."""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from campaign.config.secret import resolve
from campaign.domain.bill import BusinessNames
from campaign.domain.billno import MCH_ID_PATTERN
from campaign.domain.breaker import BreakerPolicy
from campaign.domain.decision import Policy
from campaign.domain.limits import Limits
from campaign.domain.money import NotMoney, fen_from_yuan
from campaign.domain.order import PacketDefaults
from campaign.domain.packet import Sender
from campaign.errors import SetupError
from campaign.text import Text, text

#: WeChat Pay's main host and its remote one (R1).
MAIN_HOST: Final = "api.mch.weixin.qq.com"
BACKUP_HOST: Final = "api2.mch.weixin.qq.com"
WECHAT_HOSTS: Final = frozenset({MAIN_HOST, BACKUP_HOST})
REHEARSAL: Final = "rehearsal"
#: APIv2 key: 32 letters and digits (R8).
API_KEY_PATTERN: Final = re.compile(r"[0-9A-Za-z]{32}")

#: With workers left out, answers may take so many seconds before the pace suffers, within these bounds.
ANSWER_S: Final = 2.0
CONNECTIONS_AT_LEAST: Final = 16
CONNECTIONS_MAX: Final = 256

_SQLITE: Final = "sqlite:///"


class Refusal(ValueError):
    """A value that a validator refuses, with the sentence for the reader; never with the value itself."""

    def __init__(self, sentence: Text) -> None:
        super().__init__(sentence.template)
        self.sentence = sentence


def _fen(yuan: object) -> int:
    """Fen from yuan as TOML or the environment has it. An unquoted 5000.50 arrives as Decimal, not float."""
    if isinstance(yuan, bool) or not isinstance(yuan, str | int | Decimal):
        raise Refusal(text('must be an amount in yuan, as "5000.00"'))
    try:
        fen = fen_from_yuan(str(yuan).strip())
    except NotMoney:
        raise Refusal(text('must be an amount in yuan with at most two decimals, as "5000.00"')) from None
    if fen <= 0:
        raise Refusal(text("must be more than nothing"))
    return fen


def _path(value: object) -> object:
    """No path for an empty text; ``~`` is the user's folder."""
    if isinstance(value, str):
        return Path(value).expanduser() if value.strip() else None
    return value


def _faults(value: object) -> object:
    """Faults come as an inline table, as JSON text, or as the path of a JSON file."""
    if not isinstance(value, str):
        return _without_decimals(value)
    if not value.lstrip().startswith("{"):
        return _path(value)
    try:
        return json.loads(value)
    except ValueError:
        raise Refusal(text("is not valid JSON")) from None


def _without_decimals(value: object) -> object:
    match value:
        case Decimal():
            return float(value)
        case Mapping():
            return {name: _without_decimals(inner) for name, inner in value.items()}
        case list():
            return [_without_decimals(inner) for inner in value]
        case _:
            return value


Fen = Annotated[int, BeforeValidator(_fen)]
NotifyTopic = Literal["finished", "halted", "discrepancies", "deadlines", "certificate"]
FilePath = Annotated[Path | None, BeforeValidator(_path)]
Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True, str_strip_whitespace=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_values(cls, value: object) -> object:
        """No key is a yes or no, and pydantic would take ``true`` for 1."""
        if isinstance(value, bool):
            raise Refusal(text("is no yes-or-no setting"))
        return value


class CampaignTable(_Table):
    """``[campaign]``: for people only; no bill number depends on it."""

    title: str = Field("", max_length=100)
    lang: Literal["", "zh", "en"] = ""


class Merchant(_Table):
    """``[merchant]``: who pays, and how that is proven."""

    mch_id: str
    wxappid: str = Field(pattern=r"^wx[0-9A-Za-z]{8,30}$")
    #: Where the APIv2 key is; the key itself is `api_key`.
    api_key_source: SecretStr = Field(alias="api_key")
    certificate: FilePath = None
    private_key: FilePath = None
    p12: FilePath = None
    sub_mch_id: str = Field("", pattern=r"^([0-9]{8,16})?$")
    msgappid: str = Field("", pattern=r"^(wx[0-9A-Za-z]{8,30})?$")
    consume_mch_id: str = Field("", pattern=r"^([0-9]{8,16})?$")

    @property
    def api_key(self) -> SecretStr:
        """The APIv2 key, fetched when it is needed, so that a report can be made without it.

        Raises:
            SetupError: it is missing, or no APIv2 key.
        """
        key = Text("[merchant] api_key")
        secret = resolve(self.api_key_source, key=key)
        if not API_KEY_PATTERN.fullmatch(secret.get_secret_value()):
            raise SetupError(
                text("{key} is not an APIv2 key: it must be 32 letters and digits.", key=key),
                advice=text("It is set on the merchant platform: 账户中心 → API安全 → APIv2密钥."),
            )
        return secret

    @field_validator("mch_id")
    @classmethod
    def _is_merchant_number(cls, mch_id: str) -> str:
        if not MCH_ID_PATTERN.fullmatch(mch_id):
            raise Refusal(text("must be the merchant number (商户号): 8 to 16 digits"))
        return mch_id

    @model_validator(mode="after")
    def _fits_together(self) -> Merchant:
        if self.p12 and (self.certificate or self.private_key):
            raise Refusal(text("p12 holds certificate and private_key: give either p12 or the other two"))
        if bool(self.certificate) != bool(self.private_key):
            raise Refusal(text("certificate and private_key belong together: give both"))
        if bool(self.sub_mch_id) != bool(self.msgappid):
            raise Refusal(text("a service provider gives both sub_mch_id and msgappid"))
        if self.consume_mch_id and not self.sub_mch_id:
            raise Refusal(text("consume_mch_id means something only beside sub_mch_id"))
        return self


class GatewayTable(_Table):
    """``[gateway]``: where requests go, and how fast."""

    url: str = f"https://{MAIN_HOST}"
    backup_url: str = f"https://{BACKUP_HOST}"
    ca_bundle: FilePath = None
    sends_per_second: float = Field(20, gt=0, le=10_000)
    queries_per_second: float = Field(20, gt=0, le=10_000)
    #: None: as many as the pace needs (`connections`).
    workers: int | None = Field(None, ge=1, le=1_000)
    connect_timeout_s: float = Field(5, gt=0, le=120)
    read_timeout_s: float = Field(15, gt=0, le=600)
    transport: Literal["requests", "curl"] = "requests"

    @field_validator("url", "backup_url")
    @classmethod
    def _is_plain_url(cls, url: str) -> str:
        return _plain_url(url)

    @property
    def is_rehearsal(self) -> bool:
        """Whether the built-in stand-in answers."""
        return self.url == REHEARSAL

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine, at an address of the operator's."""
        return not self.is_rehearsal and is_loopback(host(self.url))

    @property
    def is_real(self) -> bool:
        """Whether real money may move."""
        return not self.is_rehearsal and not self.is_loopback

    @property
    def connections(self) -> int:
        """Requests in flight at once, at most; a run uses as many of them as serve it.

        What the settings say, else what the pace needs while an answer takes no longer than `ANSWER_S`.
        """
        if self.workers is not None:
            return self.workers
        need = math.ceil(max(self.sends_per_second, self.queries_per_second) * ANSWER_S)
        return min(max(need, CONNECTIONS_AT_LEAST), CONNECTIONS_MAX)

    @property
    def name(self) -> str:
        """What JSON's ``gateway`` says, and what a ledger belongs to: ``rehearsal`` or ``host[:port]``."""
        return REHEARSAL if self.is_rehearsal else urlsplit(self.url).netloc.lower()

    @property
    def urls(self) -> tuple[str, ...]:
        """The hosts to try, in order. A stand-in never fails over to WeChat Pay's own host."""
        if self.is_rehearsal:
            return ()
        of_one_kind = (host(self.url) in WECHAT_HOSTS) == (host(self.backup_url) in WECHAT_HOSTS)
        if not self.backup_url or self.backup_url == self.url or not of_one_kind:
            return (self.url,)
        return (self.url, self.backup_url)


class PacketTable(_Table):
    """``[packet]``: values for columns that the sheet lacks; checked by the sheet's rules."""

    send_name: str = ""
    act_name: str = ""
    wishing: str = ""
    remark: str = ""
    #: IPv4; WeChat Pay checks the real source address against the merchant's list, not this (R2.1).
    client_ip: str = "127.0.0.1"
    scene_id: str = ""
    risk_info: str = ""

    @field_validator("client_ip")
    @classmethod
    def _is_ipv4(cls, client_ip: str) -> str:
        try:
            return str(ipaddress.IPv4Address(client_ip))
        except ValueError:
            raise Refusal(text("must be the sending machine's IPv4 address, as 192.0.2.10")) from None


class LimitsTable(_Table):
    """``[limits]``: yuan in the file, fen here. The budget has no default."""

    campaign_fen: Fen = Field(alias="campaign_yuan")
    in_doubt_fen: Fen = Field(200_000, alias="in_doubt_yuan")
    person_day_packets: int = Field(10, ge=1, le=1_000)
    person_day_fen: Fen = Field(100_000, alias="person_day_yuan")
    merchant_day_fen: Fen = Field(100_000_000, alias="merchant_day_yuan")

    def as_limits(self) -> Limits:
        """The caps as the ledger counts them."""
        return Limits(
            campaign_fen=self.campaign_fen,
            in_doubt_fen=self.in_doubt_fen,
            person_day_packets=self.person_day_packets,
            person_day_fen=self.person_day_fen,
            merchant_day_fen=self.merchant_day_fen,
        )


class BreakerTable(_Table):
    """``[breaker]``: when answers that may concern everybody have become too many."""

    consecutive: int = Field(5, ge=1, le=1_000)
    share: float = Field(0.5, gt=0, le=1)
    window: int = Field(20, ge=2, le=10_000)

    def as_policy(self) -> BreakerPolicy:
        """The thresholds as the run's breaker takes them."""
        return BreakerPolicy(consecutive=self.consecutive, share=self.share, window=self.window)


class TimingTable(_Table):
    """``[timing]``: seconds."""

    doubt_ask_s: Seconds = 1.0
    processing_ask_s: Seconds = 1200.0
    not_found_repeat_s: Seconds = 180.0
    poll_s: tuple[Seconds, ...] = (60, 1200, 7200, 43_200, 90_000, 93_600, 172_800)

    @field_validator("poll_s")
    @classmethod
    def _rises(cls, poll_s: tuple[float, ...]) -> tuple[float, ...]:
        if not poll_s or any(later <= sooner for sooner, later in itertools.pairwise(poll_s)):
            raise Refusal(text("must be a list of rising numbers of seconds"))
        return poll_s


class ParkedTable(_Table):
    """``[parked]``: orders that WeChat Pay holds and does not pay."""

    repeat: Literal["ask", "auto"] = "ask"


class LedgerTable(_Table):
    """``[ledger]``: where the truth is kept."""

    url: str = f"{_SQLITE}campaign.db"

    @field_validator("url")
    @classmethod
    def _is_sqlite_file(cls, url: str) -> str:
        if not url.startswith(_SQLITE) or url.removeprefix(_SQLITE) in ("", ":memory:"):
            raise Refusal(text("must be the address of an SQLite file, as sqlite:///campaign.db"))
        return url


class BillTable(_Table):
    """``[bill]``: the funds bill of `campaign match`. Names are 业务名称 or 业务类型."""

    #: Which account's bill to download, and whose the files are: packets may be paid from either (R10.4).
    account: Literal["Basic", "Operation", "both"] = "both"
    packet_names: tuple[str, ...] = ("现金红包", "企业红包", "微信红包", "红包", "现金红包退款", "红包退款")
    top_up_names: tuple[str, ...] = ("充值/提现", "充值", "提现")
    #: Those that the documentation names (R10.4).
    other_names: tuple[str, ...] = ("交易", "退款", "企业付款", "代金券/立减/折扣", "分账")
    #: Whether the night run fetches and matches the bills of the days before.
    nightly: Literal["skip", "match"] = "skip"

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts to ask for, as WeChat Pay spells them."""
        return ("Basic", "Operation") if self.account == "both" else (self.account,)

    def names(self) -> BusinessNames:
        """The names as the match takes them."""
        return BusinessNames(
            packets=frozenset(self.packet_names),
            top_ups=frozenset(self.top_up_names),
            others=frozenset(self.other_names),
        )


class NotifyTable(_Table):
    """``[notify]``: whom to tell, and of what."""

    #: Addresses as Apprise writes them. One may hold a robot's key, so each is a secret, or says where it is.
    urls: tuple[SecretStr, ...] = ()
    on: tuple[NotifyTopic, ...] = ("finished", "halted", "discrepancies", "deadlines", "certificate")
    lang: Literal["", "zh", "en"] = ""


class RehearsalTable(_Table):
    """``[rehearsal]``: the built-in stand-in for WeChat Pay."""

    seed: int = Field(1, ge=0, lt=2**63)
    faults: Annotated[dict[str, JsonValue] | Path | None, BeforeValidator(_faults)] = None
    #: How many seconds pass at the stand-in in one of ours.
    time_scale: float = Field(1.0, gt=0, le=1_000_000)
    balance_fen: Fen = Field(10_000_000, alias="balance_yuan")


class Settings(BaseSettings):
    """Everything that can be set. Frozen; secrets are references until they are used."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="CAMPAIGN_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )

    merchant: Merchant
    limits: LimitsTable
    campaign: CampaignTable = CampaignTable()
    gateway: GatewayTable = GatewayTable()
    packet: PacketTable = PacketTable()
    columns: dict[str, str] = {}
    breaker: BreakerTable = BreakerTable()
    timing: TimingTable = TimingTable()
    parked: ParkedTable = ParkedTable()
    ledger: LedgerTable = LedgerTable()
    bill: BillTable = BillTable()
    notify: NotifyTable = NotifyTable()
    rehearsal: RehearsalTable = RehearsalTable()

    _file: Path = PrivateAttr(default=Path("campaign.toml"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, key by key."""
        return env_settings, init_settings

    @property
    def file(self) -> Path:
        """The settings file, absolute."""
        return self._file

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self._file.parent

    def gateway_name(self) -> str:
        """``rehearsal`` or ``host[:port]``."""
        return self.gateway.name

    def ledger_gateway(self) -> str:
        """Which gateway a ledger belongs to. A stand-in on this machine may change its port."""
        return "loopback" if self.gateway.is_loopback else self.gateway.name

    def registry_gateway(self) -> str:
        """Whose ledgers and whose pace belong together: each built-in stand-in has books of its own."""
        return f"{REHEARSAL}:{self.folder}" if self.gateway.is_rehearsal else self.gateway.name

    def ledger_path(self) -> Path:
        """The ledger's file. The rehearsal has its own beside the real one: ``campaign.rehearsal.db``."""
        path = self.folder / Path(self.ledger.url.removeprefix(_SQLITE)).expanduser()
        return path.with_name(f"{path.stem}.rehearsal.db") if self.gateway.is_rehearsal else path

    def policy(self) -> Policy:
        """The numbers that decisions depend on."""
        return Policy(
            doubt_ask_s=self.timing.doubt_ask_s,
            processing_ask_s=self.timing.processing_ask_s,
            not_found_repeat_s=self.timing.not_found_repeat_s,
            poll_s=self.timing.poll_s,
            parked_auto=self.parked.repeat == "auto",
        )

    def sender(self) -> Sender:
        """The merchant's part of every request."""
        return Sender(
            mch_id=self.merchant.mch_id,
            wxappid=self.merchant.wxappid,
            client_ip=self.packet.client_ip,
            sub_mch_id=self.merchant.sub_mch_id,
            msgappid=self.merchant.msgappid,
            consume_mch_id=self.merchant.consume_mch_id,
        )

    def packet_defaults(self) -> PacketDefaults:
        """Values for columns that the sheet lacks."""
        return PacketDefaults(**self.packet.model_dump(exclude={"client_ip"}))

    def digest_for_checks(self) -> str:
        """SHA-256, hexadecimal, of the settings that the checks of a sheet read."""
        read = {
            "mch_id": self.merchant.mch_id,
            "packet": self.packet.model_dump(),
            "columns": self.columns,
            "limits": self.limits.model_dump(),
        }
        return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def host(url: str) -> str:
    """The host of a checked address, lower case; empty for ``rehearsal`` and for no address."""
    return (urlsplit(url).hostname or "").lower()


def is_loopback(name: str) -> bool:
    """Whether this host is this machine."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _plain_url(url: str) -> str:
    """The address without its last slash, if it is scheme, host and port and nothing else."""
    if url in ("", REHEARSAL):
        return url
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    extras = (parts.username, parts.password, parts.path.strip("/"), parts.query, parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(extras):
        raise Refusal(text('must be "rehearsal" or an address as https://api.mch.weixin.qq.com'))
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Refusal(text("must begin with https://; plain http goes to this machine only"))
    return f"{parts.scheme}://{parts.netloc}"
