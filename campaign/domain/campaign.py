"""A campaign as the ledger knows it, and why its sending stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HaltReason(StrEnum):
    """Why a campaign is not finished. The value is the contract's ``halted.reason``."""

    #: Rows merely wait for their time.
    WAITING = "waiting"
    #: NOTENOUGH.
    BALANCE = "balance"
    #: A cap of WeChat Pay for the whole merchant (SENDAMOUNT_LIMIT, DAY_OVER_LIMITED).
    MERCHANT_LIMIT = "merchant_limit"
    #: The operator's own campaign budget.
    CAMPAIGN_LIMIT = "campaign_limit"
    #: As much money is in doubt as the settings allow.
    IN_DOUBT_LIMIT = "in_doubt_limit"
    #: Too many refused or unclear answers in a row, or among the last ones.
    BREAKER = "breaker"
    #: Certificate, key, signature, appid, or the API is closed.
    SETTINGS = "settings"
    #: The gateway could not be reached.
    UNREACHABLE = "unreachable"
    #: Orders with other facts exist under our numbers (FATAL_ERROR twice).
    MISMATCH = "mismatch"
    #: Ctrl-C or SIGTERM.
    INTERRUPTED = "interrupted"
    #: The ledger could not be written.
    STORAGE = "storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Why sending stopped, with the facts that the advice needs."""

    reason: HaltReason
    err_code: str = ""
    #: When the same command is worth running again, in Unix seconds; None when a person acts first.
    until_s: float | None = None
    #: What is still to be paid, in fen: how much to top up.
    missing_fen: int = 0
    #: The campaign was cancelled: what was sent before is asked about, and nothing else is done.
    cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign in the ledger. Times are Unix seconds."""

    #: The canonical campaign id, part of every bill number.
    name: str
    #: For people only.
    title: str = ""
    #: The field whose column gave the row keys: ``id``, ``re_openid`` or ``re_openid+ordinal``.
    key_column: str
    created_at_s: float
    cancelled_at_s: float | None = None
    #: The ledger may be behind the truth: ask before every send.
    ask_first: bool = False
    #: The file that was planned last, and the SHA-256 of its bytes.
    sheet_file: str = ""
    sheet_digest: str = ""
    #: The operator's own columns in sheet order.
    own_headers: tuple[str, ...] = ()
    halt: Halt | None = None
    #: Of everything that went into the last plan; empty where the next run has to plan in any case.
    plan_digest: str = ""
