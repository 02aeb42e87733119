"""The tables of the ledger. The schema grows by appended migrations; one that was released is never edited.

A row is an *entry*, addressed inside the file by ``seq``, its planned order; whatever else is known of
it hangs on that. What all rows of a campaign have in common (the request's texts) is stored once, as a
*wording*. Sums that must be instant or cheap at a million rows (rows and fen per state, packets and fen
per day) are kept by triggers, so that no change of an entry can forget them; planning alone adds to its
sum itself, a thousand rows at a time.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from campaign.domain.state import State

if TYPE_CHECKING:
    from sqlite_utils import Database

_STATES: Final = ", ".join(f"'{state}'" for state in State)
_STATE_IN: Final = f"state IN ({_STATES})"
_NUMBER: Final = "mch_billno TEXT NOT NULL"

_ENTRY: Final = f"""
    CREATE TABLE entry (
        seq INTEGER PRIMARY KEY,         -- the planned order
        {_NUMBER} UNIQUE,
        campaign INTEGER NOT NULL REFERENCES campaign (id),
        row_key TEXT NOT NULL,
        issue INTEGER NOT NULL,
        sheet TEXT NOT NULL,
        row INTEGER NOT NULL,
        re_openid TEXT NOT NULL,
        total_amount INTEGER NOT NULL CHECK (total_amount > 0),
        wording INTEGER NOT NULL REFERENCES wording (id),
        nonce_str TEXT NOT NULL,
        own TEXT NOT NULL,               -- JSON object
        unlisted INTEGER NOT NULL DEFAULT 0, -- 1: planned, but not in the sheet that was run last
        state TEXT NOT NULL CHECK ({_STATE_IN}),
        evidence TEXT,
        flag TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        refused INTEGER NOT NULL DEFAULT 0,
        not_sent INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0,
        last_outcome TEXT,
        last_reach TEXT NOT NULL DEFAULT 'row',
        err_code TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        todo TEXT,
        due_at_s REAL,
        not_before_s REAL NOT NULL DEFAULT 0,
        first_sent_at_s REAL,
        last_sent_at_s REAL,
        not_found_at_s REAL,
        sending_since_s REAL,
        accepted_at_s REAL,
        settled_at_s REAL,
        asked_at_s REAL,
        status TEXT NOT NULL DEFAULT '',
        send_listid TEXT NOT NULL DEFAULT '',
        detail_id TEXT NOT NULL DEFAULT '',
        rcv_time TEXT NOT NULL DEFAULT '',
        refund_time TEXT NOT NULL DEFAULT '',
        refund_amount INTEGER NOT NULL DEFAULT 0,
        owner TEXT,                      -- who is sending it, until when the others leave it alone
        lease_until_s REAL,
        CHECK (refused + not_sent + held <= attempts)
    ) STRICT
