"""Ways to break the program on purpose, each of which the tests have to notice."""

# ruff: noqa: E501 - the source's own lines, and what replaces them
from __future__ import annotations

from dataclasses import dataclass

#: What fails at once comes first; hypothesis takes its time to find the smallest failure.
STAGES = ("tests/stages/test_send.py", "tests/stages/test_reconcile.py", "tests/stages/test_plan.py")
DOMAIN = (
    *STAGES,
    "tests/domain/test_decision.py",
    "tests/domain/test_entry.py",
    "tests/domain/test_breaker.py",
    "tests/domain/test_limits.py",
)
PLAN = ("tests/stages/test_plan.py", "tests/domain/test_plan.py")
LEDGER = ("tests/ledger/test_sends.py", "tests/ledger/test_questions.py", "tests/ledger", *STAGES)
WECHAT = ("tests/wechat/test_answers.py", *STAGES)
CURLS = ("tests/wechat/test_curl.py", "tests/wechat/test_transport.py")
ENVELOPES = ("tests/wechat/test_envelope.py",)
PLANS = ("tests/ledger/test_plans.py",)
BOOKS = ("tests/report/test_bills.py",)
VERIFIED = ("tests/report/test_verify.py",)
LEDGERS = ("tests/stages/test_ledgers.py", "tests/stages/test_plan.py")


@dataclass(frozen=True)
class Mutant:
    """One change of the source, and what it breaks."""

    file: str
    old: str
    new: str
    breaks: str
    #: Run first; the simulation follows where they notice nothing.
    tests: tuple[str, ...]


DECISION = "campaign/domain/decision.py"
ENTRY = "campaign/domain/entry.py"
LIMITS = "campaign/domain/limits.py"
DRAFT = "campaign/domain/plan.py"
BILLNO = "campaign/domain/billno.py"
PACKET = "campaign/domain/packet.py"
BREAKER = "campaign/domain/breaker.py"
BOOK = "campaign/ledger/database.py"
AGENDA = "campaign/ledger/agenda.py"
ROWS = "campaign/ledger/rows.py"
CHAIN = "campaign/ledger/chain.py"
PLANNING = "campaign/ledger/planning.py"
SHEET_ROWS = "campaign/sheet/rows.py"
SENDS = "campaign/ledger/sends.py"
OUTCOMES = "campaign/ledger/outcomes.py"
SHIFT = "campaign/stages/shift.py"
SEND = "campaign/stages/send.py"
RECONCILE = "campaign/stages/reconcile.py"
STAGE_PLAN = "campaign/stages/plan.py"
SINGLE = "campaign/stages/single.py"
REISSUE = "campaign/stages/reissue.py"
ANSWERS = "campaign/wechat/answers.py"
BODIES = "campaign/wechat/bodies.py"
ENVELOPE = "campaign/wechat/envelope.py"
TRANSPORT = "campaign/wechat/transport.py"
CLIENT = "campaign/wechat/client.py"
CURL = "campaign/wechat/curl.py"
NAMES = "campaign/cli/names.py"
REGISTRY = "campaign/ledger/registry.py"
SEEN = "campaign/ledger/seen.py"
BILLS = "campaign/ledger/bills.py"
STAGE_MATCH = "campaign/stages/match.py"
STAGE_REPORT = "campaign/stages/report.py"
RECORDS = "campaign/stages/records.py"
VERIFY = "campaign/report/verify.py"

