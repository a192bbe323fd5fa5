"""The defects of the template that this replaces, as far as Fluent and the whole project answer for them."""

from __future__ import annotations

from bridge.signing import sign
from fluent import Gateway, RequestQueue
from schemas.catalogue import MESSAGES
from streams.ledger.commands import End, HoldConfirmed, Reserve, SkuCommand
from streams.ledger.fluent_requests import HoldRequest, ReleaseRequest
from streams.settings import load_settings
from tests.fluent.support import Requests
from tests.streams.ledger.reservations.stage import HOUR_MS, NOON_MS, TERMS, Ledger, of
from tests.support.fluent import FluentSimulator


async def test_first_10_truncates(gateway: Gateway, simulator: FluentSimulator) -> None:
    """Here a SKU that is spread over 120 positions of two units is held in full."""
    many = Requests("MANY", promotion="FLASH-FIRST-10")
    answer = await gateway.handle(many.hold(100))
    assert answer == HoldConfirmed(many.promotion, "MANY", 1, 100)
    held = [hold for hold in simulator.truth("MANY")["holds"] if hold["promotionId"] == many.promotion]
    assert sum(hold["quantity"] for hold in held) == 100 and len(held) == 50
    await gateway.handle(many.release(0))


def test_active_promotions_hard_coded() -> None:
    """Here whatever promotion was reserved is released, by the id that its start named."""
    for promotion in ("FLASH-1", "never configured anywhere"):
        ledger = Ledger()
        ledger.do(Reserve(promotion, "SKU-1", 3, NOON_MS + HOUR_MS, TERMS))
        ledger.do(HoldConfirmed(promotion, "SKU-1", 1, 3))
        ledger.do(End(promotion, "SKU-1", NOON_MS))
        [release] = of(ReleaseRequest, ledger.after(TERMS.expiry_grace_ms))
        assert isinstance(release, ReleaseRequest)
        assert release.promotion_id == promotion


async def test_signature_batching_external_configuration_and_reconciliation_report_promised_and_absent(
    gateway: Gateway,
) -> None:
    assert sign("secret", 1_700_000_000, "POST", "/consume-reservation", b"{}").startswith("sha256=")
    assert load_settings({}).config.reservation_duration_minutes == 120
    assert "reconciliation-reports" in str(MESSAGES)
    before = gateway.meters.http_requests.total()
    queue = RequestQueue(gateway, check_documents=False)
    answers: list[SkuCommand] = []
    for number in range(20):
        request = HoldRequest("FLASH-BATCH", f"ONE-{560 + number}", 1, f"FS-B-{number}", 1, 2**41)
        assert queue.submit(request, answers.append)
    await queue.drain()
    assert len(answers) == 20 and all(isinstance(answer, HoldConfirmed) for answer in answers)
    assert gateway.meters.http_requests.total() - before < 20 * 3