"""

# sqlite3 uses a partial index for `state = 'x'` only if the index names that one state: hence one each.
_FIRST: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE campaign (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        key_column TEXT NOT NULL,
        created_at_s REAL NOT NULL,
        cancelled_at_s REAL,
        ask_first INTEGER NOT NULL DEFAULT 0,
        sheet_file TEXT NOT NULL,
        sheet_digest TEXT NOT NULL,
        own_headers TEXT NOT NULL,       -- JSON list
        halt TEXT                        -- JSON object
    ) STRICT
    """,
    """
    CREATE TABLE wording (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        parameters TEXT NOT NULL         -- JSON object; "" where the entry's own value stands
    ) STRICT
    """,
    _ENTRY,
    "CREATE INDEX entry_sheet ON entry (campaign, sheet, row)",
    "CREATE INDEX entry_planned ON entry (campaign, not_before_s) WHERE state = 'planned' AND unlisted = 0",
    "CREATE INDEX entry_unlisted ON entry (campaign) WHERE unlisted = 1",
    "CREATE INDEX entry_in_doubt ON entry (campaign, todo, due_at_s, flag) WHERE state = 'in_doubt'",
    "CREATE INDEX entry_parked ON entry (campaign, todo, due_at_s, flag) WHERE state = 'parked'",
    "CREATE INDEX entry_accepted ON entry (campaign, todo, due_at_s, flag) WHERE state = 'accepted'",
    "CREATE INDEX entry_accepted_since ON entry (campaign, accepted_at_s) WHERE state = 'accepted'",
    "CREATE INDEX entry_rejected ON entry (campaign) WHERE state = 'rejected'",
    "CREATE INDEX entry_cancelled ON entry (campaign) WHERE state = 'cancelled'",
    "CREATE INDEX entry_flagged ON entry (campaign) WHERE flag IS NOT NULL",
    """
    CREATE TABLE attempt (
        entry INTEGER NOT NULL REFERENCES entry (seq),
        n INTEGER NOT NULL,
        begun_at_s REAL NOT NULL,
        ended_at_s REAL,
        outcome TEXT,
        err_code TEXT NOT NULL DEFAULT '',
        err_code_des TEXT NOT NULL DEFAULT '',
        raw BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY (entry, n)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE question (
        id INTEGER PRIMARY KEY,
        entry INTEGER NOT NULL REFERENCES entry (seq),
        asked_at_s REAL NOT NULL,
        answered_at_s REAL NOT NULL,
        status TEXT,
        err_code TEXT NOT NULL,
        err_code_des TEXT NOT NULL,
        raw BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX question_entry ON question (entry)",
    """
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        campaign INTEGER REFERENCES campaign (id),
        entry INTEGER REFERENCES entry (seq),
        at_s REAL NOT NULL,
        kind TEXT NOT NULL,
        before TEXT,
        after TEXT,
        detail TEXT NOT NULL,            -- JSON object
        digest BLOB NOT NULL             -- over the digest before it and this event
    ) STRICT
    """,
    "CREATE INDEX event_entry ON event (entry)",
    """
    CREATE TRIGGER event_is_final BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only appended'); END
    """,
    """
    CREATE TRIGGER event_is_kept BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only appended'); END
    """,
    """
    CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END
    """,
    """
    CREATE TABLE total (
        campaign INTEGER NOT NULL REFERENCES campaign (id),
        state TEXT NOT NULL,
        rows INTEGER NOT NULL CHECK (rows >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0),
        PRIMARY KEY (campaign, state)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER entry_counted AFTER INSERT ON entry BEGIN
        INSERT INTO total VALUES (new.campaign, new.state, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET rows = rows + 1, fen = fen + excluded.fen;
    END
    """,
    """
    CREATE TRIGGER entry_recounted AFTER UPDATE OF state, total_amount ON entry
    WHEN old.state <> new.state OR old.total_amount <> new.total_amount BEGIN
        UPDATE total SET rows = rows - 1, fen = fen - old.total_amount
        WHERE campaign = old.campaign AND state = old.state;
        INSERT INTO total VALUES (new.campaign, new.state, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET rows = rows + 1, fen = fen + excluded.fen;
    END
    """,
    # For a day's caps an entry counts on every Beijing day on which a request for it left.
    """
    CREATE TABLE sent_day (
        entry INTEGER NOT NULL REFERENCES entry (seq),
        day TEXT NOT NULL,
        re_openid TEXT NOT NULL,
        total_amount INTEGER NOT NULL,
        PRIMARY KEY (entry, day)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE person_day (
        day TEXT NOT NULL,
        re_openid TEXT NOT NULL,
        packets INTEGER NOT NULL CHECK (packets >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0),
        PRIMARY KEY (day, re_openid)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE merchant_day (
        day TEXT PRIMARY KEY,
        packets INTEGER NOT NULL CHECK (packets >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER sent_day_counted AFTER INSERT ON sent_day BEGIN
        INSERT INTO person_day VALUES (new.day, new.re_openid, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET packets = packets + 1, fen = fen + excluded.fen;
        INSERT INTO merchant_day VALUES (new.day, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET packets = packets + 1, fen = fen + excluded.fen;
    END
    """,
    """
    CREATE TRIGGER sent_day_uncounted AFTER DELETE ON sent_day BEGIN
        UPDATE person_day SET packets = packets - 1, fen = fen - old.total_amount
        WHERE day = old.day AND re_openid = old.re_openid;
        UPDATE merchant_day SET packets = packets - 1, fen = fen - old.total_amount WHERE day = old.day;
    END
    """,
    # WeChat Pay's own daily limit of a person was met: nothing for this person until then.
    "CREATE TABLE person_wait (re_openid TEXT PRIMARY KEY, until_s REAL NOT NULL) STRICT, WITHOUT ROWID",
)

_BILLS: Final = (
    # The funds bills as they came: a row's money may be on the bill of either of two days, and the night
    # fetches them one by one.
    """
    CREATE TABLE bill (
        id INTEGER PRIMARY KEY,
        file TEXT NOT NULL,              -- as people know it
        account TEXT NOT NULL,
        first_day TEXT NOT NULL,
        last_day TEXT NOT NULL,
        days TEXT NOT NULL,              -- JSON list
        asked INTEGER NOT NULL,          -- 1: it was asked for by day; 0: its days are those of its lines
        content BLOB NOT NULL            -- empty: WeChat Pay has no bill of these days, since nothing moved
    ) STRICT
    """,
    # What a campaign's last match brought; its lines and findings are below.
    """
    CREATE TABLE matching (
        campaign INTEGER PRIMARY KEY REFERENCES campaign (id),
        matched_at_s REAL NOT NULL,
        event INTEGER NOT NULL,          -- the campaign's last event that the match knows
        days TEXT NOT NULL               -- JSON list
    ) STRICT
    """,
    # The lines that belong to an entry.
    """
    CREATE TABLE billed (
        entry INTEGER NOT NULL REFERENCES entry (seq),
        place INTEGER NOT NULL,
        line TEXT NOT NULL,              -- JSON list
        PRIMARY KEY (entry, place)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE finding (
        campaign INTEGER NOT NULL REFERENCES campaign (id),
        place INTEGER NOT NULL,          -- the loudest first
        mch_billno TEXT,                 -- NULL: a line that belongs to no row
        content TEXT NOT NULL,           -- JSON object
        PRIMARY KEY (campaign, place)
    ) STRICT, WITHOUT ROWID
    """,
)

# What went into a campaign's last plan, as one digest: the same again needs no reading of the sheet.
_UNCHANGED: Final = ("ALTER TABLE campaign ADD COLUMN plan_digest TEXT NOT NULL DEFAULT ''",)

#: A packet that came back, and not with what was sent. (0: WeChat Pay did not say how much.)
PARTLY_REFUNDED: Final = "state = 'refunded' AND refund_amount <> 0 AND refund_amount <> total_amount"
_PARTLY: Final = (f"CREATE INDEX entry_partly_refunded ON entry (campaign) WHERE {PARTLY_REFUNDED}",)

_PLANS: Final = (
    # Entries are planned by the thousand with one event, which stands at the last of them; in a ledger
    # begun before this, each has its own. Either way an entry's is the first at or after its place.
    "CREATE INDEX event_planned ON event (entry) WHERE kind = 'planned'",
    # Nor is each counted by itself: planning adds a thousand to `total` at once.
    "DROP TRIGGER entry_counted",
)

#: The numbers are unique by an index of its own: a big plan makes it at once, at its end.
DROP_NUMBERS: Final = "DROP INDEX entry_number"
MAKE_NUMBERS: Final = "CREATE UNIQUE INDEX entry_number ON entry (mch_billno)"
#: Compared one by one; for IN every statement would make itself a table of the states first.
_STATE_OR: Final = " OR ".join(f"state = '{state}'" for state in State)
_QUICK: Final = (
    # https://www.sqlite.org/lang_altertable.html#otheralter
    _ENTRY.replace("TABLE entry", "TABLE quick_entry")
    .replace(f"{_NUMBER} UNIQUE", _NUMBER)
    .replace(_STATE_IN, _STATE_OR),
    "INSERT INTO quick_entry SELECT * FROM entry ORDER BY seq",
    "DROP TABLE entry",
    "ALTER TABLE quick_entry RENAME TO entry",
    MAKE_NUMBERS,
    *(made for made in (*_FIRST, *_PARTLY) if " ON entry" in made and "entry_counted" not in made),
)

# An entry without a nonce has that of its number. An older version of this program would send none.
_NONCES: Final = ()

# Requests that leave, or are answered, together share one event, which names their numbers and has their
# answers. In a ledger begun before this each has its own, which stands at the entry; there these are NULL.
_SHARED: Final = (
    "ALTER TABLE attempt ADD COLUMN begun_event INTEGER",
    "ALTER TABLE attempt ADD COLUMN ended_event INTEGER",
    "ALTER TABLE event ADD COLUMN answers BLOB",  # in the order of the numbers; attempt.raw is empty then
)

#: Name and statements of every migration, oldest first.
MIGRATIONS: Final = (
    ("first", _FIRST),
    ("bills", _BILLS),
    ("unchanged sheets", _UNCHANGED),
    ("refunds in part", _PARTLY),
    ("plans", _PLANS),
    ("quick entries", _QUICK),
    ("nonces", _NONCES),
    ("shared events", _SHARED),
)
VERSION: Final = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """The schema version of a file; 0 for a new one."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to `VERSION`: wholly or not at all, even when two processes try at once."""
    if version(connection) == VERSION:
        return
    # Imported late: it costs 0.4 s of CPU, and only a new or an old file needs it.
    from sqlite_utils import Database, Migrations

    migrations = Migrations("campaign")
    for number, (name, statements) in enumerate(MIGRATIONS, start=1):
        migrations(name=name)(_Migration(number, statements))
    # A table that others refer to can be made anew only so; that they still do is looked at afterwards.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(Database(connection))
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            damage = sqlite3.DatabaseError(f"row {row} of {table} lacks its {parent}")
            damage.sqlite_errorname = "SQLITE_CORRUPT"  # as SQLite would call it, and `file.said` says it
            raise damage
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has undone it already
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


class _Migration:
    """One step, as sqlite-utils applies it: inside a transaction, once."""

    def __init__(self, number: int, statements: tuple[str, ...]) -> None:
        self.__name__ = f"migration_{number}"
        self._number = number
        self._statements = statements

    def __call__(self, db: Database, /) -> None:
        for statement in self._statements:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {self._number}")
