"""Resuming without reading: a sheet that is the same byte for byte, under the same settings and rules.

Reading and checking it again could only find what it found before, and planning it would change nothing.
"""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import campaign.domain
import campaign.sheet
from campaign.cli.desk import registry_of
from campaign.cli.names import lost_lists
from campaign.config import Settings
from campaign.domain.billno import canonical_campaign_id
from campaign.errors import Conflict
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.sheet import ReadOptions
from campaign.sheet.reader import file_digest
from campaign.stages.plan import SheetFacts
from campaign.text import text


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A sheet whose plan the ledger has, and everything that went into that plan."""

    campaign: str
    facts: SheetFacts

    def require_still(self, ledger: Ledger) -> None:
        """Once the campaign is held: nobody planned another sheet since we looked.

        Raises:
            Conflict: somebody did.
        """
        known = ledger.campaign(self.campaign)
        if known is None or known.plan_digest != self.facts.plan_digest:
            raise Conflict(
                text("Campaign {campaign} was just planned anew; nothing was sent.", campaign=self.campaign),
                advice=text("Run the same command again."),
            )


def unchanged(
    sheet: Path, options: ReadOptions, settings: Settings, clock: Clock, *, name: str | None
) -> Unchanged | None:
    """The sheet as its campaign's last plan had it; None where anything is different, or may be.

    Raises:
        SheetRejected: the file cannot be read.
        LedgerRefused, StorageError: as `Ledger.open`.
    """
    try:
        campaign = canonical_campaign_id(name if name is not None else sheet.stem)
    except ValueError:
        return None
    standing = registry_of(settings).standing(settings.ledger_path())
    if standing.others or standing.lost or standing.given_up:
        return None  # another ledger may have paid these people since, so the lists are compared
    opened = Ledger.open_existing(
        settings.ledger_path(),
        merchant=settings.merchant.mch_id,
        gateway=settings.ledger_gateway(),
        clock=clock,
    )
    if opened is None:
        return None
    with opened as ledger:
        if lost_lists(settings, (ledger,)):
            return None
        known = ledger.campaign(campaign)
        if known is None or not known.plan_digest or ledger.may_take_up_again(campaign):
            return None
    digest = file_digest(sheet)
    if known.plan_digest != plan_digest(digest, sheet, options, settings, campaign=campaign):
        return None
    facts = SheetFacts(
        file=sheet.name,
        digest=digest,
        key_column=known.key_column,
        own_headers=known.own_headers,
        partial=options.limit is not None,
        plan_digest=known.plan_digest,
    )
    return Unchanged(campaign, facts)


def plan_digest(digest: str, sheet: Path, options: ReadOptions, settings: Settings, *, campaign: str) -> str:
    """One digest, hexadecimal, over everything that decides what planning a sheet does.

    Args:
        digest: of the sheet's bytes.
    """
    decides = (
        digest,
        sheet.name,
        campaign,
        settings.campaign.title,
        settings.digest_for_checks(),
        options,
        settings.sender(),
        _rules(),
    )
    return hashlib.blake2b(repr(decides).encode(), digest_size=32).hexdigest()


@cache
def _rules() -> str:
    """The version of the rules: of the code that reads, checks and plans, and of what it relies on.

    Taken from the code itself, since nobody would remember to count a number up.
    """
    state = hashlib.blake2b(digest_size=32)
    for package in (campaign.domain, campaign.sheet):
        for folder in package.__path__:
            for file in sorted(Path(folder).glob("*.py")):
                state.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    relied_on = (sys.version, unicodedata.unidata_version, version("python-calamine"))
    return state.hexdigest() + repr(relied_on)