MUTANTS = (
    # Decisions
    Mutant(
        DECISION,
        """        case Outcome.REFUSED | Outcome.BLOCKED | Outcome.UNKNOWN:
            return ask""",
        """        case Outcome.REFUSED:
            return Step(state=State.REJECTED, evidence=Evidence.UNSTORED)
        case Outcome.BLOCKED | Outcome.UNKNOWN:
            return ask""",
        "a refusal settles without asking",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "    if entry.tally.unanswered and now_s < again_s:",
        "    if False:",
        "one NOT_FOUND proves that an unanswered request was not stored",
        DOMAIN,
    ),
    Mutant(
        ENTRY,
        "        return self.attempts - self.refused - self.not_sent - self.held",
        "        return 0 if self.refused else self.attempts - self.refused - self.not_sent - self.held",
        "an unanswered earlier request is forgotten when a later one is refused",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "    return entry.first_sent_at_s is None or now_s - entry.first_sent_at_s < REPEAT_WINDOW_S",
        "    return True",
        "repeat after 72 h, decided",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "REPEAT_WINDOW_S: Final = 72 * HOUR_S",
        "REPEAT_WINDOW_S: Final = 720 * HOUR_S",
        "repeat after 72 h, everywhere",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "        case Outcome.NOT_SENT if entry.tally.not_sent == entry.tally.attempts:",
        "        case Outcome.NOT_SENT if entry.tally.not_sent:",
        "a request that did not leave makes one that did leave forgotten",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "            return ask._replace(due_at_s=now_s + policy.processing_ask_s)",
        "            return ask._replace(todo=Todo.REPEAT, due_at_s=now_s + policy.processing_ask_s)",
        "PROCESSING is repeated without asking",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "            return Step(state=State.REJECTED, evidence=Evidence.DEAD)",
        "            return Step(state=State.REJECTED, evidence=Evidence.UNSTORED)",
        "FAILED counts as unstored, so the dead number is sent again",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "    if entry.last_outcome is Outcome.REFUSED and not entry.tally.held:",
        "    if entry.last_outcome in (Outcome.REFUSED, Outcome.BLOCKED):",
        "a held order counts as unstored",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "            return step._replace(flag=Flag.CONTRADICTION)",
        "            return step",
        "NOT_FOUND for an accepted packet is passed over",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "    return since_s is not None and now_s - since_s > NOT_FOUND_WINDOW_S",
        "    return False",
        "NOT_FOUND after day 29 is believed",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "        if wait_s <= LAST_ASK_S and since_s + wait_s > now_s:\n            return since_s + wait_s\n    return None",
        "        if wait_s <= LAST_ASK_S and since_s + wait_s > now_s:\n            return since_s + wait_s\n"
        "    return now_s + DAY_S",
        "questions without end",
        DOMAIN,
    ),
    Mutant(
        DECISION,
        "        state=entry.state,\n        todo=Todo.ASK if ask else None,",
        "        state=State.ACCEPTED,\n        todo=Todo.ASK if ask else None,",
        "a failing question changes a state",
        DOMAIN,
    ),
    Mutant(
        BREAKER,
        "        return self._run >= self.policy.consecutive or (",
        "        return False and self._run >= self.policy.consecutive or (",
        "NO_AUTH for everybody does not stop the run",
        DOMAIN,
    ),
    # Budgets
    Mutant(
        LIMITS,
        "used.in_doubt_fen + fen > limits.in_doubt_fen:",
        "used.in_doubt_fen > limits.in_doubt_fen:",
        "one packet more in doubt than allowed",
        DOMAIN,
    ),
    Mutant(
        LIMITS,
        "used.campaign_fen + fen > limits.campaign_fen:",
        "used.campaign_fen > limits.campaign_fen:",
        "the campaign's budget is exceeded by one packet",
        DOMAIN,
    ),
    Mutant(
        LIMITS,
        "            if packets + 1 > limits.person_day_packets",
        "            if packets > limits.person_day_packets",
        "one packet more for a person on a day",
        DOMAIN,
    ),
    Mutant(
        LIMITS,
        "            used.person_day[day, entry.re_openid] = (packets + 1, day_fen + fen)",
        "            pass",
        "a batch does not see its own packets",
        DOMAIN,
    ),
    # Numbers and plans
    Mutant(
        BILLNO,
        '    return len(data).to_bytes(8, "big") + data',
        "    return data",
        "two rows share a number because parts run together",
        ("tests/domain/test_billno.py",),
    ),
    Mutant(
        BILLNO,
        "state.update(_encoded_one(row_key) + _ISSUES[issue])",
        "state.update(_encoded_one(row_key))",
        "the second issue has the number of the first",
        ("tests/domain/test_billno.py",),
    ),
    Mutant(
        PACKET,
        "billno, nonce_str(billno), order",
        "billno, nonce_str(billno + order.wishing), order",
        "the nonce depends on more than the number",
        ("tests/domain/test_packet.py", "tests/domain/test_billno.py", *STAGES),
    ),
    Mutant(
        DRAFT,
        "    if known_key_column is not None and not ties and key_column != known_key_column:",
        "    if False:",
        "a key column change is let through",
        PLAN,
    ),
    Mutant(
        DRAFT,
        "            draft.conflicts.extend(edits(known, order))",
        "            pass",
        "an edit of a row that was sent is let through",
        PLAN,
    ),
    Mutant(
        DRAFT,
        "        if others and not (order.tie and keys_are_ids) and not own:",
        "        if False:",
        "a person's second key is let through",
        PLAN,
    ),
    Mutant(
        DRAFT,
        "        if alive or order.tie.issue - 1 not in {k.issue for k in before}:",
        "        if False:",
        "a second number without proof of death",
        PLAN,
    ),
    Mutant(
        DRAFT,
        "        if any(k.row_key not in now or _moved(k, now, draft.sender) for k in entries):",
        "        if False:",
        "a person's repeated rows change places",
        PLAN,
    ),
    Mutant(
        STAGE_PLAN,
        "        ledger.list_entries(drafted.unlisted, now_s, listed=False)",
        "        pass",
        "a pilot sends the whole sheet",
        STAGES,
    ),
    # The ledger
    Mutant(
        SENDS,
        "    WHERE mch_billno = claim.key AND +state = :state AND attempts = :attempts\n        AND re_openid",
        "    WHERE mch_billno = claim.key AND :state <> '' AND :attempts >= 0\n        AND re_openid",
        "begin without its guard",
        LEDGER,
    ),
    Mutant(
        OUTCOMES,
        "    WHERE mch_billno = answered.key AND state = 'in_doubt' AND attempts = :n\n",
        "    WHERE mch_billno = answered.key AND state = 'in_doubt' AND :n\n",
        "the answer's guard lacks the attempt number",
        LEDGER,
    ),
    Mutant(
        OUTCOMES,
        " AND n = :n AND ended_at_s IS NULL)\n    RETURNING",
        " AND n = :n)\n    RETURNING",
        "a request's second answer counts again",
        LEDGER,
    ),
    Mutant(
        CHAIN,
        "        return lost is not None or answers != ",
        "        return answers != ",
        "a request that is gone breaks no event",
        LEDGER,
    ),
    Mutant(
        CHAIN,
        "        return lost is not None or answers != json.loads(facts).get(ANSWERS)",
        "        return lost is not None",
        "answers that somebody wrote himself pass the audit",
        LEDGER,
    ),
    Mutant(
        CHAIN,
        """entry.seq AND instr(detail, '"' || mch_billno || '"') > 0)""",
        "entry.seq)",
        "an event explains also whom it does not name",
        LEDGER,
    ),
    Mutant(
        "campaign/ledger/reading.py",
        ' if (body := _body(number, *kept)) != b""}',
        " if (body := _body(number, *kept)) is not None}",
        "an answer without a body hides the one before it",
        LEDGER,
    ),
    Mutant(
        OUTCOMES,
        "    WHERE seq = :entry AND +state = :before AND attempts = :attempts\n        AND (last_sent_at_s",
        "    WHERE seq = :entry AND :before <> '' AND :attempts >= 0\n        AND (last_sent_at_s",
        "a question's answer applies to whatever the entry has become",
        LEDGER,
    ),
    Mutant(
        OUTCOMES,
        "        AND (last_sent_at_s IS NULL OR last_sent_at_s <= :asked_at_s)\n",
        "",
        "a question from before the attempt settles it",
        LEDGER,
    ),
    Mutant(
        SENDS,
        "        AND (first_sent_at_s IS NULL OR :now_s - first_sent_at_s < {REPEAT_WINDOW_S})\n        AND (last",
        "        AND (last",
        "the ledger lets a repeat after 72 h through",
        LEDGER,
    ),
    Mutant(
        SENDS,
        "        AND (last_sent_at_s IS NULL OR last_sent_at_s + {REPEAT_GAP_S} <= :now_s)\n",
        "",
        "the ledger lets two attempts follow each other at once",
        LEDGER,
    ),
    Mutant(
        SENDS,
        "        AND (owner IS NULL OR owner = :owner OR lease_until_s <= :now_s)\n",
        "",
        "two processes send the same entry",
        LEDGER,
    ),
    Mutant(
        SENDS,
        "        AND EXISTS (SELECT 1 FROM campaign WHERE id = entry.campaign AND cancelled_at_s IS NULL)\n",
        "",
        "a cancelled campaign sends",
        LEDGER,
    ),
    Mutant(
        DRAFT,
        "            others = list(filter(_may_be_stored, others))",
        "            others = []",
        "who was paid under a row that was taken away is paid again under a corrected one",
        ("tests/domain/test_plan.py",),
    ),
    Mutant(
        SENDS,
        "\n        AND {EARLIER_STAND}\n",
        "\n",
        "a second number leaves although the first was paid after all",
        LEDGER,
    ),
    Mutant(
        SENDS,
        "            if cap:\n                held.append((entry, cap))\n            else:",
        "            if not cap or cap is not Cap.PERSON_DAY:",
        "budgets are looked at and ignored",
        LEDGER,
    ),
    Mutant(
        OUTCOMES,
        '            "held": counted.held,',
        '            "held": 0,',
        "an order that may be held is not remembered",
        LEDGER,
    ),
    Mutant(
        BOOK,
        '                    self._db.execute("ROLLBACK")\n                raise\n            finally:',
        '                    self._db.execute("COMMIT")\n                raise\n            finally:',
        "a failed change is kept by half",
        LEDGER,
    ),
    Mutant(
        CHAIN,
        "        if not seq:\n            return True\n",
        "",
        "a first run that was killed looks like an old copy",
        STAGES,
    ),
    Mutant(
        PLANNING,
        "column.count(column[0]) == size for column in behind",
        "column[0] == column[-1] for column in behind",
        "rows get the values of the first one",
        PLANS,
    ),
    Mutant(
        ROWS,
        "own = own_parameters(mch_billno, nonce or nonce_str(mch_billno), re_openid, total_amount)\n        if len",
        "own = own_parameters(mch_billno, nonce, re_openid, total_amount)\n        if len",
        "a request goes without its nonce",
        PLANS,
    ),
    Mutant(
        BILLNO,
        "begun, behind = _campaigns_state(mch_id, campaign_id), _ISSUES[1]",
        "begun, behind = _campaigns_state(mch_id, campaign_id), _ISSUES[2]",
        "numbers made together are others than those made one by one",
        ("tests/domain/test_billno.py",),
    ),
    Mutant(
        SHEET_ROWS,
        "(type(c) is not bool and good.get(c))",
        "good.get(c)",
        "TRUE is paid like 1",
        ("tests/sheet/test_reading.py",),
    ),
    Mutant(
        SHEET_ROWS,
        "            if self._totals.held:  # whoever follows shows that it was none at the end",
        "            if False:",
        "a subtotal is taken for the total when people follow it",
        ("tests/sheet/test_reading.py",),
    ),
    Mutant(
        PLANNING,
        "        self._db.execute(_ADD_TOTAL, (campaign_id, size, fen))\n",
        "",
        "what is planned is missing in the sums",
        PLANS,
    ),
    Mutant(
        PLANNING,
        "            if seq < together.first:",
        "            if False:",
        "a row that was slipped in between two plans passes the audit",
        PLANS,
    ),
    Mutant(
        PLANNING,
        "together.check(seq) if revised is None else _revised_check(revised)",
        "together.check(seq) if revised is None else ''",
        "a row that was revised once may be altered at will",
        PLANS,
    ),
    Mutant(
        CHAIN,
        "if sum(1 for _ in self._numbers(together)) != together.rows:",
        "if False:",
        "a planned row that is gone passes the audit",
        PLANS,
    ),
    Mutant(
        "campaign/ledger/file.py",
        'connection.execute("PRAGMA synchronous = FULL")',
        'connection.execute("PRAGMA synchronous = NORMAL")',
        "after a power failure an intent may be missing",
        ("tests/ledger",),
    ),
    Mutant(
        "campaign/ledger/registry.py",
        "            while not self._taken(descriptor):",
        "            while False:",
        "two processes with a ledger each spend the same allowance",
        ("tests/ledger/test_registry.py",),
    ),
    Mutant(
        "campaign/ledger/registry.py",
        "                if clock.monotonic_s() >= until_s:",
        "                if False:",
        "a suspended process keeps all others waiting, and nobody is told",
        ("tests/ledger/test_registry.py",),
    ),
    # The stages
    Mutant(
        SHIFT,
        "desk.ledger.atomic(desk.crew.carry_on):\n                self._book(done)\n"
        "                counted = counted_alike_s(desk.clock.now_s())\n"
        "                begun = self._begin(others)",
        "desk.ledger.atomic():\n                begun = desk.ledger.sendable(self.campaign,"
        " now_s=desk.clock.now_s(), limit=1) if self.first_sends else []\n                self._book(done)\n"
        "                counted = counted_alike_s(desk.clock.now_s())",
        "the intent is not recorded before the request",
        STAGES,
    ),
    Mutant(
        SHIFT,
        "            answer = SendAnswer(outcome=Outcome.UNKNOWN, reach=Reach.BREAKER, err_code_des=str(error))",
        "            answer = SendAnswer(outcome=Outcome.REFUSED, reach=Reach.BREAKER, err_code_des=str(error))",
        "a timeout is taken for a refusal",
        STAGES,
    ),
    Mutant(
        SHIFT,
        "self._held_back() or not counted[0] <= desk.clock.now_s() < counted[1]:",
        "self._held_back():",
        "what waited for its turn past midnight leaves, and is counted on the day before",
        STAGES,
    ),
    Mutant(
        SHIFT,
        "        except GatewayError as error:\n            answer = SendAnswer(",
        "        except GatewayError as error:\n            return Sent(entry=entry, answer=SendAnswer("
        "outcome=Outcome.NOT_SENT))\n            answer = SendAnswer(",
        "no answer is taken for not sent",
        STAGES,
    ),
    Mutant(
        SHIFT,
        "        if self.first_sends and not self.ask_first and len(entries) < room:",
        "        if self.first_sends and len(entries) < room:",
        "a ledger that may be behind sends without asking",
        STAGES,
    ),
    Mutant(
        SHIFT,
        'appid=entry.parameters["wxappid"]',
        "",
        "a question under another appid than the packet's",
        STAGES,
    ),
    Mutant(
        SEND,
        "        if answer.status is not Status.NOT_FOUND:\n            return True",
        "        if answer.status is not Status.NOT_FOUND:\n            return False",
        "a lost ledger is not noticed",
        STAGES,
    ),
    Mutant(
        RECONCILE,
        "            repeats = held and known.cancelled_at_s is None",
        "            repeats = known.cancelled_at_s is None",
        "a reconcile beside a run repeats",
        STAGES,
    ),
    Mutant(
        RECONCILE,
        "first_sends=False",
        "first_sends=True",
        "a reconcile sends for the first time",
        STAGES,
    ),
    # Several ledgers, and lost ones
    Mutant(
        NAMES,
        "    if not exists and before.others and not new_ledger:",
        "    if False:",
        "a second ledger is begun without a word",
        LEDGERS,
    ),
    Mutant(
        NAMES,
        "    behind = before.vanished or (not exists and bool(before.lost) and not new_ledger)",
        "    behind = False",
        "a vanished ledger is passed over",
        ("tests/stages/test_send.py", *LEDGERS),
    ),
    Mutant(
        NAMES,
        "if exists and not behind and not all(ledger.has_event(*head) for head in heads):",
        "if False:",
        "an older copy of a ledger is believed",
        ("tests/stages/test_send.py", *LEDGERS),
    ),
    Mutant(
        NAMES,
        "    if claims := drafted.claims:\n",
        "    if not (claims := drafted.claims):\n",
        "who is to get what is not remembered outside the ledger",
        LEDGERS,
    ),
    Mutant(
        NAMES,
        "        lost += [(listed, there) for listed, there in known if not there or here[listed.campaign]]\n",
        "        lost += [(listed, there) for listed, there in known if not there]\n",
        "what an older copy of a ledger lacks is not compared",
        LEDGERS,
    ),
    Mutant(
        NAMES,
        "(*before.lost, *before.given_up)",
        "before.lost",
        "what a ledger that was given up had paid may be paid again",
        LEDGERS,
    ),
    Mutant(
        REGISTRY,
        '                found["given_up"] = True\n',
        '                found["given_up"] = not ledgers.pop(str(self._path(ledger)))\n',
        "giving a ledger up forgets what it paid",
        ("tests/ledger/test_registry.py", *LEDGERS),
    ),
    Mutant(
        SEEN,
        "            counted[mine] = left - 1\n",
        "",
        "a row that a lost campaign had once counts as often as the sheet has it",
        ("tests/ledger/test_seen.py",),
    ),
    Mutant(
        SEEN,
        "            if file.stat().st_mtime < since_s:",
        "            if file.stat().st_mtime > since_s:",
        "lost rows of the last month are not compared",
        ("tests/ledger/test_seen.py",),
    ),
    Mutant(
        STAGE_PLAN,
        "    claims = drafted.claims\n",
        "    claims = drafted.new\n",
        "a reopened or corrected row is not compared with other campaigns",
        LEDGERS,
    ),
    Mutant(
        STAGE_PLAN,
        "    orders = drafted.pending\n",
        "    orders = drafted.claims\n",
        "a row planned in an old backup is not compared with lost campaigns",
        LEDGERS,
    ),
    Mutant(
        DRAFT,
        "    listed = known.state is State.PLANNED and not known.unlisted\n",
        "    listed = not known.unlisted\n",
        "a withdrawn row is not compared with other campaigns when it is taken up again",
        LEDGERS,
    ),
    Mutant(
        DRAFT,
        "    listed = known.state is State.PLANNED and not known.unlisted\n",
        "    listed = known.state is State.PLANNED\n",
        "nor when another sheet had reopened the campaign",
        LEDGERS,
    ),
    Mutant(
        SHIFT,
        "                others=others,\n",
        "",
        "the other ledgers' packets do not count against the day",
        LEDGERS,
    ),
    Mutant(
        DRAFT,
        "        return None if self.flagged else self.evidence",
        "        return self.evidence",
        "a death that WeChat Pay has contradicted still lets the row have a second number",
        ("tests/domain/test_plan.py", "tests/stages/test_reissue.py"),
    ),
    Mutant(
        DRAFT,
        "    for order in draft.pending:\n        if order.tie is None",
        "    for order in draft.new:\n        if order.tie is None",
        "a second number that was planned already is not judged again",
        ("tests/domain/test_plan.py", "tests/stages/test_reissue.py"),
    ),
    Mutant(
        OUTCOMES,
        "                self._db.execute(\"UPDATE campaign SET plan_digest = '' WHERE name = ?\", (entry.campaign,))\n",
        "",
        "a run that resumes says nothing of a second number that is held",
        ("tests/ledger/test_sends.py",),
    ),
    Mutant(
        OUTCOMES,
        "                self._count_days_again(row[0])\n",
        "",
        "a packet that was paid after all is not counted on its day",
        ("tests/ledger/test_sends.py",),
    ),
    Mutant(
        AGENDA,
        " OR NOT {EARLIER_STAND})",
        ")",
        "a second number in doubt is not asked about once the first was paid after all",
        ("tests/ledger/test_sends.py",),
    ),
    Mutant(
        PLANNING,
        "        for other_rows, other_fen in (self.unlisted(campaign), self.held(campaign)):",
        "        for other_rows, other_fen in (self.unlisted(campaign),):",
        "a second number that is held is waited for, for ever",
        ("tests/ledger/test_sends.py",),
    ),
    Mutant(
        ROWS,
        " AND mch_billno = earlier.mch_billno) < 0)",
        " AND mch_billno = earlier.mch_billno) < -999999999)",
        "a second number in doubt is repeated although the funds bill calls the first paid",
        ("tests/stages/test_reissue.py",),
    ),
    Mutant(
        SEND,
        "        _ask_what_was_proven(desk, campaign)\n",
        "",
        "a second number leaves although the first was paid after all, as an old backup does not know",
        ("tests/stages/test_reissue.py",),
    ),
    Mutant(
        STAGE_PLAN,
        " or any(tie.issue > 1 for tie in drafted.orders.ties())",
        "",
        "a second number that waits is sent although the funds bill calls the first paid",
        ("tests/cli/test_reissue.py",),
    ),
    Mutant(
        STAGE_PLAN,
        "        _require_over(ledger, drafted)\n",
        "",
        "a contradiction that comes while the operator reads the question is not seen",
        ("tests/stages/test_reissue.py",),
    ),
    Mutant(
        REISSUE,
        "        if entry.mch_billno in by_bill:",
        "        if False:",
        "a packet that the funds bill calls paid gets a second number",
        ("tests/stages/test_reissue.py",),
    ),
    Mutant(
        SHIFT,
        "    State.CANCELLED: None,\n",
        "",
        "a withdrawn packet that WeChat Pay paid is called unsent",
        ("tests/stages/test_records.py",),
    ),
    Mutant(
        SENDS,
        "        return int(counted + row[0])",
        "        return counted",
        "the budget gives out once more what may have been paid after all",
        ("tests/ledger/test_campaigns.py",),
    ),
    Mutant(
        SINGLE,
        "        if entry.state is not State.CANCELLED and not held:\n",
        "        if not held:\n",
        "a packet whose second number was withdrawn is called sent",
        ("tests/stages/test_single.py",),
    ),
    Mutant(
        REISSUE,
        "        if entry.flag is not None:",
        "        if False:",
        "a sheet of second numbers holds one that makes the whole sheet be refused",
        ("tests/stages/test_reissue.py",),
    ),
    Mutant(
        PLANNING,
        "evidence = 'unstored' AND flag IS NULL AND :before",
        "evidence = 'unstored' AND :before",
        "a row that was stored after all takes a correction",
        LEDGER,
    ),
    Mutant(
        "campaign/cli/run.py",
        "                self._refuse_same_list(again, may_ask=False)\n",
        "",
        "a refused row is taken up again although another campaign pays its people now",
        ("tests/cli/test_unchanged.py",),
    ),
    # WeChat Pay's words
    Mutant(
        ENVELOPE,
        "    return fields if len(fields) == len(names) and HBLIST not in fields else None",
        "    return fields if HBLIST not in fields else None",
        "of a field that comes twice the last one is believed",
        ENVELOPES,
    ),
    Mutant(
        ENVELOPE,
        "or any(parts[3:-1:4]) or",
        "or",
        "what stands between the fields is passed over",
        ENVELOPES,
    ),
    Mutant(
        ENVELOPE,
        "_PLAIN_BYTES_MAX or len(body.translate(None, _NOT_PLAIN)) != len(body):",
        "_PLAIN_BYTES_MAX:",
        "an answer with forbidden characters is believed",
        ENVELOPES,
    ),
    Mutant(
        ANSWERS,
        "    code = UNKNOWN_CODE\n    if said",
        '    code = SEND_CODES["PARAM_ERROR"]\n    if said',
        "an answer that says neither is a refusal",
        WECHAT,
    ),
    Mutant(
        ANSWERS,
        "        code = SEND_CODES.get(err_code, UNKNOWN_CODE)\n    elif",
        '        code = SEND_CODES.get(err_code, SEND_CODES["PARAM_ERROR"])\n    elif',
        "an unlisted code is a refusal",
        WECHAT,
    ),
    Mutant(
        ANSWERS,
        '        if said.get(name, "") not in ("", expected[name]):',
        "        if False:",
        "the answer to another request is believed",
        WECHAT,
    ),
    Mutant(
        ANSWERS,
        "    if usual is not None and usual.group(*_ECHOED) == tuple([expected[name] for name in _ECHOED]):",
        "    if usual is not None:",
        "the usual answer to another request is believed",
        WECHAT,
    ),
    Mutant(
        ANSWERS,
        r'_TEXT: Final = r"[^\]<&\x00-\x08\x0b-\x1f\ufffd-\uffff]',
        r'_TEXT: Final = r"[^\]&\x00-\x08\x0b-\x1f\ufffd-\uffff]',
        "an answer whose text holds markup is believed at a glance",
        WECHAT,
    ),
    Mutant(
        BODIES,
        'value.replace("%", "%%")',
        "value",
        "a wording's per cent sign makes another request of it",
        ("tests/wechat/test_bodies.py",),
    ),
    Mutant(
        BODIES,
        "        if not (all(own) and _WORD",
        "        if not (_WORD",
        "an empty value is signed",
        ("tests/wechat/test_bodies.py",),
    ),
    Mutant(
        ANSWERS,
        '    if echo not in ("", mch_billno) or not',
        "    if not",
        "the status of another order is believed",
        WECHAT,
    ),
    Mutant(
        TRANSPORT,
        "            if not _request.written:\n                raise not_sent(host, _cause(error)) from error\n",
        "            if not _request.written or isinstance(error, urllib3.exceptions.ReadTimeoutError):\n"
        "                raise not_sent(host, _cause(error)) from error\n",
        "a read error after the first byte is taken for not sent",
        ("tests/wechat/test_transport.py",),
    ),
    Mutant(
        TRANSPORT,
        "        _request.written = True\n        super().send(self._head + data)",
        "        super().send(self._head + data)\n        _request.written = len(data) > 4096",
        "the first write is not noticed",
        ("tests/wechat/test_transport.py",),
    ),
    Mutant(
        TRANSPORT,
        "            except NotSent as error:\n                failures.append(error)",
        "            except (NotSent, NoAnswer) as error:\n                failures.append(error)",
        "the backup host gets what the first host may have",
        ("tests/wechat/test_transport.py",),
    ),
    Mutant(
        CURL,
        "        if cause is not None and not self.written:",
        "        if cause is not None:",
        "libcurl: an error after the first byte is taken for not sent",
        CURLS,
    ),
    Mutant(
        CURL,
        "        if self.written:\n            return _STOP\n",
        "",
        "libcurl: it repeats a request by itself",
        CURLS,
    ),
    Mutant(
        CURL,
        "        if self.written:\n            return _NO_SOCKET\n",
        "",
        "libcurl: a request that left gets another socket",
        CURLS,
    ),
    Mutant(
        CURL,
        "and look(0):",
        "and not look:",
        "libcurl: a kept connection that is dead is written to",
        CURLS,
    ),
    Mutant(
        STAGE_MATCH,
        "kept.days <= given.days or _is_part(given, kept):",
        "kept.days <= given.days:",
        "a part of a bill hides what only the whole one shows",
        BOOKS,
    ),
    Mutant(
        STAGE_MATCH,
        "    if given.account or not kept.lines:\n",
        "    if True:\n",
        "one account's bill takes the place of another's",
        BOOKS,
    ),
    Mutant(
        BILLS,
        " and _file(content) not in beside:",
        ":",
        "one of two bills of a match is not kept",
        BOOKS,
    ),
    Mutant(
        STAGE_REPORT,
        "        whole = not (news or other_version)\n",
        "        whole = not (moved or other_version)\n",
        "a report with news of its campaign alone is called whole",
        VERIFIED,
    ),
    Mutant(
        VERIFY,
        "            if value != expected_value or not shared:\n",
        "            if name in row.values and value != expected_value:\n",
        "a field that was taken out of a report is not missed",
        VERIFIED,
    ),
    Mutant(
        RECORDS,
        "entry.row_key if unmask else mask_inside(entry.row_key, entry.re_openid)",
        "entry.row_key",
        "an openid stands in a record as its row's key",
        ("tests/stages/test_records.py",),
    ),
)
