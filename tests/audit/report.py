"""The audit: every invariant by its name, and what of it was found wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tests.audit.answers import (
    a_cancel_gives_back_what_it_asks_for,
    a_dead_letter_is_the_original_with_a_true_reason,
    a_repeat_gets_the_same_bytes,
    all_or_nothing_is,
    an_answer_fits_its_event,
    an_order_is_decided_once,
    an_outcome_says_what_is_left,
    every_input_is_decided_or_a_dead_letter,
    of_one_identity_one_content_stands,
    what_was_cancelled_first_is_not_taken,
)
from tests.audit.evidence import CHANGELOG, Evidence
from tests.audit.order import (
    a_promotion_lasts_as_long_as_it_was_to_last,
    first_come_first_served,
    in_time_is_in_time,
    nobody_is_turned_away_while_units_are_left,
    too_late_is_too_late,
)
from tests.audit.rows import (
    claimed_is_never_more_than_reserved,
    the_changelog_folds_to_the_table,
    what_is_forgotten_leaves_no_rows,
    what_is_said_to_be_consumed_is_claimed,
)
from tests.audit.sale import Sale
from tests.audit.stock import (
    a_hold_ends_for_what_came_first,
    a_sold_unit_is_never_on_sale_again,
    each_hold_ends_exactly_once,
    fluent_sells_what_was_not_sold,
    no_sku_is_oversold,
    reserved_is_consumed_plus_released,
    the_final_report_says_what_the_outcomes_say,
    the_last_release_is_of_all_that_was_not_sold,
    what_is_said_to_be_released_is_let_go,
)

Check = Callable[[Sale], Iterator[str]]
MOST_FINDINGS = 20
"""Of one invariant: more say nothing new."""

ALWAYS: tuple[Check, ...] = (
    every_input_is_decided_or_a_dead_letter,
    an_answer_fits_its_event,
    a_dead_letter_is_the_original_with_a_true_reason,
    of_one_identity_one_content_stands,
    a_repeat_gets_the_same_bytes,
    an_order_is_decided_once,
    an_outcome_says_what_is_left,
    a_cancel_gives_back_what_it_asks_for,
    what_was_cancelled_first_is_not_taken,
    all_or_nothing_is,
    no_sku_is_oversold,
    in_time_is_in_time,
    too_late_is_too_late,
    a_promotion_lasts_as_long_as_it_was_to_last,
    nobody_is_turned_away_while_units_are_left,
    first_come_first_served,
)
OVER: tuple[Check, ...] = (
    each_hold_ends_exactly_once,
    a_hold_ends_for_what_came_first,
    the_last_release_is_of_all_that_was_not_sold,
    reserved_is_consumed_plus_released,
    the_final_report_says_what_the_outcomes_say,
)
ROWS: tuple[Check, ...] = (claimed_is_never_more_than_reserved, what_is_said_to_be_consumed_is_claimed)


def name_of(check: Check) -> str:
    """The invariant as a sentence."""
    return check.__name__.replace("_", " ")


INVARIANTS = tuple(
    name_of(check)
    for check in (
        *ALWAYS,
        *OVER,
        *ROWS,
        fluent_sells_what_was_not_sold,
        a_sold_unit_is_never_on_sale_again,
        what_is_said_to_be_released_is_let_go,
        the_changelog_folds_to_the_table,
        what_is_forgotten_leaves_no_rows,
    )
)
"""Their names."""


@dataclass
class Report:
    """What was checked, by invariant; an empty list is one that holds."""

    sale: Sale
    findings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Everything that was found, as sentences."""
        return [f"{name}: {each}" for name, found in self.findings.items() for each in found]


def audit(evidence: Evidence, without: Collection[str] = ()) -> Report:
    """Check every invariant for which there is evidence, but for those named in `without`."""
    report = Report(Sale(evidence))
    for check in _possible(evidence):
        if name_of(check) not in without:
            report.findings[name_of(check)] = list(islice(check(report.sale), MOST_FINDINGS))
    return report


def _possible(evidence: Evidence) -> Iterator[Check]:
    yield from ALWAYS
    if evidence.over:
        yield from OVER
    if evidence.records.get(CHANGELOG):
        yield from ROWS
    if evidence.over and evidence.truth is not None and evidence.stock is not None:
        yield fluent_sells_what_was_not_sold
    if evidence.journal is not None:
        yield a_sold_unit_is_never_on_sale_again
        yield what_is_said_to_be_released_is_let_go
    if evidence.tables is not None:
        yield the_changelog_folds_to_the_table
    if evidence.forgotten:
        yield what_is_forgotten_leaves_no_rows
