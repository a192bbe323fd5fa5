"""What is asked of Fluent after it has refused a hold or a release."""

from __future__ import annotations

import pytest

from streams.ledger import commands as c
from streams.ledger.fluent_requests import ReleaseRequest, VerifyRequest
from tests.streams.ledger.reservations.stage import IDS, TERMS, Ledger, of


def test_a_hold_that_is_somebody_elses_is_not_verified_after_the_conflict() -> None:
    """Seen: the hold of another run under the same promotion id was left alone, and a minute later ended."""
    ledger = Ledger()
    ledger.reserve(100)
    ledger.do(c.HoldFailed(*IDS, 1, "CONFLICT", "Another run holds 60 units."))
    assert ledger.row().state == "REJECTED"
    assert of(VerifyRequest, ledger.after(100 * TERMS.verify_ms)) == []


@pytest.mark.parametrize("held", [0, 70])
def test_the_verify_after_a_refused_release_says_that_a_difference_is_known(held: int) -> None:
    ledger = Ledger()
    ledger.open(100)
    ledger.end()
    ledger.do(c.ReleaseFailed(*IDS, 2, held, "forbidden"))
    [verify] = of(VerifyRequest, ledger.after(TERMS.verify_ms))
    assert (verify.closed, verify.differed) == (True, held > 0)


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_release_says_whether_the_hold_was_confirmed(confirmed: bool) -> None:
    ledger = Ledger()
    ledger.open(100) if confirmed else ledger.reserve(100)
    release = of(ReleaseRequest, [*ledger.end(), *ledger.after(TERMS.hold_timeout_ms)])[0]
    assert release.confirmed is confirmed
