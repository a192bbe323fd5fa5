"""A reference is found in JSON however its sender's encoder writes it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashsale.spellings import spelling
from tests.flashsale.test_dead_letters import letter


@pytest.mark.parametrize(
    ("ref", "written"),
    [
        ("A/B", rb"A\/B"),  # as PHP does
        ("Ü-1", rb"\u00dc-1"),
        ("Ü-1", rb"\u00DC-1"),  # as .NET does
        ("A+1", rb"A\u002B1"),
        ("\N{ADMISSION TICKETS}7", rb"\ud83c\udf9f7"),
        ('6"', rb"6\""),
        ("a.b", b"a.b"),
    ],
)
def test_a_dead_letter_mentions_an_order_in_any_spelling(ref: str, written: bytes) -> None:
    found = letter(0, b'{"order":{"ref":"%b","promotionId":"P"}' % written)
    assert found.mentions(ref, "P")
    assert not found.mentions(f"{ref}1") and not letter(0, b"axb").mentions(ref)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=256))
def test_whatever_python_writes_is_found(ref: str) -> None:
    for value in (json.dumps(ref), json.dumps(ref, ensure_ascii=False)):
        assert re.fullmatch(b'"%b"' % spelling(ref), value.encode())
