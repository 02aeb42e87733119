"""Write what finance takes away, in one pass over the ledger; and compare it with the ledger later."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from campaign import __version__
from campaign.domain.bill import NOT_BILLED, Billed, BillLine
from campaign.domain.billing import Billing
from campaign.domain.campaign import Campaign
from campaign.domain.entry import Entry
from campaign.domain.summary import Summary
from campaign.errors import UsageError
from campaign.ledger.records import EventKind
from campaign.ledger.store import Ledger
from campaign.ports import Clock
from campaign.report.files import new_file, refuse_existing, report_path
from campaign.report.history import Trace, traces
from campaign.report.lines import Facts, Format, Say, line_of
from campaign.report.seal import Digest, Seal
from campaign.report.table import CsvReport, JsonReport
from campaign.report.verify import (
    BILL_FIELDS,
    CLOSING_FIELDS,
    Difference,
    first_difference,
    first_row_difference,
    has_rows,
    read_seal,
)
from campaign.stages.standing import current_halt, found_in_bills, issued_again
from campaign.text import text
from campaign.wechat.answers import explain

#: What every report consists of; ``pdf``, a slip of one page, is made where it is named.
FORMATS: Final = ("xlsx", "html", "csv", "json")

#: News of a campaign, and what they may change about rows that have none of their own.
_CHANGES: Final = {
    EventKind.MATCHED: BILL_FIELDS,
    EventKind.CAMPAIGN_CANCELLED: CLOSING_FIELDS,
    EventKind.CAMPAIGN_REOPENED: CLOSING_FIELDS,
}

_NOTHING_FOUND: Final = (None, None)
_NO_MORE: Final[tuple[str, list[BillLine]]] = ("", [])


def write_report(
    ledger: Ledger,
    campaign_name: str,
    *,
    out: Path,
    say: Say,
    gateway: str,
    merchant: str,
    clock: Clock,
    force: bool = False,
    formats: Sequence[str] = FORMATS,
    lang: str = "en",
    unmask: bool = False,
) -> list[Path]:
    """Write the campaign's report in each format, all of them from the same reading of the ledger.

    Args:
        out: the folder.
        formats: some of `FORMATS`, or ``pdf``.
        unmask: full openids in JSON and on the page, too; the workbook and CSV always have them.

    Raises:
        UsageError: no such campaign, or a file is there already and ``force`` is not set.
        StorageError: a file could not be written; earlier reports are as they were.
        SetupError: a PDF is asked for, and the extra that makes it is missing.
    """
    campaign = ledger.campaign(campaign_name)
    if campaign is None:
        raise UsageError(
            text("the ledger knows no campaign {campaign}", campaign=campaign_name),
            advice=text("`campaign status` lists the campaigns."),
        )
    facts = Facts(
        campaign=_as_it_stands(ledger, campaign),
        merchant=merchant,
        gateway=gateway,
        made_at_s=clock.now_s(),
        lang=lang,
        unmask=unmask,
        head=ledger.head(),
    )
    paths = {name: report_path(out, campaign.name, name) for name in formats}
    if not force:
        refuse_existing(list(paths.values()))
    _write(ledger, facts, paths, say=say)
    return list(paths.values())


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify_report` found."""

    seal: Seal
    #: False: the event that the report names is not in this ledger: one of the two was altered, or is older.
    in_chain: bool
    #: Rows that had news since; of these only number, openid and amount were compared.
    moved: int
    #: Made by another version of this program, whose sentences may differ: only rows were compared.
    other_version: bool
    difference: Difference | None
    #: Nothing has happened since, so all of the report was compared; else its rows only, and no sums.
    whole: bool = False

    @property
    def good(self) -> bool:
        """Whether the report fits the ledger."""
        return self.in_chain and self.difference is None


