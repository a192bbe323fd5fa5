"""Bugs to be planted, each of which the simulation must notice: what a hurried change might leave behind."""

from __future__ import annotations

from tests.simulation.planting import Bug

LEDGER = "streams.ledger.reservations."
ORDERS = "streams.ledger.orders."
PROMOTIONS = "streams.ledger.promotions."
ROWS = "streams.ledger.rows:Rows."

UNITS = (
    Bug(
        "one unit more than there is",
        LEDGER + "decision:reason_for",
        "row.reserved - row.claimed",
        "row.reserved - row.claimed + 1",
    ),
    Bug("units that are not held are sold", LEDGER + "decision:reason_for", " - unheld_units(row)", ""),
    Bug(
        "a claim takes no units",
        LEDGER + "decision:record_decision",
        "+= quantity\n        return",
        "+= 0\n        return",
    ),
    Bug("dedupe off in the ledger", LEDGER + "claims:on_claim", "if claim is not None:", "if False:"),
    Bug(
        "units that come back are not on sale", LEDGER + "cancels:_give_back", "row.claimed -= units", "pass"
    ),
    Bug("a compensation counts as a cancel", LEDGER + "cancels:_give_back", "if compensation:", "if False:"),
    Bug(
        "a refusal is not counted",
        LEDGER + "decision:record_decision",
        "row.rejected_units += quantity",
        "pass",
    ),
    Bug(
        "a late cancel is not booked back",
        LEDGER + "settling:follow_up",
        "row.settled != row.claimed",
        "False",
    ),
    Bug(
        "the queue turns a waiting claim away twice",
        LEDGER + "queue:_answer",
        "turn.rows.delete(WAITERS",
        "turn.rows.get(WAITERS",
    ),
    Bug("a claim that waits is lost", LEDGER + "queue:wait", "row.tail += 1", "row.tail += 0"),
    Bug("who waits last is served twice", LEDGER + "queue:_drain", "row.head += 1", "row.head += 2"),
)

FLUENT = (
    Bug(
        "a release after the close is not told",
        LEDGER + "publishing:publish_release",
        "turn.send(RESERVATION_RELEASES",
        "cause == 'CANCELLED' or turn.send(RESERVATION_RELEASES",
    ),
    Bug("an old answer counts", LEDGER + "requests:answered", "or row.number != number", ""),
    Bug(
        "a lost request is not asked again",
        LEDGER + "requests:send_request",
        "turn.now_ms + row.terms.ask_again_ms",
        "0",
    ),
    Bug(
        "an answered request is asked again for ever",
        LEDGER + "requests:answered",
        'row.request = ""',
        "pass",
    ),
    Bug(
        "a settle takes off what it took off before",
        LEDGER + "settling:_settle",
        "remaining=remaining",
        "remaining=turn.row.held - consumed",
    ),
    Bug(
        "nobody looks again after the close",
        LEDGER + "lifecycle:_close",
        "row.verify_at_ms = turn.now_ms + row.terms.verify_ms",
        "pass",
    ),
    Bug(
        "units are settled before they are of age",
        LEDGER + "settling:ripen_later",
        "now_ms + row.settle_delay_ms",
        "now_ms",
    ),
)

TIME = (
    Bug(
        "the clock in place of the watermark",
        "streams.ledger.turn:Turn.watermark_ms",
        "watermark_ms(self.rows, self.log)",
        "self.now_ms",
    ),
    Bug("a close is told twice", LEDGER + "publishing:publish_close", "not row.release_told", "True"),
    Bug("an end closes at once", LEDGER + "lifecycle:end", "row.close_at_ms <= turn.watermark_ms", "True"),
    Bug(
        "the close does not wait for claims that wait",
        LEDGER + "lifecycle:close_if_idle",
        "or row.head != row.tail ",
        "",
    ),
    Bug(
        "an end is no deadline",
        LEDGER + "lifecycle:end",
        "row.deadline_ms = min(row.deadline_ms, row.ended_at_ms)",
        "pass",
    ),
    Bug("expiry does not matter", LEDGER + "decision:reason_for", " and placed_at_ms <= row.deadline_ms", ""),
    Bug(
        "the later cause is told",
        LEDGER + "decision:cause_of",
        "ENDED if ended_first else EXPIRED",
        "EXPIRED if ended_first else ENDED",
    ),
    Bug(
        "a claim waits for no start",
        LEDGER + "queue:_decide",
        "or turn.watermark_ms < waiter.due_at_ms",
        "or False",
    ),
    Bug("a cancel waits for no order", ORDERS + "events:drain", "event.due_ms > turn.watermark_ms", "False"),
)

