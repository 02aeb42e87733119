"""``campaign match NAME BILL…``: the three-way match of ledger, gethbinfo and funds bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import click

from campaign.cli.answers import EXIT_DONE, EXIT_NEEDS_PERSON
from campaign.cli.frame import Session, answers_json, command, option, pass_session
from campaign.cli.names import chosen_campaigns, existing_ledger
from campaign.config import Settings
from campaign.domain.account import Account
from campaign.domain.bill import Bill
from campaign.domain.days import DAY_S, beijing_day, beijing_text, rfc3339
from campaign.domain.finding import KIND_TEXT, Finding, Kind
from campaign.domain.mask import mask_openid
from campaign.domain.matching import Match
from campaign.domain.money import NotMoney, Sum, fen_from_yuan, yuan_grouped
from campaign.domain.verdict import OWNER_TEXT
from campaign.errors import UsageError
from campaign.ports import SystemClock
from campaign.stages.match import keep
from campaign.stages.match import match as match_bills
from campaign.text import Text, text

#: So many findings and breaks are told in the terminal; the JSON has them all.
_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line says about the bills."""

    files: Sequence[Path]
    days: frozenset[date]
    download: bool
    account: str | None


@command(
    "match",
    help=text(
        "Match a campaign with the funds bill: which packets it shows, and what does not fit. "
        "BILL is a file as WeChat Pay gives it, or several; or let --date and --download fetch it. The "
        "ledger keeps bills and findings for the report; without a BILL the kept ones are matched again."
    ),
    examples=(
        "campaign match lantern fundflow-2026-03.csv",
        "campaign match lantern --date 2026-03-03 --download",
    ),
)
@click.argument("name")
@click.argument(
    "bills", metavar="[BILL]...", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@option(
    "--date",
    "days",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    multiple=True,
    help=text("A Beijing day that the bills cover, or that is to be downloaded. Can be given again."),
)
@option("--download", is_flag=True, help=text("Fetch the bills of these days from WeChat Pay."))
@option(
    "--account",
    type=click.Choice(["Basic", "Operation", "both"]),
    help=text("Whose bills they are; without it as under [bill] in campaign.toml."),
)
@option("--opening", metavar="YUAN", help=text("What the account held before, if you know it."))
@option("--closing", metavar="YUAN", help=text("What the account held afterwards, if you know it."))
@option("--unmask", is_flag=True, help=text("Show openids in full."))
@answers_json
@pass_session
def match(
    session: Session,
    *,
    name: str,
    bills: tuple[Path, ...],
    days: tuple[date, ...],
    download: bool,
    account: str | None,
    opening: str | None,
    closing: str | None,
    unmask: bool,
) -> int:
    settings = session.settings()
    clock = SystemClock()
    asked = _Asked(
        files=bills,
        days=frozenset(date(day.year, day.month, day.day) for day in days),
        download=download,
        account=account,
    )
    opening_fen, closing_fen = _fen("--opening", opening), _fen("--closing", closing)
    if asked.download and not asked.days:
        raise UsageError(
            text("--download needs the days to fetch."),
            advice=text("Add them, as in: --date 2026-03-03"),
        )
    with existing_ledger(settings, clock) as ledger:
        [campaign] = chosen_campaigns(ledger, name)
        assert ledger is not None
        found = match_bills(
            ledger,
            campaign,
            list(_bills(asked, settings, session)),
            names=settings.bill.names(),
            mch_id=settings.merchant.mch_id,
            opening_fen=opening_fen,
            closing_fen=closing_fen,
        )
        if not found.bills:
            raise UsageError(
                text("There is no bill to match with."),
                advice=text("Name the bill's file, or add --date YYYY-MM-DD --download."),
            )
        now_s = clock.now_s()
        keep(ledger, campaign, found, now_s=now_s)
    if session.json:
        session.answer_json(as_json(found, campaign, session, now_s=now_s, unmask=unmask))
    else:
        _tell(found, campaign, session, now_s=now_s, unmask=unmask)
    return EXIT_DONE if found.clean else EXIT_NEEDS_PERSON


def _fen(option_name: str, yuan: str | None) -> int | None:
    if yuan is None:
        return None
    try:
        return fen_from_yuan(yuan.replace(",", ""))
    except NotMoney:
        raise UsageError(
            text("{option} is not an amount in yuan: {value}", option=option_name, value=yuan),
            advice=text("Write it as 1888.00"),
        ) from None


def _bills(asked: _Asked, settings: Settings, session: Session) -> Iterator[Bill]:
    """The files, then the downloads, day by day.

    Raises:
        BillRejected: one of them cannot be used.
        NotFinished: one of them cannot be fetched yet.
    """
    from campaign.wechat.fundflow import parse_bill

    wanted = asked.account or settings.bill.account
    account = "" if wanted == "both" else wanted
    # With --download the dates are those of the downloads; a file's lines say its own.
    days = frozenset[date]() if asked.download else asked.days
    for file in asked.files:
        bill = parse_bill(file.read_bytes(), file=str(file), account=account, days=days)
        _refuse_other_days(bill)
        yield bill
    if not asked.download:
        return
    from campaign.cli.gateway import open_bills

    with open_bills(settings, session) as gateway:
        for day in sorted(asked.days):
            for each in [account] if account else ("Basic", "Operation"):
                yield gateway.bill(day, each, now_s=SystemClock().now_s())


def _refuse_other_days(bill: Bill) -> None:
    """A file under the name of another day would take the place of that day's own.

    Raises:
        UsageError: it has lines of a day that is none of those said.
    """
    found = {beijing_day(line.billed_at_s) for line in bill.lines} if bill.asked_days else set()
    if other := sorted(found - bill.asked_days):
        raise UsageError(
            text("{file} has lines of {day}, which no --date names.", file=bill.file, day=str(other[0])),
            advice=text("Name every day that the file covers, or leave --date out: its lines tell."),
        )


# -- for programs


def as_json(
    found: Match, campaign: str, session: Session, *, now_s: float, unmask: bool
) -> dict[str, object]:
    """The answer for programs; amounts are fen."""
    say = session.speech.say
    return {
        "campaign": campaign,
        "clean": found.clean,
        "rows": found.rows,
        "matched": {"by_number": found.by_number, "by_amount": found.by_amount},
        "outside": found.outside,
        "ahead": found.ahead,
        "other_campaigns": found.elsewhere,
        "other_business": found.other,
        "sent": {"ledger": _sum(found.ledger_sent), "bill": _sum(found.bill_sent)},
        "refunded": {"ledger": _sum(found.ledger_refunded), "bill": _sum(found.bill_refunded)},
        "bills": [
            {
                "file": bill.file,
                "account": bill.account,
                "lines": len(bill.lines),
                "days": [day.isoformat() for day in sorted(bill.days)],
                "sha1": bill.sha1,
                "flaw": say(bill.flaw) if bill.flaw else None,
            }
            for bill in found.bills
        ],
        "identity": {
            "holds": found.holds,
            "accounts": [_account_json(account) for account in found.accounts],
            "breaks": [
                {"file": each.file, "line": each.line, "reason": say(each.reason)} for each in found.breaks
            ],
            "problems": [say(problem) for problem in found.balance_problems],
        },
        "findings": [
            _finding_json(finding, session, now_s=now_s, unmask=unmask) for finding in found.findings
        ],
    }


def _sum(total: Sum) -> dict[str, int]:
    return {"rows": total.rows, "fen": total.fen}


def _account_json(account: Account) -> dict[str, object]:
    return {
        "account": account.name,
        "from": rfc3339(account.first.billed_at_s),
        "until": rfc3339(account.last.billed_at_s),
        "opening": account.opening_fen,
        "top_ups": account.top_ups_fen,
        "sent": account.sent_fen,
        "refunded": account.refunded_fen,
        "other": account.other_fen,
        "closing": account.closing_fen,
        "difference": account.difference_fen,
    }


def _finding_json(finding: Finding, session: Session, *, now_s: float, unmask: bool) -> dict[str, object]:
    entry = finding.entry
    return {
        "kind": finding.kind.value,
        "owner": finding.owner.value,
        "reason": session.speech.say(finding.reason),
        "advice": session.speech.say(finding.advice),
        "since": rfc3339(finding.since_s),
        "age_days": _age_days(finding, now_s),
        "row": entry.row if entry else None,
        "re_openid": _openid(finding, unmask=unmask) if entry else None,
        "mch_billno": entry.mch_billno if entry else None,
        "state": entry.state.value if entry else None,
        "fen": entry.total_amount if entry else None,
        "lines": [
            {
                "file": line.file,
                "line": line.line,
                "time": rfc3339(line.billed_at_s),
                "business_no": line.business_no,
                "flow_id": line.flow_id,
                "voucher_no": line.voucher_no,
                "business_name": line.business_name,
                "business_type": line.business_type,
                "fen": line.change_fen,
            }
            for line in finding.lines
        ],
    }


def _age_days(finding: Finding, now_s: float) -> int:
    return max(0, int((now_s - finding.since_s) // DAY_S))


def _openid(finding: Finding, *, unmask: bool) -> str:
    assert finding.entry is not None
    return finding.entry.re_openid if unmask else mask_openid(finding.entry.re_openid)


# -- for people


def _tell(found: Match, campaign: str, session: Session, *, now_s: float, unmask: bool) -> None:
    _tell_totals(found, campaign, session)
    for bill in found.bills:
        if bill.flaw:
            session.tell(
                text("{file} does not fit its own summary: {flaw}.", file=bill.file, flaw=bill.flaw),
                style="yellow",
            )
    _tell_accounts(found, session)
    if found.findings:
        _tell_findings(found, session, now_s=now_s, unmask=unmask)
    if found.outside:
        session.tell(text("{count} paid rows belong to days that no bill here covers.", count=found.outside))
    if found.ahead:
        session.tell(
            text(
                "The bill says more about {count} rows than WeChat Pay's answers so far, and the sums above "
                "leave that out: `campaign reconcile` asks.",
                count=found.ahead,
            )
        )
    if not found.by_number and not found.by_amount:
        session.tell(text("These bills have no line of this campaign."), style="yellow")
    elif found.clean:
        session.tell(text("Done: ledger, WeChat Pay and bill agree to the fen."), style="green")


def _tell_totals(found: Match, campaign: str, session: Session) -> None:
    from rich.table import Table

    say = session.speech.say
    session.tell(Text("{campaign}", {"campaign": campaign}), style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in (text("rows"), text("yuan in the ledger"), text("lines"), text("yuan in the bill")):
        table.add_column(say(heading), justify="right")
    for label, ledger, bill in (
        (text("sent"), found.ledger_sent, found.bill_sent),
        (text("came back"), found.ledger_refunded, found.bill_refunded),
    ):
        table.add_row(
            say(label), f"{ledger.rows:,}", yuan_grouped(ledger.fen), f"{bill.rows:,}", yuan_grouped(bill.fen)
        )
    session.out.print(table)


def _tell_accounts(found: Match, session: Session) -> None:
    for account in found.accounts:
        session.tell(
            text(
                "{account} {first} – {last}: opening {opening} + top-ups {top_ups} − sent {sent} + refunds "
                "{refunded} + other business {other} = closing {closing} yuan{verdict}",
                account=account.name or text("account"),
                first=beijing_text(account.first.billed_at_s),
                last=beijing_text(account.last.billed_at_s),
                opening=yuan_grouped(account.opening_fen),
                top_ups=yuan_grouped(account.top_ups_fen),
                sent=yuan_grouped(account.sent_fen),
                refunded=yuan_grouped(account.refunded_fen),
                other=yuan_grouped(account.other_fen),
                closing=yuan_grouped(account.closing_fen),
                verdict=text(
                    ", which is {difference} yuan off", difference=yuan_grouped(account.difference_fen)
                )
                if account.difference_fen
                else "",
            )
        )
    for each in found.breaks[:_TOLD]:
        session.tell(
            text("  {file}, line {line}: {reason}.", file=each.file, line=each.line, reason=each.reason),
            style="yellow",
        )
    _tell_more(len(found.breaks), session)
    for problem in found.balance_problems:
        session.tell(text("  {problem}.", problem=problem), style="yellow")


def _tell_findings(found: Match, session: Session, *, now_s: float, unmask: bool) -> None:
    session.tell(text("{count} discrepancies:", count=len(found.findings)), style="yellow")
    for finding in found.findings[:_TOLD]:
        loud = "bold red" if finding.kind is Kind.TWO_DEBITS else ""
        session.tell(
            text(
                "  {kind}: {what}, for {days} days\n    {reason}.\n    Next step ({owner}): {advice}.",
                kind=KIND_TEXT[finding.kind],
                what=_what(finding, unmask=unmask),
                days=_age_days(finding, now_s),
                reason=finding.reason,
                owner=OWNER_TEXT[finding.owner],
                advice=finding.advice,
            ),
            style=loud,
        )
    _tell_more(len(found.findings), session)


def _what(finding: Finding, *, unmask: bool) -> Text:
    entry = finding.entry
    if entry is not None:
        return text(
            "{place}, {openid}, {number}",
            place=text("{sheet}, row {row}", sheet=entry.sheet, row=entry.row),
            openid=_openid(finding, unmask=unmask),
            number=entry.mch_billno,
        )
    line = finding.lines[0]
    return text("{file}, line {line}", file=line.file, line=line.line)


def _tell_more(count: int, session: Session) -> None:
    if count > _TOLD:
        session.tell(text("  … and {more} more; --json lists them all.", more=count - _TOLD))
