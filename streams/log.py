"""Structured logs on standard error: JSON for machines, key=value for a terminal.

Standard output belongs to the lines that commands announce; nothing here writes to it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import Processor

REDACTED = "[redacted]"
SECRET_WORDS = (
    "secret",
    "password",
    "passwd",
    "token",
    "authorization",
    "signature",
    "credential",
    "api_key",
)
LONGEST_TEXT = 1_000
"""Characters of a value in a line: two references of full length and a sentence around them."""

WHOLE = ("exception", "exc_info", "stack")
"""Our own traces, of several lines."""

LIBRARIES = (
    "faust",
    "aiokafka",
    "kafka",
    "mode",
    "librdkafka",
    "uvicorn",
    "httpx",
    "httpcore",
    "asyncio",
    "opentelemetry",
)
"""Their warnings are ours, their chatter is not, nor the same warning time and again."""

REPEATED_EVERY_S = 10.0
MOST_REPEATED = 1_000
"""So many different lines are remembered; then all are heard anew."""

EventDict = MutableMapping[str, Any]


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Processor: values under keys that look like secrets are replaced, nested ones included."""
    for key, value in event.items():
        event[key] = _redacted(key, value)
    return event


def _redacted(key: object, value: object) -> object:
    if any(word in str(key).lower() for word in SECRET_WORDS):
        return REDACTED
    if isinstance(value, Mapping):
        return {inner: _redacted(inner, kept) for inner, kept in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(key, kept) for kept in value] if key not in WHOLE else value
    return value


def shorten(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Processor: texts from outside are cut, so that a long reference does not make a line of 100 KB."""
    return {key: value if key in WHOLE else _shortened(value) for key, value in event.items()}


def _shortened(value: object) -> object:
    if isinstance(value, Mapping):
        return {inner: _shortened(kept) for inner, kept in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(kept) for kept in value]
    if not isinstance(value, str) or len(value) <= LONGEST_TEXT:
        return value
    return f"{value[:LONGEST_TEXT]}… ({len(value):,} characters)"


def without_controls(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Processor for a terminal: nothing that a record or an answer contains is taken for a command there."""
    return {key: _inert(value, lines=key in WHOLE) for key, value in event.items()}


def _inert(value: object, *, lines: bool) -> object:
    if isinstance(value, int | float | None):
        return value
    return printable_lines(str(value)) if lines else printable(str(value))


def shorten_traces(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Processor: what an error says may come from outside as well, so a trace's lines are cut like texts."""
    for key in WHOLE:
        if isinstance(event.get(key), str):
            event[key] = "\n".join(str(_shortened(line)) for line in event[key].split("\n"))
    return event


def printable(text: str) -> str:
    """Text on one line that no terminal takes for a command: what is not printable is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """The same for text whose line ends are its own."""
    return "\n".join(map(printable, text.split("\n")))


class Repeats(logging.Filter):
    """Lets the same line of a library pass once in `every_s` seconds.

    While a broker is away, aiokafka alone writes 60 lines a second. Lines are the same when their logger,
    level and template are (`Unable connect to node with id %s: %s`). The next that passes
    says how many were kept back (`kept_back`). Our own lines always pass.
    """

    def __init__(
        self, every_s: float = REPEATED_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._heard: dict[tuple[str, int, str], tuple[float, int]] = {}
        self._hushed: int | None = None

    def hush(self) -> None:
        """Let no line of a library pass until `hear`."""
        self._hushed = 0

    def hear(self) -> int:
        """Let them pass again; returns how many were kept back."""
        kept_back, self._hushed = self._hushed or 0, None
        return kept_back

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes."""
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        if self._hushed is not None:
            self._hushed += 1
            return False
        line, now = (record.name, record.levelno, str(record.msg)), self._clock()
        heard_at, kept_back = self._heard.get(line, (now - self._every_s, 0))
        if now - heard_at < self._every_s:
            self._heard[line] = heard_at, kept_back + 1
            return False
        if len(self._heard) >= MOST_REPEATED:
            self._heard.clear()
        self._heard[line] = now, 0
        if kept_back:
            record.kept_back = kept_back
        return True


_repeats = Repeats()
"""Of this process's one handler."""


def hush_libraries() -> None:
    """Show nothing of what libraries say until `hear_libraries`: it is known what they would say."""
    _repeats.hush()


def hear_libraries() -> int:
    """Show it again; returns how many lines were kept back."""
    return _repeats.hear()


def configure(level: str = "INFO", *, json: bool | None = None) -> None:
    """Set up structlog and the standard library's logging. `json` None: unless standard error is a terminal.

    Raises ValueError for a level that logging does not know.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
        shorten,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_repeats)
    handler.setFormatter(_formatter(shared, not sys.stderr.isatty() if json is None else json))
    _take_over(handler, level)


def _formatter(shared: list[Processor], json: bool) -> logging.Formatter:
    last: list[Processor] = (
        [structlog.processors.JSONRenderer(default=str)]
        if json
        else [without_controls, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            shorten_traces,
            *last,
        ],
    )


def _take_over(handler: logging.Handler, level: str) -> None:
    """Everything goes through one handler at the root, the libraries' own handlers are removed."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def get_logger(name: str) -> BoundLogger:
    """A logger: `log.warning("claim_refused", sku=…, reason=…)`; the event first, its facts by name."""
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger
