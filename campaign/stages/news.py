"""What people are told of a run, and of a night: a line for each thing that they may act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from campaign.domain.campaign import HaltReason
from campaign.domain.days import DAY_S, beijing_day, beijing_text
from campaign.domain.deadline import CLIFF_TEXT, Cliff, Deadline
from campaign.domain.entry import Flag
from campaign.domain.money import yuan_grouped
from campaign.domain.state import State
from campaign.domain.verdict import STATE_TEXT, halt_advice
from campaign.notify import Message, Topic
from campaign.stages.night import CampaignNight, Night
from campaign.stages.standing import Standing
from campaign.text import Text, text
from campaign.wechat.answers import explain

#: A certificate is replaced by hand, and that takes a few days (R8).
CERTIFICATE_WARNING_S = 30 * DAY_S
_DISCREPANCIES = frozenset({Flag.MISMATCH, Flag.OTHER_ID, Flag.CONTRADICTION})


def of_run(standing: Standing) -> list[Message]:
    """What became of a campaign's run."""
    if standing.halt is not None and standing.halt.reason is not HaltReason.WAITING:
        return [_halted(standing)]
    return [_figures(standing), *_discrepancies(standing)]


def of_night(night: Night, *, now_s: float, certificate_ends_s: float | None) -> list[Message]:
    """What became of a night; nothing where there is no news and nothing is near.

    Args:
        certificate_ends_s: when the merchant's certificate ends, in Unix seconds; None where there is none.
    """
    messages = [_failed(error.message, error.advice) for error in night.failures]
    for each in night.campaigns:
        messages += _of_campaign(each, bills_nightly=bool(night.bill.days or night.bill.missing))
    if not night.bill.clean:
        messages.append(
            Message(
                Topic.DISCREPANCIES,
                text(
                    "Funds bills: {lines} findings about lines that no campaign explains, {breaks} places "
                    "where the balance does not follow, {flawed} files that contradict their own summary.",
                    lines=len(night.bill.findings),
                    breaks=len(night.bill.breaks),
                    flawed=len(night.bill.flawed),
                ),
            )
        )
    if certificate_ends_s is not None and certificate_ends_s - now_s < CERTIFICATE_WARNING_S:
        messages.append(_certificate(certificate_ends_s, now_s))
    return messages


def _of_campaign(each: CampaignNight, *, bills_nightly: bool) -> Iterator[Message]:
    standing = each.standing
    if standing.halt is not None and standing.halt.reason is not HaltReason.WAITING:
        yield _halted(standing)
    if each.files:
        yield _figures(standing)
    yield from _discrepancies(standing)
    if each.findings:
        yield Message(
            Topic.DISCREPANCIES,
            text(
                "{campaign}: the funds bill contradicts the ledger about {count} rows; `campaign match` "
                "names them.",
                campaign=standing.campaign.name,
                count=len(each.findings),
            ),
        )
    for deadline in each.deadlines:
        if deadline.near and not (deadline.cliff is Cliff.BILL and bills_nightly):
            yield Message(Topic.DEADLINES, deadline_text(standing.campaign.name, deadline))


def deadline_text(campaign: str, deadline: Deadline) -> Text:
    """One deadline in a sentence."""
    return text(
        "{campaign}, {time} (Beijing): {rows} packets, {yuan} yuan {what}.",
        campaign=campaign,
        time=beijing_text(deadline.at_s),
        rows=deadline.rows,
        yuan=yuan_grouped(deadline.fen),
        what=CLIFF_TEXT[deadline.cliff],
    )


def _figures(standing: Standing) -> Message:
    """How the campaign stands, in rows and yuan."""
    return Message(
        Topic.FINISHED,
        text(
            "{campaign}: {rows} packets, {yuan} yuan: {states}; {needs} need a person.",
            campaign=standing.campaign.name,
            rows=standing.rows,
            yuan=yuan_grouped(standing.total_fen),
            states=_states(standing),
            needs=len(standing.needs),
        ),
    )


def _states(standing: Standing) -> Sequence[Text]:
    return [
        text("{state} {rows} ({yuan} yuan)", state=STATE_TEXT[state], rows=rows, yuan=yuan_grouped(fen))
        for state, (rows, fen) in standing.totals.items()
    ] or [STATE_TEXT[State.PLANNED]]


def _halted(standing: Standing) -> Message:
    assert standing.halt is not None
    return Message(
        Topic.HALTED,
        text(
            "{campaign} is not finished. {advice}",
            campaign=standing.campaign.name,
            advice=halt_advice(standing.halt, explain),
        ),
    )


def _discrepancies(standing: Standing) -> Iterator[Message]:
    flagged = [entry for entry, _ in standing.needs if entry.flag in _DISCREPANCIES]
    if flagged:
        yield Message(
            Topic.DISCREPANCIES,
            text(
                "{campaign}: WeChat Pay's answers contradict the ledger about {count} packets, {yuan} yuan; "
                "`campaign status {campaign}` names them.",
                campaign=standing.campaign.name,
                count=len(flagged),
                yuan=yuan_grouped(sum(entry.total_amount for entry in flagged)),
            ),
        )


def _failed(message: Text, advice: Text | None) -> Message:
    sentence = text("{message} → {advice}", message=message, advice=advice) if advice else message
    return Message(Topic.HALTED, sentence)


def _certificate(ends_s: float, now_s: float) -> Message:
    return Message(
        Topic.CERTIFICATE,
        text(
            "The merchant's certificate ends in {days} days, on {date}. Apply for a new one on the merchant "
            "platform now; both are valid for a while.",
            days=int((ends_s - now_s) // DAY_S),
            date=beijing_day(ends_s),
        ),
    )
