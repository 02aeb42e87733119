"""``campaign init``: a first settings file that explains every key, and a sheet to rehearse with."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from campaign.cli.frame import Session, command, pass_session, wrapped
from campaign.errors import UsageError
from campaign.i18n import Speech
from campaign.text import Text, text

SETTINGS_NAME: Final = "campaign.toml"
SHEET_NAME: Final = "lantern.xlsx"

_COMMENT_WIDTH: Final = 96


class Key(NamedTuple):
    """One key of the template. ``value`` is TOML, or a Text to be quoted in the reader's language."""

    name: str
    value: str | Text
    comment: Text
    #: Written as a comment: it needs something that a rehearsal has not, or is best left out.
    idle: bool = False


class Table(NamedTuple):
    """One table of the template."""

    name: str
    comment: Text
    keys: Sequence[Key] = ()


TEMPLATE: Final[Sequence[Table]] = (
    Table(
        "campaign",
        text("What people are told; no payment depends on it."),
        (
            Key("title", text("Lantern Festival"), text("Title of the reports.")),
            Key("lang", '""', text('Language: "zh", "en", or "" for the terminal\'s own.')),
        ),
    ),
    Table(
        "merchant",
        text("Who pays. Made up, for the rehearsal: put your own here before you pay."),
        (
            Key("mch_id", '"1900000109"', text("Merchant number (商户号).")),
            Key(
                "wxappid",
                '"wx0123456789abcdef"',
                text("Appid of the official account that the openids belong to."),
            ),
            Key(
                "api_key",
                '"rehearsal0rehearsal0rehearsal012"',
                text(
                    "APIv2 key, 32 letters and digits. For WeChat Pay, only say where it is: "
                    '"env:WECHATPAY_API_KEY", "file:api_key.txt" (which only you may read) or '
                    '"keyring:SERVICE/NAME".'
                ),
            ),
            Key(
                "certificate",
                '"apiclient_cert.pem"',
                text("The merchant's API certificate and its key. Paths start from this file's folder."),
                idle=True,
            ),
            Key("private_key", '"apiclient_key.pem"', text("Readable by you alone: chmod 600."), idle=True),
            Key(
                "p12", '"apiclient_cert.p12"', text("Both in one file, instead of the two above."), idle=True
            ),
            Key("sub_mch_id", '""', text("Service providers only: the sub-merchant's number.")),
            Key(
                "msgappid",
                '""',
                text("Service providers only: appid of the account that delivers the message."),
            ),
            Key("consume_mch_id", '""', text("Service providers only: the merchant whose money is used.")),
        ),
    ),
    Table(
        "gateway",
        text("Where requests go, and how fast."),
        (
            Key(
                "url",
                '"rehearsal"',
                text(
                    '"rehearsal" is a stand-in on this machine that moves no money. '
                    'To pay: "https://api.mch.weixin.qq.com"'
                ),
            ),
            Key(
                "backup_url",
                '"https://api2.mch.weixin.qq.com"',
                text(
                    "Used when the first cannot be reached; never both for one request. A rehearsal has none."
                ),
            ),
            Key(
                "ca_bundle",
                '""',
                text("Certificates to trust instead of the public ones; this machine only."),
            ),
            Key(
                "sends_per_second",
                "20",
                text("WeChat Pay allows a merchant 30, over all programs that send for it."),
            ),
            Key("queries_per_second", "20", text("Questions a second.")),
            Key(
                "workers",
                "16",
                text("Requests in flight at once, at most; left out, as many as the pace needs."),
                idle=True,
            ),
            Key("connect_timeout_s", "5", text("Seconds.")),
            Key(
                "read_timeout_s", "15", text("Seconds without an answer until the packet counts as in doubt.")
            ),
            Key(
                "transport",
                '"requests"',
                text('The HTTP library; "curl" is faster and needs: pip install "campaign[fast]".'),
            ),
        ),
    ),
    Table(
        "packet",
        text("Values for columns that the sheet lacks. Limits are in bytes: a Chinese character has three."),
        (
            Key("send_name", text("Sky Rainbow"), text("Who sends, as people see it; up to 31 bytes.")),
            Key("act_name", text("Lantern riddles"), text("Name of the activity; up to 31 bytes.")),
            Key("wishing", text("Happy Lantern Festival!"), text("Greeting; up to 127 bytes.")),
            Key("remark", text("Guess more, get more!"), text("Remark; up to 255 bytes.")),
            Key("client_ip", '"127.0.0.1"', text("IPv4 address of the sending machine.")),
            Key(
                "scene_id",
                '""',
                text(
                    "PRODUCT_1 … PRODUCT_8; needed below 1.00 and above 200.00 yuan, "
                    "and must be opened on the merchant platform."
                ),
            ),
            Key("risk_info", '""', text("Hints for risk control, URL-encoded; usually empty.")),
        ),
    ),
    Table(
        "columns",
        text(
            "Headers that are not recognised by themselves: header = field. Fields: re_openid, amount_yuan, "
            "amount_fen, id, wishing, remark, act_name, send_name, scene_id, risk_info."
        ),
        (Key('"会员编号"', '"id"', text("An example."), idle=True),),
    ),
    Table(
        "limits",
        text("What may be spent, in yuan. No request leaves that would break one of these."),
        (
            Key(
                "campaign_yuan", '"500.00"', text("The most that one campaign may spend. It has no default.")
            ),
            Key(
                "in_doubt_yuan",
                '"2000.00"',
                text(
                    "The most that may be without a clear answer at one moment; not below the largest packet."
                ),
            ),
            Key(
                "person_day_packets",
                "10",
                text("Packets for one person on one Beijing day (WeChat Pay's default)."),
            ),
            Key("person_day_yuan", '"1000.00"', text("Yuan for one person on one Beijing day.")),
            Key("merchant_day_yuan", '"1000000.00"', text("Yuan of this merchant on one Beijing day.")),
        ),
    ),
    Table(
        "breaker",
        text("When a run stops by itself, because answers that may concern everybody become too many."),
        (
            Key("consecutive", "5", text("So many one after the other.")),
            Key("share", "0.5", text("This share of the last ones, from 0 to 1.")),
            Key("window", "20", text("How many the last ones are.")),
        ),
    ),
    Table(
        "timing",
        text("Seconds. With WeChat Pay the first two and the first of poll_s may be longer, not shorter."),
        (
            Key("doubt_ask_s", "1.0", text("From an unclear answer to the first question.")),
            Key("processing_ask_s", "1200", text("From PROCESSING to the question.")),
            Key(
                "not_found_repeat_s",
                "180",
                text("From NOT_FOUND to the second question, after which the same number is sent again."),
            ),
            Key(
                "poll_s",
                "[60, 1200, 7200, 43200, 90000, 93600, 172800]",
                text("When to ask whether a packet was opened, after it was taken; then daily until day 28."),
            ),
        ),
    ),
    Table(
        "parked",
        text("Packets that WeChat Pay holds and does not pay."),
        (
            Key(
                "repeat",
                '"ask"',
                text('"ask": a person decides. "auto": send the same number again, within 72 hours.'),
            ),
        ),
    ),
    Table(
        "ledger",
        text("The record of everything. One merchant has one ledger; keep it, and back it up."),
        (
            Key(
                "url",
                '"sqlite:///campaign.db"',
                text("Beside this file. The rehearsal uses campaign.rehearsal.db instead."),
            ),
        ),
    ),
    Table(
        "bill",
        text("The funds bill (资金账单) of `campaign match`. Names are its 业务名称 or 业务类型."),
        (
            Key(
                "account",
                '"both"',
                text('The account that pays: "Basic", "Operation", or "both" to look at the two.'),
            ),
            Key(
                "packet_names",
                '["现金红包", "企业红包", "微信红包", "红包", "现金红包退款", "红包退款"]',
                text("How the bill calls packets and their refunds."),
            ),
            Key("top_up_names", '["充值/提现", "充值", "提现"]', text("Money put in or taken out.")),
            Key(
                "other_names",
                '["交易", "退款", "企业付款", "代金券/立减/折扣", "分账"]',
                text("Business other than packets. A name that is in none of the lists is reported."),
            ),
            Key(
                "nightly",
                '"skip"',
                text(
                    '"match": `campaign schedule` fetches the bills of the days before and matches them. '
                    "WeChat Pay makes a day's bill from 09:00 of the next."
                ),
            ),
        ),
    ),
    Table(
        "notify",
        text(
            "Whom `campaign run` and the night run tell. Addresses as Apprise writes them: robots of WeCom, "
            "DingTalk and Feishu, e-mail, webhooks."
        ),
        (
            Key(
                "urls",
                '["env:WECOM_ROBOT"]',
                text(
                    "An address that holds a key is a secret: say where it is, as with api_key. Examples: "
                    "wecombot://KEY/  dingtalk://SECRET@TOKEN/  feishu://TOKEN/  "
                    "mailtos://USER:PASSWORD@HOST  jsons://HOST/PATH"
                ),
                idle=True,
            ),
            Key(
                "on",
                '["finished", "halted", "discrepancies", "deadlines", "certificate"]',
                text("What about: leave out what nobody wants to hear."),
            ),
            Key("lang", '""', text('Language: "zh", "en", or "" for that of the command.')),
        ),
    ),
    Table(
        "rehearsal",
        text("The stand-in for WeChat Pay."),
        (
            Key("seed", "1", text("The same seed, the same chances.")),
            Key(
                "faults",
                '"faults.json"',
                text("What goes wrong: see `campaign rehearsal serve --help`."),
                idle=True,
            ),
            Key("time_scale", "1.0", text("How fast its clock runs: 1440 makes a day of a minute.")),
            Key("balance_yuan", '"100000.00"', text("The money on its account.")),
        ),
    ),
)

