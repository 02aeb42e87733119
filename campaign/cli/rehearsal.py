"""``campaign rehearsal``: the stand-in for WeChat Pay, for any client of the merchant in campaign.toml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from campaign.cli.frame import Command, group, option, pass_session
from campaign.cli.session import SCHEMA_VERSION, Session
from campaign.errors import SetupError
from campaign.i18n import Speech
from campaign.rehearsal.faults import KINDS, Faults, Phase
from campaign.text import text

_HEADINGS = {
    Phase.BEFORE: text("Faults on the way there"),
    Phase.RULING: text("Faults in what WeChat Pay decides"),
    Phase.ANSWER: text("Faults on the way back; what was decided has happened"),
    Phase.DELAY: text("Delays"),
}


class _Serve(Command):
    """Help that ends with every fault."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        speech = ctx.ensure_object(Session).speech
        for phase, heading in _HEADINGS.items():
            with formatter.section(speech.say(heading)):
                formatter.write_dl(
                    [(name, _described(name, speech)) for name in KINDS if KINDS[name].phase is phase]
                )
        formatter.write_paragraph()
        formatter.write_text(
            speech.say(
                text(
                    "--faults takes one JSON object: a fault's name, and a share of the requests from 0 to 1 "
                    "or an object with some of share, positions, from_position, to_position (the how-many-th "
                    "bill numbers), openids, mch_billnos, attempts_max (only the first requests of a "
                    "number), endpoint, delay_s, balance_fen, reason; or a list of such objects. "
                    "A seed that failed fails again."
                )
            )
        )


def _described(name: str, speech: Speech) -> str:
    kind = KINDS[name]
    if kind.payable:
        return speech.say(text("{fault}.", fault=kind.says))
    return speech.say(text("{fault}. The row cannot be paid under this number.", fault=kind.says))


@group(
    "rehearsal",
    help=text("The stand-in for WeChat Pay: no money moves."),
    examples=("campaign rehearsal serve",),
)
def rehearsal() -> None:
    pass


@rehearsal.command(
    "serve",
    cls=_Serve,
    sentence=text(
        "Serve the stand-in over HTTPS on this machine until Ctrl-C, for any client of the merchant in "
        "campaign.toml. When ready, one JSON line on stdout says its url and where the certificates are. "
        "Unless a fault says otherwise, a row that a fault strikes stays payable: the same number is paid "
        "already, or is paid when it is sent again."
    ),
    examples=(
        "campaign rehearsal serve --port 8443 --certs certs",
        'campaign rehearsal serve --faults \'{"reset_after": 0.05, "slow": {"delay_s": 2}}\'',
    ),
)
@option("--port", type=click.IntRange(0, 65535), default=0, help=text("Port; without it a free one."))
@option(
    "--certs",
    type=click.Path(file_okay=False, path_type=Path),
    help=text(
        "Folder for ca.pem, client.pem, client.key and client.p12 (its password is mch_id); made if missing."
    ),
)
@option(
    "--books",
    type=click.Path(dir_okay=False, path_type=Path),
    help=text("File in which orders and money survive between calls."),
)
@option(
    "--seed", type=click.IntRange(0), help=text("Decides whom faults strike, and who opens a packet when.")
)
@option("--faults", metavar="JSON|FILE", help=text("What goes wrong; a file is read again on SIGHUP."))
@click.option("--attached", type=click.Path(path_type=Path), hidden=True)
@pass_session
def serve(
    session: Session,
    *,
    port: int,
    certs: Path | None,
    books: Path | None,
    seed: int | None,
    faults: str | None,
    attached: Path | None,
) -> None:
    from campaign.ports import SystemClock
    from campaign.rehearsal.books import Books
    from campaign.rehearsal.certificates import ensure
    from campaign.rehearsal.local import BOOKS, CERTS, folder_of, merchant_of
    from campaign.rehearsal.rules import Rules
    from campaign.rehearsal.server import Serving
    from campaign.rehearsal.server import serve as serve_rules

    settings = session.settings()
    merchant = merchant_of(settings)
    books_path = books or folder_of(settings) / BOOKS
    certs_path = certs or folder_of(settings) / CERTS
    seed = settings.rehearsal.seed if seed is None else seed
    source: Any = settings.rehearsal.faults if faults is None else faults
    clock = SystemClock()
    books_path.parent.mkdir(parents=True, exist_ok=True)
    open_books = Books(books_path, balance_fen=settings.rehearsal.balance_fen, now_s=clock.now_s())
    try:
        certificates = ensure(certs_path, merchant.mch_id)
        rules = Rules(
            open_books, merchant, clock=clock, faults=Faults.read(source) if source else Faults(), seed=seed
        )

        def say_ready(url: str) -> None:
            ready = {"schema_version": SCHEMA_VERSION, "gateway": "rehearsal", "url": url}
            ready |= {"certs": str(certs_path.absolute()), "books": str(books_path.absolute()), "seed": seed}
            click.echo(json.dumps(ready))

        def read_faults_again() -> None:
            try:
                rules.faults = Faults.read(source) if source else Faults()
            except SetupError as error:
                session.say(text("The faults stay as they were. {message}", message=error.message))

        serve_rules(
            rules,
            Serving(
                certificates=certificates,
                port=port,
                on_ready=say_ready,
                on_hangup=read_faults_again,
                attached=attached,
            ),
        )
    finally:
        open_books.close()
