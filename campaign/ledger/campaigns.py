"""The ledger's campaigns: their sheets' facts, halts, cancelling and reopening."""
# ruff: noqa: S608 - statements are put together from the ledger's own constants, never from values.

from __future__ import annotations

import json

from campaign.domain.campaign import Campaign, Halt
from campaign.domain.state import State, may_move
from campaign.ledger.chain import Chain
from campaign.ledger.records import EventKind
from campaign.ledger.rows import CAMPAIGN_COLUMNS, CAMPAIGN_ID, campaign_of, halt_json


class Campaigns(Chain):
    """What is recorded about a campaign as a whole."""

    def campaign(self, name: str) -> Campaign | None:
        """The campaign of that name."""
        row = self._one(f"SELECT {CAMPAIGN_COLUMNS} FROM campaign WHERE name = ?", (name,))
        return None if row is None else campaign_of(row)

    def campaigns(self) -> list[Campaign]:
        """All campaigns, oldest first."""
        return [campaign_of(row) for row in self._all(f"SELECT {CAMPAIGN_COLUMNS} FROM campaign ORDER BY id")]

    def save_campaign(self, campaign: Campaign, at_s: float) -> None:
        """Add a campaign, or update what its sheet and settings say of it.

        Its halt, its cancelling and ``ask_first`` have methods of their own and are not touched here.
        """
        values = {
            "name": campaign.name,
            "title": campaign.title,
            "key_column": campaign.key_column,
            "created_at_s": campaign.created_at_s,
            "ask_first": campaign.ask_first,
            "sheet_file": campaign.sheet_file,
            "sheet_digest": campaign.sheet_digest,
            "own_headers": json.dumps(campaign.own_headers, ensure_ascii=False),
            "plan_digest": campaign.plan_digest,
        }
        with self.atomic():
            self._db.execute(
                """
                INSERT INTO campaign (name, title, key_column, created_at_s, ask_first, sheet_file,
                                      sheet_digest, own_headers, plan_digest)
                VALUES (:name, :title, :key_column, :created_at_s,
                        :ask_first OR EXISTS (SELECT 1 FROM meta WHERE key = 'ask_first'),
                        :sheet_file, :sheet_digest, :own_headers, :plan_digest)
                ON CONFLICT (name) DO UPDATE SET title = excluded.title, key_column = excluded.key_column,
                    sheet_file = excluded.sheet_file, sheet_digest = excluded.sheet_digest,
                    own_headers = excluded.own_headers, plan_digest = excluded.plan_digest
                """,
                values,
            )
            detail = {k: values[k] for k in ("title", "key_column", "sheet_file", "sheet_digest")}
            self._note(campaign.name, at_s, EventKind.CAMPAIGN_SAVED, detail)

    def set_halt(self, name: str, halt: Halt | None, at_s: float) -> None:
        """Remember why sending stopped, or that it goes on."""
        stored = None if halt is None else halt_json(halt)
        with self.atomic():
            changed = self._one(
                "UPDATE campaign SET halt = ? WHERE name = ? AND halt IS NOT ? RETURNING id",
                (stored, name, stored),
            )
            if changed:
                kind = EventKind.RESUMED if stored is None else EventKind.HALTED
                self._note(name, at_s, kind, json.loads(stored or "{}"))

    def set_ask_first(self, name: str, at_s: float) -> None:
        """The ledger may be behind the truth: from now on ask before every send of this campaign."""
        with self.atomic():
            sql = "UPDATE campaign SET ask_first = 1 WHERE name = ? AND ask_first = 0 RETURNING id"
            if self._one(sql, (name,)):
                self._note(name, at_s, EventKind.ASK_FIRST)

    def ask_everything_first(self, at_s: float) -> None:
        """This ledger may be behind the truth, for every campaign that it has or will have."""
        with self.atomic():
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('ask_first', '1')")
            for campaign in self.campaigns():
                self.set_ask_first(campaign.name, at_s)

    def cancel(self, name: str, at_s: float) -> int:
        """Close a campaign: withdraw what is planned, repeat nothing more, only ask.

        Returns:
            how many entries were withdrawn.
        """
        with self.atomic():
            if self._one(
                "UPDATE campaign SET cancelled_at_s = ? WHERE name = ? AND cancelled_at_s IS NULL"
                " RETURNING id",
                (at_s, name),
            ):
                self._note(name, at_s, EventKind.CAMPAIGN_CANCELLED)
            for state in (State.IN_DOUBT, State.PARKED):
                self._db.execute(
                    f"UPDATE entry SET todo = 'ask', due_at_s = :now_s WHERE campaign = {CAMPAIGN_ID}"
                    f" AND state = '{state}' AND todo = 'repeat'",
                    {"campaign": name, "now_s": at_s},
                )
            return self._move_all(
                name,
                EventKind.CANCELLED,
                at_s,
                State.PLANNED,
                State.CANCELLED,
                "not_before_s = 0, settled_at_s = :at_s",
            )

    def reopen(self, name: str, at_s: float) -> int:
        """Open a cancelled campaign again; what was withdrawn is planned again. Returns how many."""
        with self.atomic():
            if self._one(
                "UPDATE campaign SET cancelled_at_s = NULL WHERE name = ? AND cancelled_at_s NOT NULL"
                " RETURNING id",
                (name,),
            ):
                self._note(name, at_s, EventKind.CAMPAIGN_REOPENED)
            return self._move_all(
                name, EventKind.REOPENED, at_s, State.CANCELLED, State.PLANNED, "settled_at_s = NULL"
            )

    def _move_all(
        self, name: str, kind: EventKind, at_s: float, before: State, after: State, also: str
    ) -> int:
        assert may_move(before, after)
        which = f"campaign = {CAMPAIGN_ID} AND state = '{before}'"
        values = {"campaign": name, "at_s": at_s}
        seqs = self._all(f"SELECT seq, mch_billno FROM entry WHERE {which} ORDER BY seq", values)
        self._db.execute(f"UPDATE entry SET state = '{after}', {also} WHERE {which}", values)
        for seq, mch_billno in seqs:
            self._append(name, seq, mch_billno, at_s, kind, before, after)
        return len(seqs)
