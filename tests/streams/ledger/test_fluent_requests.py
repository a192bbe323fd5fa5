"""The stem of a reservation's refs: readable, short enough for Fluent, and no two reservations share it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent.parts import part_ref, sale_ref
from streams.ledger.fluent_requests import MAX_STEM_CHARS, reservation_ref

FLUENT_MAX_CHARS = 100
NAMES = st.text("AB-.1sale", min_size=1, max_size=12) | st.text(min_size=1, max_size=256)
LONG = "CATEGORY-" * 20


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("SUMMER-24", "A"), ("SUMMER", "24-A")),
        (("BF-2025", "11-100"), ("BF-2025-11", "100")),
        (("P", "TEE"), ("P", "TEE-sale")),
        (("P", LONG + "1"), ("P", LONG + "2")),
        ((LONG + "1", "A"), (LONG + "2", "A")),
        (("P", "Größe"), ("P", "Gröhe")),
        (("P", "a b"), ("P", "a_b")),
    ],
)
def test_two_reservations_that_look_alike_have_refs_of_their_own(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert not refs_of(*one) & refs_of(*other)


def refs_of(promotion: str, sku: str) -> set[str]:
    stem = reservation_ref(promotion, sku)
    return {ref(stem, number) for ref in (part_ref, sale_ref) for number in range(1, 20)}


def test_usual_names_can_be_read() -> None:
    assert re.fullmatch(r"FS-FLASH-1-SKU-001-[0-9a-f]{8}", reservation_ref("FLASH-1", "SKU-001"))


@pytest.mark.parametrize(
    ("promotion", "sku", "ref"),
    [
        ("P" * 38, "S" * 39, f"FS-{'P' * 38}-{'S' * 39}-2f07e543"),
        ("P" * 60, "S" * 60, f"FS-{'P' * 22}.ab79b8b7369543e9-{'S' * 21}.841c54bfbbccbc47-4e69c383"),
        ("P" * 10, "S" * 90, f"FS-{'P' * 10}-{'S' * 50}.6740b1bf55a3b3b2-3ecd0d41"),
        ("A b", "é", "FS-A_b.d18ffe0aae153a97-_.cb1abf8beff3192f-ae85d6cd"),
    ],
)
def test_a_ref_is_the_same_in_every_version(promotion: str, sku: str, ref: str) -> None:
    """Else the holds of a sale that runs during an upgrade would be nobody's."""
    assert reservation_ref(promotion, sku) == ref


@given(NAMES, NAMES)
def test_a_ref_has_usual_characters_and_is_no_longer_than_fluent_allows(promotion: str, sku: str) -> None:
    stem = reservation_ref(promotion, sku)
    assert re.fullmatch(r"FS-[A-Za-z0-9._:-]+-[0-9a-f]{8}", stem) and len(stem) <= MAX_STEM_CHARS
    assert len(sale_ref(stem, 999)) <= FLUENT_MAX_CHARS and len(part_ref(stem, 99_999)) <= FLUENT_MAX_CHARS
    assert reservation_ref(promotion, sku) == stem


@given(st.sets(st.tuples(NAMES, NAMES), min_size=2, max_size=40))
def test_no_two_pairs_share_a_stem(pairs: set[tuple[str, str]]) -> None:
    assert len({reservation_ref(*pair) for pair in pairs}) == len(pairs)
