from __future__ import annotations

import re
from pathlib import Path

from schemas.drift import MEANINGS, REMEDIES, DriftKind

DOCS = Path(__file__).parents[2] / "docs"


def test_every_kind_has_a_meaning_and_a_remedy() -> None:
    assert list(MEANINGS) == list(REMEDIES) == list(DriftKind)


def test_no_other_page_has_a_remedy_of_its_own() -> None:
    """What a repair writes is another matter; it stands with the repair, in fluent.md."""
    kinds = "|".join(DriftKind)
    rows = {
        path.name: re.findall(rf"^\| `(?:{kinds})`.*$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in sorted(DOCS.rglob("*.md"))
        if path.name != "reports.md"
    }
    assert {name: {row.count("|") for row in found} for name, found in rows.items() if found} == {
        "fluent.md": {3}
    }
