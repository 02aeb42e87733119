"""A digest over everything that a report says about its rows, the same for every format and language."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Self, get_type_hints

from campaign import __version__
from campaign.report.lines import Facts, Line

#: Changes with anything that changes the digest of the same rows.
SCHEME: Final = 1
_DIGEST_BYTES: Final = 20
#: Where a PDF has the seal: WeasyPrint makes this of a ``meta`` element's name.
SLIP_SEAL: Final = "/campaignseal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a report carries so that it can be made again from the ledger, and compared."""

    version: str
    campaign: str
    merchant: str
    gateway: str
    lang: str
    unmask: bool
    made_at_s: float
    #: Number and digest of the ledger's last event at that moment.
    event: int
    event_digest: str

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """The seal of a report that says this about itself."""
        return cls(
            version=__version__,
            campaign=facts.campaign.name,
            merchant=facts.merchant,
            gateway=facts.gateway,
            lang=facts.lang,
            unmask=facts.unmask,
            made_at_s=facts.made_at_s,
            event=facts.head[0],
            event_digest=facts.head[1],
        )

    @classmethod
    def from_json(cls, sealed: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        values = json.loads(sealed)
        kinds = get_type_hints(cls)
        if not isinstance(values, dict) or set(values) != set(kinds):
            raise ValueError("not a seal")
        for name, kind in kinds.items():
            if not isinstance(values[name], (int, float) if kind is float else kind):
                raise ValueError(name)
        return cls(**values)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


class Digest:
    """BLAKE2b over one canonical JSON text for each row, so that no two reports share an encoding."""

    def __init__(self, facts: Facts) -> None:
        self._state = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._take(["campaign report", SCHEME, facts.campaign.name, facts.merchant, facts.gateway])

    def add(self, line: Line) -> None:
        """Take one row: codes, fen and moments of every column but words, and the operator's own columns."""
        self._take([line.values, list(line.entry.own.items())])

    def hexdigest(self) -> str:
        """The digest of the rows so far."""
        return self._state.hexdigest()

    def _take(self, value: object) -> None:
        self._state.update(_canonical(value).encode() + b"\n")


#: Sentences are left out: they may be said better in a later version, and follow from the rest.
_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=lambda _: None).encode