def verify_report(
    ledger: Ledger, path: Path, *, say_in: Callable[[str], Say], gateway: str, merchant: str
) -> Verified:
    """Make the report again as it was sealed, and compare the two to the last cell.

    Where the ledger has moved on since, rows with news are compared by what no news changes.

    Args:
        say_in: gives the sentences of a language.

    Raises:
        UsageError: the file carries no seal, or another merchant's or gateway's; or it has only sums, and
            those have changed.
        SetupError: it is a slip, and the extra for PDF is missing.
    """
    seal = read_seal(path)
    campaign = ledger.campaign(seal.campaign)
    if campaign is None or (seal.merchant, seal.gateway) != (merchant, gateway):
        raise UsageError(
            text(
                "{file} is about campaign {campaign} of merchant {merchant} at {gateway}, which this ledger "
                "does not keep",
                file=str(path),
                campaign=seal.campaign,
                merchant=seal.merchant,
                gateway=seal.gateway,
            ),
            advice=text("Name the settings of that ledger with --config."),
        )
    other_version = seal.version != __version__
    if not ledger.has_event(seal.event, seal.event_digest):
        return Verified(seal, False, 0, other_version, None)
    news = [e for e in ledger.events(campaign=campaign.name) if e.seq > seal.event]
    moved = {e.mch_billno for e in news if e.mch_billno}
    if (news or other_version) and not has_rows(path):
        raise UsageError(
            text(
                "{file} has only sums, and campaign {campaign} has had news since they were made, or another "
                "version of this program made them; nothing of it can be compared any more",
                file=str(path),
                campaign=campaign.name,
            ),
            advice=text(
                "Verify the workbook of the same report: it shows the same digest of all rows. Or write a "
                "new slip: `campaign report {campaign} --pdf`.",
                campaign=campaign.name,
            ),
        )
    facts = Facts(
        campaign=_as_it_stands(ledger, campaign),
        merchant=seal.merchant,
        gateway=seal.gateway,
        made_at_s=seal.made_at_s,
        lang=seal.lang,
        unmask=seal.unmask,
        head=(seal.event, seal.event_digest),
    )
    with TemporaryDirectory() as folder:
        again = Path(folder, f"again{path.suffix.lower()}")
        planned_since = {e.mch_billno for e in news if e.kind is EventKind.PLANNED}
        again_as = {path.suffix.lower()[1:]: again}
        _write(ledger, facts, again_as, say=say_in(seal.lang), planned_since=planned_since)
        whole = not (news or other_version)
        if whole:
            difference = first_difference(path, again)
        else:
            rewritten = {e.mch_billno for e in news if e.kind in (EventKind.REVISED, EventKind.CORRECTED)}
            kinds = {e.kind for e in news}
            difference = first_row_difference(
                path,
                again,
                moved=moved,
                rewritten=rewritten,
                fleeting=frozenset[str]().union(*(_CHANGES[kind] for kind in kinds & _CHANGES.keys())),
                only_stable=other_version,
                same_own=EventKind.CAMPAIGN_SAVED not in kinds,
            )
    return Verified(seal, True, len(moved), other_version, difference, whole=whole)


def _as_it_stands(ledger: Ledger, campaign: Campaign) -> Campaign:
    """The campaign without a halt that is over: somebody cancelled, or a reconciliation finished it."""
    return replace(campaign, halt=campaign.halt and current_halt(ledger, campaign))


def _write(
    ledger: Ledger,
    facts: Facts,
    paths: Mapping[str, Path],
    *,
    say: Say,
    planned_since: Container[str] = (),
) -> None:
    with ExitStack() as open_files:
        sinks = []
        for name, path in paths.items():
            sink = _sink(name, open_files.enter_context(new_file(path)), facts, ledger, say=say)
            open_files.callback(sink.close)
            sinks.append(sink)
        summary, digest = Summary(billing=_billing(ledger, facts.campaign.name)), Digest(facts)
        found = found_in_bills(ledger, facts.campaign.name)
        for entry, billed in _entries(ledger, facts.campaign.name):
            _, need = found.get(entry.mch_billno, _NOTHING_FOUND)
            line = line_of(
                entry,
                now_s=facts.made_at_s,
                explain=explain,
                issued_again=issued_again(ledger, entry, but=planned_since),
                cancelled=facts.campaign.cancelled_at_s is not None,
                billed=billed,
                found=need,
            )
            summary.add(entry, billed, found=line.verdict)
            digest.add(line)
            for sink in sinks:
                sink.add(line)
        for sink in sinks:
            sink.finish(summary, digest.hexdigest())


def _billing(ledger: Ledger, campaign: str) -> Billing:
    """What the last match with the funds bills knew, before the rows are counted."""
    matched = ledger.matched(campaign)
    if matched is None:
        return Billing()
    findings = sum(1 for _ in ledger.findings(campaign))
    return Billing(matched_at_s=matched.at_s, days=matched.days, findings=findings)


def _entries(ledger: Ledger, campaign: str) -> Iterator[tuple[Entry, Billed]]:
    """Every entry with its lines in the funds bills; both come in the same order."""
    billed = ledger.billed(campaign)
    number, lines = next(billed, _NO_MORE)
    for entry in ledger.entries(campaign):
        if entry.mch_billno == number:
            yield entry, Billed.of(lines)
            number, lines = next(billed, _NO_MORE)
        else:
            yield entry, NOT_BILLED
    assert not number, "the order of both is that of the sheet"


def _sink(name: str, path: Path, facts: Facts, ledger: Ledger, *, say: Say) -> Format:
    match name:
        case "xlsx":
            from campaign.report.workbook import WorkbookReport

            def history(mch_billno: str) -> Sequence[Trace]:
                return traces(ledger.attempts(mch_billno), ledger.questions(mch_billno))

            findings = ledger.findings(facts.campaign.name)
            return WorkbookReport(path, facts, say=say, explain=explain, history=history, findings=findings)
        case "html":
            from campaign.report.page import PageReport

            return PageReport(path, facts, say=say, explain=explain)
        case "pdf":
            from campaign.report.slip import SlipReport

            return SlipReport(path, facts, say=say, explain=explain)
        case "csv":
            return CsvReport(path, facts, say=say)
        case "json":
            return JsonReport(path, facts, say=say)
        case _:
            raise ValueError(name)
