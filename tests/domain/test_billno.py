"""The bill number: frozen, distinct, and the same for everything that a person would call the same."""

from __future__ import annotations

import re
import string
import unicodedata
from hashlib import blake2b

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from campaign.domain.billno import (
    BILLNO_LENGTH,
    ISSUE_MAX,
    MCH_ID_PATTERN,
    Tie,
    canonical_campaign_id,
    canonical_row_key,
    first_billnos,
    mch_billno,
    nonce_str,
    repeat_key,
    tie_check,
)
from tests.builders import MCH_ID

CROCKFORD = set(string.digits + string.ascii_uppercase) - set("ILOU")

MERCHANTS = st.from_regex(MCH_ID_PATTERN, fullmatch=True).filter(str.isascii)
ISSUES = st.integers(1, ISSUE_MAX)
VISIBLE = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"))
NAMES = st.text(VISIBLE, min_size=1, max_size=20)


def canonical(function, name):
    """The canonical form, or a rejected example where there is none."""
    try:
        return function(name)
    except ValueError:
        assume(False)


ROW_KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
CAMPAIGNS = ROW_KEYS

OPENID = "oABCDEFGHIJKLMNOPQRSTUVWXYZ01"

GOLDEN = [
    # The digest of scheme 1. If one of these changes, people who were paid get a second number.
    (MCH_ID, "lantern", OPENID, 1, "19000001097NQDJKT8QGR7SZ1SAM"),
    (MCH_ID, "lantern", OPENID, 2, "1900000109EKD0VYXC62VXB6GK8R"),
    (MCH_ID, "lantern", OPENID.lower(), 1, "1900000109DJYJWPSW03WEQGHAKK"),
    (MCH_ID, "lantern", OPENID + " #2", 1, "1900000109SJB5CH3AQXV0P54FG0"),
    (MCH_ID, "元宵节 2026", OPENID, 1, "1900000109PPQY0GFJNA0EX71PJE"),
    (MCH_ID, "lantern", "员工-0042", 1, "19000001096WA44ZFC169K5RB862"),
    (MCH_ID, "lantern", "00042", 1, "1900000109VZ5JVAN2CJWDZ4V08Y"),
    (MCH_ID, "lantern", "42", 1, "1900000109Z03TC65R1N6VGENAC5"),
    (MCH_ID, "lantern", "𠮷野家", 1, "1900000109TV5F7YDC8GDZZ398FV"),
    (MCH_ID, "lantern", "é", 1, "1900000109GXSCHCQTP4GYEKANJ9"),
    (MCH_ID, "x" * 200, "k" * 4000, 999, "1900000109V0S2JFZHVQGNRXT4E6"),
    (MCH_ID, "api", "INV/2026-03#7", 1, "1900000109RXF2G8T4S0GNENAGQ4"),
    ("12345678", "a", "b", 1, "123456788D010MRNJT3WG6X2MN9V"),
    ("1234567890123456", "a", "b", 1, "1234567890123456SM0K88E8RTHS"),
]


@pytest.mark.parametrize("mch_id, campaign_id, row_key, issue, number", GOLDEN)
def test_the_numbers_of_scheme_1_never_change(mch_id, campaign_id, row_key, issue, number):
    assert mch_billno(mch_id=mch_id, campaign_id=campaign_id, row_key=row_key, issue=issue) == number


def test_many_numbers_are_those_that_their_keys_get_one_by_one():
    """The digest was taken with the code that made each by itself."""
    keys = [f"o{n}" for n in range(10_000)]
    numbers = first_billnos(mch_id=MCH_ID, campaign_id="lantern", row_keys=keys)
    assert numbers == [mch_billno(mch_id=MCH_ID, campaign_id="lantern", row_key=key) for key in keys]
    assert (
        blake2b(" ".join(numbers).encode(), digest_size=16).hexdigest() == "a10f7e0128c18bb3a7f0b4cfa8a1a243"
    )


@given(mch_id=MERCHANTS, campaign_id=CAMPAIGNS, keys=st.lists(ROW_KEYS, max_size=5))
def test_it_does_not_matter_which_keys_are_numbered_together(mch_id, campaign_id, keys):
    alone = [mch_billno(mch_id=mch_id, campaign_id=campaign_id, row_key=key) for key in keys]
    assert first_billnos(mch_id=mch_id, campaign_id=campaign_id, row_keys=keys) == alone


def test_the_golden_keys_are_canonical_so_that_they_are_what_really_gets_numbered():
    for _, campaign_id, row_key, _, _ in GOLDEN:
        assert canonical_campaign_id(campaign_id) == campaign_id
        assert canonical_row_key(row_key) == row_key


