"""The metrics of a worker."""

from __future__ import annotations

from schemas.drift import DriftKind
from schemas.reasons import Reason
from streams.metrics import CounterOf, GaugeOf, HistogramOf

FAST_S = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
PATIENT_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
FLUENT_S = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

READY = GaugeOf("flashsale_ready", "1: a sale can start.", "it is 0 for longer than a restore takes")
KAFKA_CONNECTED = GaugeOf(
    "flashsale_kafka_connected",
    "1 while the broker answers this worker.",
    "it is 0 for longer than a broker's restart: see `flashsale check` and the brokers' logs",
)
INTAKE_STOPPED = GaugeOf(
    "flashsale_intake_stopped",
    "1 while `deadLetterLimitPerMinute` stops the intake.",
    "it is 1: [intake that has stopped](operations.md#intake-that-has-stopped)",
)
TASKS = GaugeOf(
    "flashsale_tasks",
    "Tasks owned by this worker.",
    "the sum over all workers is less than `partitions`: start workers, or see why they do not become ready",
)
PARTITIONS = GaugeOf("flashsale_partitions", "Tasks that there are: the setting `partitions`.")
RESTORE_SECONDS = GaugeOf(
    "flashsale_restore_seconds",
    "How long the last takeover took.",
    "it grows from start to start: see `claimRetentionHours`",
)

LAG_RECORDS = GaugeOf(
    "flashsale_lag_records",
    "Records that are in the log and not decided yet.",
    "it grows for minutes: too few workers, or one hot SKU",
    ("topic", "partition"),
)
POSITION_OFFSET = GaugeOf(
    "flashsale_position_offset",
    "The next offset to decide.",
    "it stands still while there is lag: [a task that stands still](operations.md#a-task-that-stands-still)",
    ("topic", "partition"),
)
WATERMARK_DELAY_SECONDS = GaugeOf(
    "flashsale_watermark_delay_seconds",
    "How long the oldest deadline has been waiting for messages that were placed before it; 0 when none "
    "waits.",
    "it is above 10 for minutes: [what late means](operations.md#what-late-means)",
)
RECORDS = CounterOf(
    "flashsale_records",
    "Records decided.",
    "it stands still while lag grows: see the log",
    ("task",),
)

DECISION_SECONDS = HistogramOf(
    "flashsale_decision_seconds",
    "From an order's append until the decision about its lines is durable, taken from one claim of each "
    "batch for all of the batch. A claim that waits for Fluent's hold counts when it is read.",
    "p99 is above a second: follow `flashsale_stage_seconds` from stage to stage",
    bounds=PATIENT_S,
)
STAGE_SECONDS = HistogramOf(
    "flashsale_stage_seconds",
    "From a record's append to a stage's topic until what it causes is durable; all records of a batch count "
    "as long as its oldest.",
    "one stage is slower than the others: its lag, or the broker",
    ("stage",),
    bounds=PATIENT_S,
)
HOLD_SECONDS = HistogramOf(
    "flashsale_hold_seconds",
    "From a promotion's start until Fluent has confirmed the hold of a SKU.",
    "p99 is above 30 s: Fluent is slow, or `fluentRequestsPerSecond` is low for so many SKUs",
    bounds=FLUENT_S,
)
RELEASE_SECONDS = HistogramOf(
    "flashsale_release_seconds",
    "From a promotion's deadline, its expiry or its early end, until Fluent has given a SKU's unsold units "
    "back.",
    "p99 is above a minute: see `flashsale_watermark_delay_seconds` first, then Fluent",
    bounds=FLUENT_S,
)

OUTCOMES = CounterOf(
    "flashsale_outcomes",
    "Order outcomes published, by outcome.",
    "the share of REJECTED jumps: `flashsale_lines_total` says why",
    ("outcome",),
)
LINES = CounterOf(
    "flashsale_lines",
    "Lines of orders and SKUs of promotions decided, by the reason of the refusal; `TAKEN` is no refusal.",
    "`FLUENT_UNAVAILABLE` rises: run `flashsale check`",
    ("reason",),
)
UNITS = CounterOf(
    "flashsale_units",
    "Units `reserved` at starts, `taken` by orders, `returned` by cancels and all-or-nothing orders, "
    "`released` at closes and `refused` to orders, a second or two late. Sold are those taken less those "
    "returned.",
    labels=("what",),
)
DEAD_LETTERS = CounterOf(
    "flashsale_dead_letters",
    "Messages that could not be read or decided, by reason.",
    "it rises: [dead letters](operations.md#dead-letters)",
    ("reason",),
    (
        Reason.INVALID.value,
        Reason.CONFLICT.value,
        Reason.NO_PROMOTION.value,
        Reason.UNPROCESSABLE.value,
    ),
)
NOTICES = CounterOf(
    "flashsale_notices",
    "Warnings and errors of the ledger, by the name of their log line.",
    "`promotion_does_not_close`, `promotion_closed`, `hold_overdue` or `late_write_undone` rises: "
    "[the line's remedy](operations.md#what-each-log-line-means)",
    ("event",),
    ("promotion_does_not_close", "promotion_closed", "hold_overdue", "late_write_undone"),
)
DRIFT = CounterOf(
    "flashsale_drift",
    "Times that Fluent held something other than what was asked for, by kind.",
    "it rises: [the kind's remedy](reports.md#drift)",
    ("kind",),
    tuple(kind.value for kind in DriftKind),
)

TRANSACTIONS = CounterOf(
    "flashsale_transactions",
    "The worker's transactions: `committed` or `aborted`.",
    "`aborted` rises steadily: the broker is slow or unsteady",
    ("result",),
    ("committed", "aborted"),
)
COMMIT_SECONDS = HistogramOf(
    "flashsale_commit_seconds",
    "From a transaction's begin until it is durable.",
    "p99 is above a second: brokers or disks are overloaded",
    bounds=FAST_S,
)
STANDSTILLS = CounterOf(
    "flashsale_task_standstills",
    "Times that a task stood still because its own transactions kept being aborted; the log names it.",
    "it rises: [a task that stands still](operations.md#a-task-that-stands-still)",
)
FETCHES_DROPPED = CounterOf(
    "flashsale_fetches_dropped",
    "Fetches that did not continue the log and were read again.",
    "it rises without rebalances: report it",
    ("task",),
)
