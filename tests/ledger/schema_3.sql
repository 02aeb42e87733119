BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'campaign','first','2026-11-22 04:42:44.809572+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'campaign','bills','2026-11-22 04:42:44.809974+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'campaign','unchanged sheets','2026-11-22 04:42:44.810600+00:00');
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
    ;
INSERT INTO "attempt" VALUES(1,1,1772510400.0,1772510400.0,'accepted','','',X'');
INSERT INTO "attempt" VALUES(4,1,1772510400.0,NULL,NULL,'','',X'');
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
    ;
CREATE TABLE billed (
        entry INTEGER NOT NULL REFERENCES entry (seq),
        place INTEGER NOT NULL,
        line TEXT NOT NULL,              -- JSON list
        PRIMARY KEY (entry, place)
    ) STRICT, WITHOUT ROWID
    ;
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
    , plan_digest TEXT NOT NULL DEFAULT '') STRICT
    ;
INSERT INTO "campaign" VALUES(1,'lantern','','id',1772510400.0,NULL,0,'','','[]',NULL,'');
CREATE TABLE entry (
        seq INTEGER PRIMARY KEY,         -- the planned order
        mch_billno TEXT NOT NULL UNIQUE,
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
        state TEXT NOT NULL CHECK (state IN ('planned', 'in_doubt', 'parked', 'accepted', 'received', 'refunded', 'rejected', 'cancelled')),
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
    ;
INSERT INTO "entry" VALUES(1,'19000001095AXYD44400DQQC062A',1,'oA-2',1,'Sheet1',2,'oA',188,1,'44Y1CZJ5RT66VDD6XRCMTYH53KJHMX','{}',0,'accepted',NULL,NULL,1,0,0,1,'accepted','row','','','ask',1772510460.0,0.0,1772510400.0,1772510400.0,NULL,NULL,1772510400.0,NULL,NULL,'','1000041701201603','','','',0,NULL,NULL);
INSERT INTO "entry" VALUES(2,'1900000109GZZN7FW0Q21CW0X6DW',1,'oB-3',1,'Sheet1',3,'oB',300,1,'SKFNGM2WE4QMH54P11W72BZDE1J0T8','{}',0,'planned',NULL,NULL,0,0,0,0,NULL,'row','','',NULL,NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','','','','',0,NULL,NULL);
INSERT INTO "entry" VALUES(3,'1900000109QT1SVHQX11ACZAS7ZD',1,'oC-4',1,'Sheet1',4,'oC',388,1,'ZJ28MWRCEGB39JX11GVYWMC5CX7P8H','{}',1,'planned',NULL,NULL,0,0,0,0,NULL,'row','','',NULL,NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','','','','',0,NULL,NULL);
INSERT INTO "entry" VALUES(4,'1900000109CG15J9JT6EAYX4JS39',1,'oD-5',1,'Sheet1',5,'oD',488,1,'SCVR8CTZK5TWDWHYXETVVGEA9Y799W','{}',0,'in_doubt',NULL,NULL,1,0,0,0,NULL,'row','','','ask',1772510700.0,0.0,1772510400.0,1772510400.0,NULL,NULL,NULL,NULL,NULL,'','','','','',0,'us',1772510700.0);
INSERT INTO "entry" VALUES(5,'1900000109B3HC0RJSXXGD9K265A',1,'oE-6',1,'Sheet1',6,'oE',588,1,'7WDKQVD2FY76QZPX3QZCE7V5ZPRFC7','{}',0,'planned',NULL,NULL,0,0,0,0,NULL,'row','','',NULL,NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','','','','',0,NULL,NULL);
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
    ;
INSERT INTO "event" VALUES(1,1,NULL,1772510400.0,'campaign_saved',NULL,NULL,'{"key_column":"id","sheet_digest":"","sheet_file":"","title":""}',X'54E994B64A46465E22E1381193223D0E');
INSERT INTO "event" VALUES(2,1,1,1772510400.0,'planned',NULL,'planned','{}',X'EC0D11FCFF0A33FD5D6ED9ABBB0E7818');
INSERT INTO "event" VALUES(3,1,2,1772510400.0,'planned',NULL,'planned','{}',X'0D745313BE4BC5590DFD0E0DB4E4C430');
INSERT INTO "event" VALUES(4,1,3,1772510400.0,'planned',NULL,'planned','{}',X'D443D8DBBF198FB3857A99A78397C823');
INSERT INTO "event" VALUES(5,1,4,1772510400.0,'planned',NULL,'planned','{}',X'8181E1E2F16D78ABDC3B3ED6F947A5D2');
INSERT INTO "event" VALUES(6,1,5,1772510400.0,'planned',NULL,'planned','{}',X'C28807AF6E35D9C5534A4DFF57712C2A');
INSERT INTO "event" VALUES(7,1,1,1772510400.0,'begun','planned','in_doubt','{"attempt":1}',X'91A5C6F8D354281780928192107289E9');
INSERT INTO "event" VALUES(8,1,1,1772510400.0,'answered','in_doubt','accepted','{"attempt":1,"err_code":"","outcome":"accepted"}',X'79BB68959C65E8743E56D519ED58949C');
INSERT INTO "event" VALUES(9,1,2,1772510405.0,'revised','planned','planned','{"changed":{"total_amount":[288,300]},"why":"the sheet changed"}',X'E901CF2860A91647342E0FFB279811B3');
INSERT INTO "event" VALUES(10,1,3,1772510406.0,'unlisted','planned','planned','{}',X'C2A802AB331F2A39B9D745BCD4362C15');
INSERT INTO "event" VALUES(11,1,4,1772510400.0,'begun','planned','in_doubt','{"attempt":1}',X'B9C0875D2B154F531AD7BEA2D52FB246');
CREATE TABLE finding (
        campaign INTEGER NOT NULL REFERENCES campaign (id),
        place INTEGER NOT NULL,          -- the loudest first
        mch_billno TEXT,                 -- NULL: a line that belongs to no row
        content TEXT NOT NULL,           -- JSON object
        PRIMARY KEY (campaign, place)
    ) STRICT, WITHOUT ROWID
    ;
CREATE TABLE matching (
        campaign INTEGER PRIMARY KEY REFERENCES campaign (id),
        matched_at_s REAL NOT NULL,
        event INTEGER NOT NULL,          -- the campaign's last event that the match knows
        days TEXT NOT NULL               -- JSON list
    ) STRICT
    ;
CREATE TABLE merchant_day (
        day TEXT PRIMARY KEY,
        packets INTEGER NOT NULL CHECK (packets >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "merchant_day" VALUES('2026-03-03',2,676);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('created_at_s','1772510400.0');
INSERT INTO "meta" VALUES('gateway','rehearsal');
INSERT INTO "meta" VALUES('merchant','1900000109');
CREATE TABLE person_day (
        day TEXT NOT NULL,
        re_openid TEXT NOT NULL,
        packets INTEGER NOT NULL CHECK (packets >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0),
        PRIMARY KEY (day, re_openid)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "person_day" VALUES('2026-03-03','oA',1,188);
INSERT INTO "person_day" VALUES('2026-03-03','oD',1,488);
CREATE TABLE person_wait (re_openid TEXT PRIMARY KEY, until_s REAL NOT NULL) STRICT, WITHOUT ROWID;
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
    ;
CREATE TABLE sent_day (
        entry INTEGER NOT NULL REFERENCES entry (seq),
        day TEXT NOT NULL,
        re_openid TEXT NOT NULL,
        total_amount INTEGER NOT NULL,
        PRIMARY KEY (entry, day)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "sent_day" VALUES(1,'2026-03-03','oA',188);
INSERT INTO "sent_day" VALUES(4,'2026-03-03','oD',488);
CREATE TABLE total (
        campaign INTEGER NOT NULL REFERENCES campaign (id),
        state TEXT NOT NULL,
        rows INTEGER NOT NULL CHECK (rows >= 0),
        fen INTEGER NOT NULL CHECK (fen >= 0),
        PRIMARY KEY (campaign, state)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "total" VALUES(1,'accepted',1,188);
INSERT INTO "total" VALUES(1,'in_doubt',1,488);
INSERT INTO "total" VALUES(1,'planned',3,1276);
CREATE TABLE wording (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        parameters TEXT NOT NULL         -- JSON object; "" where the entry's own value stands
    ) STRICT
    ;
INSERT INTO "wording" VALUES(1,X'E607087E0C4D8D964AAE17D9B68C3799','{"act_name":"Lantern riddles","client_ip":"192.0.2.10","mch_billno":"","mch_id":"1900000109","nonce_str":"","re_openid":"","remark":"more riddles","send_name":"Shop","total_amount":"","total_num":"1","wishing":"Joy!","wxappid":"wx0123456789abcdef"}');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX entry_sheet ON entry (campaign, sheet, row);
CREATE INDEX entry_planned ON entry (campaign, not_before_s) WHERE state = 'planned' AND unlisted = 0;
CREATE INDEX entry_unlisted ON entry (campaign) WHERE unlisted = 1;
CREATE INDEX entry_in_doubt ON entry (campaign, todo, due_at_s, flag) WHERE state = 'in_doubt';
CREATE INDEX entry_parked ON entry (campaign, todo, due_at_s, flag) WHERE state = 'parked';
CREATE INDEX entry_accepted ON entry (campaign, todo, due_at_s, flag) WHERE state = 'accepted';
CREATE INDEX entry_accepted_since ON entry (campaign, accepted_at_s) WHERE state = 'accepted';
CREATE INDEX entry_rejected ON entry (campaign) WHERE state = 'rejected';
CREATE INDEX entry_cancelled ON entry (campaign) WHERE state = 'cancelled';
CREATE INDEX entry_flagged ON entry (campaign) WHERE flag IS NOT NULL;
CREATE INDEX question_entry ON question (entry);
CREATE INDEX event_entry ON event (entry);
CREATE TRIGGER event_is_final BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER entry_is_kept BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
CREATE TRIGGER entry_counted AFTER INSERT ON entry BEGIN
        INSERT INTO total VALUES (new.campaign, new.state, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET rows = rows + 1, fen = fen + excluded.fen;
    END;
CREATE TRIGGER entry_recounted AFTER UPDATE OF state, total_amount ON entry
    WHEN old.state <> new.state OR old.total_amount <> new.total_amount BEGIN
        UPDATE total SET rows = rows - 1, fen = fen - old.total_amount
        WHERE campaign = old.campaign AND state = old.state;
        INSERT INTO total VALUES (new.campaign, new.state, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET rows = rows + 1, fen = fen + excluded.fen;
    END;
CREATE TRIGGER sent_day_counted AFTER INSERT ON sent_day BEGIN
        INSERT INTO person_day VALUES (new.day, new.re_openid, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET packets = packets + 1, fen = fen + excluded.fen;
        INSERT INTO merchant_day VALUES (new.day, 1, new.total_amount)
        ON CONFLICT DO UPDATE SET packets = packets + 1, fen = fen + excluded.fen;
    END;
CREATE TRIGGER sent_day_uncounted AFTER DELETE ON sent_day BEGIN
        UPDATE person_day SET packets = packets - 1, fen = fen - old.total_amount
        WHERE day = old.day AND re_openid = old.re_openid;
        UPDATE merchant_day SET packets = packets - 1, fen = fen - old.total_amount WHERE day = old.day;
    END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',11);
COMMIT;
PRAGMA user_version = 3;