def test_nonce_and_check_are_frozen_too():
    """The nonce is part of a repeat's bytes, the check is printed in sheets that people still have."""
    assert nonce_str("1900000109ABCDEFGHJKMNPQRS0") == "B70C4J8V4X4FGF55YSQZ7PZYBSD6XW"
    tie = Tie(campaign="lantern", row_key="oA", issue=2)
    assert tie_check(tie, mch_id=MCH_ID) == "MHQVWJYC"


class TestForm:
    @given(mch_id=MERCHANTS, campaign_id=CAMPAIGNS, row_key=ROW_KEYS, issue=ISSUES)
    def test_every_number_is_mch_id_and_crockford_digits_28_in_all(self, mch_id, campaign_id, row_key, issue):
        """R2.1: 0-9 a-z A-Z, at most 28."""
        number = mch_billno(mch_id=mch_id, campaign_id=campaign_id, row_key=row_key, issue=issue)
        assert len(number) == BILLNO_LENGTH == 28
        assert number.startswith(mch_id)
        assert set(number[len(mch_id) :]) <= CROCKFORD

    @pytest.mark.parametrize("digits", range(8, 17))
    def test_merchant_numbers_of_8_to_16_digits_leave_at_least_60_bits(self, digits):
        number = mch_billno(mch_id="9" * digits, campaign_id="a", row_key="b")
        assert len(number) == 28
        assert (28 - digits) * 5 >= 60

    @pytest.mark.parametrize(
        "mch_id",
        ["", "1234567", "1" * 17, "19000001O9", "１９００００１０９０", "190000010\n", " 1900000109"],
    )
    def test_anything_else_is_no_merchant_number(self, mch_id):
        with pytest.raises(ValueError, match="mch_id"):
            mch_billno(mch_id=mch_id, campaign_id="a", row_key="b")

    @pytest.mark.parametrize("issue", [0, -1, ISSUE_MAX + 1])
    def test_issue_numbers_count_from_1_and_end_somewhere(self, issue):
        with pytest.raises(ValueError, match="issue"):
            mch_billno(mch_id=MCH_ID, campaign_id="a", row_key="b", issue=issue)

    @given(row_key=ROW_KEYS)
    def test_the_nonce_is_shorter_than_32_and_follows_from_the_number_alone(self, row_key):
        """R2.1: "fewer than 32"; R5.4: a repeat is the same bytes."""
        number = mch_billno(mch_id=MCH_ID, campaign_id="a", row_key=row_key)
        assert re.fullmatch(r"[0-9A-Z]{1,31}", nonce_str(number))
        assert nonce_str(number) == nonce_str(number)
        assert nonce_str(number) != nonce_str(number[:-1] + "_")


class TestDistinctness:
    @given(
        st.tuples(CAMPAIGNS, ROW_KEYS, ISSUES),
        st.tuples(CAMPAIGNS, ROW_KEYS, ISSUES),
    )
    def test_other_parts_make_another_number(self, one, other):
        assume(one != other)
        assert _number(*one) != _number(*other)

    @given(text=st.text(min_size=2, max_size=30), cut=st.integers(1, 29), other=st.integers(1, 29))
    def test_no_character_can_move_between_campaign_and_key(self, text, cut, other):
        """``lantern`` + ``1`` is not ``lanter`` + ``n1``."""
        cut, other = cut % len(text), other % len(text)
        assume(cut != other and not any("\ud800" <= c <= "\udfff" for c in text))
        assert _number(text[:cut], text[cut:], 1) != _number(text[:other], text[other:], 1)

    @given(key=ROW_KEYS, issue=ISSUES)
    def test_no_digit_can_move_between_key_and_issue(self, key, issue):
        assume(issue >= 10)
        digits = str(issue)
        assume(digits[1] != "0")
        assert _number("a", key, issue) != _number("a", key + digits[0], int(digits[1:]))

    def test_no_digit_can_move_between_merchant_and_campaign(self):
        one = mch_billno(mch_id="12345678", campaign_id="9a", row_key="b")
        other = mch_billno(mch_id="123456789", campaign_id="a", row_key="b")
        assert one[9:] != other[9:]

    def test_ten_thousand_rows_stay_apart_even_in_a_store_that_ignores_case(self):
        numbers = {_number("lantern", f"o{n}", 1).casefold() for n in range(10_000)}
        assert len(numbers) == 10_000

    def test_openids_that_differ_by_case_only_are_two_people(self):
        assert _number("lantern", "oAb", 1) != _number("lantern", "oAB", 1)

    @given(openid=st.from_regex(r"[A-Za-z0-9_-]{1,31}", fullmatch=True), ordinal=st.integers(1, 999))
    def test_a_repeats_key_is_no_openid_and_is_canonical(self, openid, ordinal):
        key = repeat_key(openid, ordinal)
        assert not re.fullmatch(r"[A-Za-z0-9_-]*", key)
        assert canonical_row_key(key) == key

    def test_repeats_of_one_person_and_of_others_have_keys_of_their_own(self):
        keys = [repeat_key(openid, n) for openid in ("o1", "o11", "o") for n in (1, 11, 111)]
        assert len(set(keys)) == len(keys)