ANSWERS = (
    Bug(
        "a changed order passes for a repeat",
        ORDERS + "placing:same_content",
        "line.quantity != quantity",
        "False",
    ),
    Bug(
        "a repeated cancel is carried out again", ORDERS + "events:on_cancel", "if seen is None:", "if True:"
    ),
    Bug(
        "a repeat is answered before the order is decided",
        ORDERS + "events:_repeat",
        "if turn.row.resting and not turn.row.waiting:",
        "if True:",
    ),
    Bug(
        "an incomplete order keeps its part",
        ORDERS + "placing:conclude",
        "not _is_complete(order)",
        "False",
    ),
    Bug(
        "what a forgotten order has is given back",
        ORDERS + "placing:_taken_now",
        "line.left and line.again",
        "False",
    ),
    Bug(
        "what is withheld from a line is not in its record",
        LEDGER + "claims:on_claim",
        "turn.now_ms, withheld, 0",
        "turn.now_ms, 0, 0",
    ),
    Bug(
        "a recalled order forgets what was cancelled",
        ORDERS + "recalling:_adopt",
        "quantity - cancelled",
        "quantity",
    ),
    Bug(
        "a recalled order is told at another time",
        ORDERS + "recalling:_adopt",
        "answer.decided_at_ms",
        "turn.now_ms",
    ),
    Bug("what waits for a recall is lost", ORDERS + "events:on_line_recalled", "drain(turn)", "pass"),
    Bug(
        "a cancel that came first is forgotten",
        ORDERS + "cancelling:withhold",
        "Withheld(units)",
        "Withheld(0)",
    ),
    Bug(
        "a cancel of everything that came first is forgotten",
        ORDERS + "cancelling:withhold",
        "withheld_all = True",
        "withheld_all = False",
    ),
)

PROMOTION = (
    Bug(
        "a changed start passes for a repeat",
        PROMOTIONS + "starts:_start_again",
        "digest(command) == turn.row.digest",
        "True",
    ),
    Bug(
        "repeats of a start that wait are forgotten", PROMOTIONS + "publishing:_answer_repeats_soon", "<", ">"
    ),
    Bug(
        "an end that came first is forgotten",
        PROMOTIONS + "ends:take_early_end",
        "turn.rows.get(EARLY_ENDS, turn.key)",
        "None",
    ),
    Bug(
        "the report of a change after the end is not made",
        PROMOTIONS + "turn:note_change",
        "    _report_unless_due(turn)",
        "    pass",
    ),
)

STATE = (
    Bug("what waits beyond one command is lost", LEDGER + "queue:drain", "drain_soon(turn)", "pass"),
    Bug(
        "rows beyond one command are never forgotten",
        LEDGER + "forgetting:on_forget",
        "len(found) == MAX_FORGOTTEN",
        "False",
    ),
    Bug("rows of an aborted transaction are read", ROWS + "reset", "self._flushed = []", "pass"),
    Bug("decoded rows outlive an abort", ROWS + "reset", "self._hot = {}", "pass"),
    Bug("a floor outlives an abort", ROWS + "reset", "self.floors = {}", "pass"),
    Bug(
        "undecided rows outlive an abort",
        ROWS + "reset",
        "self._live, self._ordered, self._live_hot = {}, {}, set()",
        "pass",
    ),
    Bug("a commit drops the wrong rows", ROWS + "committed", "del self._flushed[0]", "del self._flushed[-1]"),
    Bug(
        "a scan does not see what is not committed",
        "streams.ledger.rows:_changed",
        "if row is not None:",
        "if False:",
    ),
    Bug(
        "a scan shows what is deleted",
        ROWS + "scan",
        "if not any(key in rows for rows, _ in generations)",
        "",
    ),
    Bug(
        "a deadline below the floor is not found",
        "streams.ledger.deadlines:Deadlines.set",
        "key < floor",
        "False",
    ),
    Bug("a deadline is never cleared", "streams.ledger.deadlines:Deadlines.clear", "rows.delete", "rows.get"),
    Bug("a Continue is lost", "streams.ledger.turn:Turn.go_on", "self.effects.sends.append", "id"),
)

BUGS = (*UNITS, *FLUENT, *TIME, *ANSWERS, *PROMOTION, *STATE)
