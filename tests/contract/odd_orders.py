"""Order messages for Hypothesis: sound ones, and ones that are odd in a value, a field or a byte."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from schemas.fields import MAX_QUANTITY

Any_ = st.SearchStrategy[Any]

_sound_ref = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
_odd_text = st.one_of(
    st.text(
        st.characters(codec=None), max_size=6
    ),  # with lone surrogates, which JSON can only write as escapes
    st.sampled_from(["", " ", "\x00", "a\tb", "\x7f", "\x85", "\u00a0", "\u200b", "\ufeff", "\U0001f600"]),
    st.sampled_from(["A" * 256, "A" * 257, "é" * 128, "é" * 129, "€" * 85, "€" * 86, "\U0001f600" * 65]),
)
_odd_number = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([MAX_QUANTITY, MAX_QUANTITY + 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**40]),
    st.sampled_from([1.0, 2.0, 1.5, -0.0, 1e300, float("nan"), float("inf"), float("-inf")]),
)
_scalar = st.one_of(
    st.none(), st.booleans(), _odd_number, _odd_text, st.sampled_from(["1", "2.0", "true", "null"])
)
_anything = st.recursive(
    _scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_odd_text, inner, max_size=3),
    max_leaves=8,
)
_name = st.sampled_from(
    [
        "ref",
        "promotionId",
        "promotion_id",
        "cancellationRef",
        "cancellation_ref",
        "items",
        "sku",
        "quantity",
        "order",
        "Ref",
        "id",
        "note",
    ]
)


class Fields(list[tuple[str, Any]]):
    """A JSON object whose fields stand in any order, and perhaps twice."""


def _object(**wanted: Any_) -> st.SearchStrategy[Fields]:
    """These fields, perhaps without one, perhaps with others that are odd, unknown or there already."""
    known = [st.tuples(st.just(name), value) for name, value in wanted.items()]
    odd = st.lists(st.one_of(st.tuples(_name, _anything), *known), max_size=2)
    found = st.tuples(st.tuples(*known), odd).map(lambda parts: [*parts[0], *parts[1]])
    return found.flatmap(
        lambda fields: st.permutations(fields) | st.permutations(fields) | st.just(fields[1:])
    ).map(Fields)


_ref = _sound_ref | _odd_text
_items = st.lists(_object(sku=_ref, quantity=st.integers(1, 9) | _odd_number) | _anything, max_size=4)
_sound_items = st.lists(
    st.fixed_dictionaries({"sku": _sound_ref, "quantity": st.integers(1, 9)}), min_size=1, max_size=4
)
_order = st.one_of(
    _object(ref=_ref, promotionId=_ref, items=_items),
    _object(ref=_sound_ref, promotionId=_sound_ref, items=_sound_items),
    _object(ref=_sound_ref, promotionId=_sound_ref, items=_sound_items),
    _object(
        ref=_sound_ref, promotionId=_ref, items=_sound_items | st.none(), cancellationRef=_ref | st.none()
    ),
)
_message = st.one_of(*[_object(order=_order)] * 6, _anything, st.lists(_order, max_size=1))


def as_json(value: Any, ascii_only: bool = True, space: str = "") -> str:
    """JSON of a value: text as escapes or as it is, with space between the tokens."""
    if isinstance(value, Fields):
        fields = [f"{json.dumps(name)}:{space}{as_json(each, ascii_only, space)}" for name, each in value]
        return f"{{{space}{f',{space}'.join(fields)}}}"
    if isinstance(value, list):
        return f"[{f',{space}'.join(as_json(each, ascii_only, space) for each in value)}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _encoded(value: Any, ascii_only: bool, space: str) -> bytes:
    return as_json(value, ascii_only, space).encode(errors="surrogatepass")


_spaces = st.sampled_from(["", " ", "\n", "\t \r\n"])
_texts = st.builds(_encoded, _message, st.booleans(), _spaces)
_fragments = st.one_of(
    st.sampled_from(rb"\" \ { } [ ] , : 0 - . e9 null true NaN -Infinity /**/ // ' \x41 \/".split()),
    st.sampled_from([b'"', *rb"\u0000 \ud800 \udc00 \u12".split()]),
    st.sampled_from(
        [b"\xef\xbb\xbf", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc2\xa0"]
    ),
    st.sampled_from([b"\x00", b"\x0b", b"\x1f", b"\x7f", b"1" * 20, b'"note":1,', b'"r\\u0065f":"B",']),
    st.sampled_from([b'"order":{},', b'"items":[],', b'"quantity":2.0,', b'"ref":null,', b'"sku":"",']),
    st.binary(max_size=3),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message, with up to three of its places cut out, doubled, or filled with something dangerous."""
    value = draw(_texts)
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(value)))
        upto = min(len(value), at + draw(st.integers(0, 8)))
        value = value[:at] + draw(_fragments | st.just(value[at:upto] * 2)) + value[upto:]
    return value


_plain_refs = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x17F, exclude_categories=("Cc", "Cf", "Zs")),
    min_size=1,
    max_size=60,
)
_plain_items = st.lists(
    st.fixed_dictionaries({"sku": _plain_refs, "quantity": st.integers(1, MAX_QUANTITY)}),
    min_size=1,
    max_size=20,
)
_notes = {"note": st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists, max_leaves=5)}
_plain = {"ref": _plain_refs, "promotionId": _plain_refs}

plain_placed: Any_ = st.fixed_dictionaries(_plain | {"items": _plain_items}, optional=_notes)
"""What an ordinary shop sends as an order."""

plain_cancelled: Any_ = st.fixed_dictionaries(
    _plain, optional={"items": _plain_items | st.none(), "cancellationRef": _plain_refs | st.none(), **_notes}
)
"""What an ordinary shop sends as a cancel."""