_HEADERS: Final = (text("id"), text("name"), text("openid"), text("amount (yuan)"), text("wishing"))
_PEOPLE: Final = (
    (text("Wei Li"), "1.88"),
    (text("Fang Zhang"), "8.88"),
    (text("Qiang Wang"), "6.66"),
    (text("Min Liu"), "18.80"),
    (text("Jing Chen"), "5.20"),
)
#: Plainly made up: nobody's openid looks like this.
_OPENID: Final = "oSAMPLE_not_a_person_{number:07d}"


@command(
    "init",
    help=text(
        "Write a commented campaign.toml for a rehearsal, and a sample sheet, into DIR (here, without it)."
    ),
    examples=("campaign init", "campaign init spring-festival"),
)
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), default=Path())
@pass_session
def init(session: Session, folder: Path) -> None:
    settings, sheet = folder / SETTINGS_NAME, folder / SHEET_NAME
    if settings.exists():
        raise UsageError(
            text("{file} exists already; nothing was changed.", file=settings),
            advice=text("Change that file, or name another folder: campaign init DIR"),
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_new(settings, template(session.speech).encode())
    session.tell(text("Wrote {file}: settings for a rehearsal, with every key explained.", file=settings))
    if sheet.exists():
        session.tell(text("Left {file} as it was.", file=sheet))
    else:
        _write_new(sheet, sample_sheet(session.speech))
        session.tell(text("Wrote {file}: a sample sheet.", file=sheet))
    session.tell(text("Next:"))
    if folder != Path():
        session.tell(Text(f"  cd {shlex.quote(str(folder))}"))
    for step in ("check", "run"):
        session.tell(Text(f"  campaign {step} {SHEET_NAME}"))


def template(speech: Speech) -> str:
    """The settings file, with comments in the reader's language."""
    lines = [*_comment(speech, text("Settings of campaign. Amounts in yuan stand in quotes.")), ""]
    for table in TEMPLATE:
        lines += [*_comment(speech, table.comment), f"[{table.name}]"]
        for key in table.keys:
            value = _quoted(speech.say(key.value)) if isinstance(key.value, Text) else key.value
            lines += [*_comment(speech, key.comment), f"{'#' if key.idle else ''}{key.name} = {value}"]
        lines.append("")
    return "\n".join(lines)


def sample_sheet(speech: Speech) -> bytes:
    """A small workbook as an operator would make it; ids and amounts as text, so nothing gets rounded."""
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    page = book.active
    assert page is not None
    page.title = speech.say(text("Winners"))
    page.append([speech.say(header) for header in _HEADERS])
    for number, (name, yuan) in enumerate(_PEOPLE, start=1):
        person = speech.say(name)
        wishing = speech.say(text("{name}, happy Lantern Festival!", name=person))
        page.append([f"L{number:03d}", person, _OPENID.format(number=number), yuan, wishing])
    for letter, width in zip("ABCDE", (8, 14, 34, 14, 40), strict=True):
        page[f"{letter}1"].font = Font(bold=True)
        page.column_dimensions[letter].width = width
    page.freeze_panes = "A2"
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _comment(speech: Speech, sentence: Text) -> list[str]:
    return [f"# {line}" for line in wrapped(speech.say(sentence), _COMMENT_WIDTH)]


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_new(path: Path, content: bytes) -> None:
    """Create a file that only this user may read; never one that exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
