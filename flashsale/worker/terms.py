"""The configuration as the terms that are recorded with each event."""

from __future__ import annotations

from streams.ledger.terms import Terms
from streams.settings import ReservationConfig


def terms_of(config: ReservationConfig) -> Terms:
    """The settings that decisions depend on, in milliseconds."""
    return Terms(
        default_duration_ms=config.default_duration_ms,
        claim_grace_ms=config.claim_grace_ms,
        expiry_grace_ms=config.expiry_grace_ms,
        hold_timeout_ms=config.hold_timeout_ms,
        close_timeout_ms=config.close_timeout_ms,
        retention_ms=config.claim_retention_ms,
        report_interval_ms=config.reconciliation_interval_ms,
        settle_delay_ms=config.settle_delay_ms,
        settle_interval_ms=config.settle_interval_ms,
        verify_ms=config.fluent_verify_ms,
        ask_again_ms=config.fluent_ask_again_ms,
        auto_release=config.auto_release_enabled,
        all_or_nothing=config.order_policy == "all-or-nothing",
        book_sale=config.settlement == "sale",
    )