class TestCanonicalForms:
    @pytest.mark.parametrize(
        "name, identity",
        [
            ("Lantern", "lantern"),
            ("  lantern\t", "lantern"),
            ("ＬＡＮＴＥＲＮ　２０２６", "lantern 2026"),
            ("Straße", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
            ("ﬁn", "fin"),
            ("Lantern™ ㎏", "lanterntm kg"),
            ("元宵节", "元宵节"),
            ("cafe\u0301", "café"),
            ("\u00a0lantern\u3000", "lantern"),
        ],
    )
    def test_a_campaign_is_named_alike_however_the_file_was_typed(self, name, identity):
        assert canonical_campaign_id(name) == identity

    @pytest.mark.parametrize(
        "key, identity",
        [
            ("oAbC", "oAbC"),
            ("ｏＡｂＣ－１", "oAbC-1"),
            (" 00042 ", "00042"),
            ("４２", "42"),
            ("㈱山", "(株)山"),
            ("cafe\u0301", "café"),
            ("a  b", "a  b"),
        ],
    )
    def test_a_key_keeps_its_case_and_its_zeros(self, key, identity):
        assert canonical_row_key(key) == identity

    @pytest.mark.parametrize("function", [canonical_campaign_id, canonical_row_key])
    @pytest.mark.parametrize(
        "name",
        [
            "",
            " \t\u3000",
            "a\nb",
            "a\x00b",
            "a\u200bb",  # zero width: two names that look the same
            "a\u202eb",  # right-to-left override
            "\ufefflantern",
            "a\u00adb",
            "a\u2028b",
            "a\ud800b",
            "a\U0003ffffb",  # unknown to this Python: a newer one might normalise it otherwise
        ],
    )
    def test_what_cannot_be_seen_or_will_not_stay_the_same_is_refused(self, function, name):
        with pytest.raises(ValueError, match=r"empty|characters"):
            function(name)

    @given(name=NAMES)
    def test_canonical_forms_are_fixed_points(self, name):
        for function in (canonical_campaign_id, canonical_row_key):
            form = canonical(function, name)
            assert function(form) == form

    @given(name=NAMES)
    def test_composed_and_decomposed_names_are_one(self, name):
        """A Mac stores file names decomposed, everybody else composed."""
        for function in (canonical_campaign_id, canonical_row_key):
            form = canonical(function, unicodedata.normalize("NFC", name))
            assert function(unicodedata.normalize("NFD", name)) == form

    @given(name=st.text(string.ascii_letters + string.digits + "äß元宵 -", min_size=1))
    def test_upper_and_lower_case_name_one_campaign(self, name):
        form = canonical(canonical_campaign_id, name)
        assert canonical_campaign_id(name.upper()) == canonical_campaign_id(name.lower()) == form


class TestCheckOfTheReservedColumns:
    TIE = Tie(campaign="lantern", row_key="oA", issue=1)

    @pytest.mark.parametrize(
        "altered",
        [
            Tie(campaign="lantern2", row_key="oA", issue=1),
            Tie(campaign="lantern", row_key="oB", issue=1),
            Tie(campaign="lantern", row_key="oA", issue=2),
            Tie(campaign="lanterno", row_key="A", issue=1),
        ],
    )
    def test_it_changes_with_every_column(self, altered):
        assert tie_check(altered, mch_id=MCH_ID) != tie_check(self.TIE, mch_id=MCH_ID)

    def test_it_changes_with_the_merchant(self):
        assert tie_check(self.TIE, mch_id="1900000110") != tie_check(self.TIE, mch_id=MCH_ID)

    @given(row_key=ROW_KEYS, issue=ISSUES)
    def test_it_is_short_and_survives_a_spreadsheet(self, row_key, issue):
        check = tie_check(Tie(campaign="a", row_key=row_key, issue=issue), mch_id=MCH_ID)
        assert len(check) == 8
        assert set(check) <= CROCKFORD
        assert canonical_row_key(check) == check


def _number(campaign_id: str, row_key: str, issue: int) -> str:
    return mch_billno(mch_id=MCH_ID, campaign_id=campaign_id, row_key=row_key, issue=issue)
