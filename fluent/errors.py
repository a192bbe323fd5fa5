"""What can go wrong with Fluent, told apart by what it means for a write: not applied, unclear, refused."""

from __future__ import annotations


class FluentError(Exception):
    """Anything that keeps Fluent from answering a call with data. `code` is Fluent's own, or empty."""

    code: str

    def __init__(self, message: str, *, code: str = "", wait_s: float = 0.0) -> None:
        super().__init__(f"{message} ({code})" if code and code not in message else message)
        self.code = code
        self.exhausted = False
        """Whether it was tried again as often as is sensible already."""
        self.wait_s = wait_s
        """How long Fluent asks us to wait before another try, in seconds; 0: it does not say."""


class Unanswered(FluentError):
    """No answer that can be relied on: ask again later."""


class NotApplied(Unanswered):
    """Surely nothing was changed: the call may be sent again as it is."""


class ConnectFailed(NotApplied):
    """No connection to Fluent came about."""


class RateLimited(NotApplied):
    """Fluent has had enough requests for now (HTTP 429 or C0011)."""


class LoginFailed(NotApplied):
    """Fluent gives us no token, or does not take it."""


class LoginRefused(LoginFailed):
    """The credentials are wrong: nothing gets better by asking again soon."""


class LeaseTooShort(NotApplied):
    """Our lease would not outlive the call: another worker may own this SKU by then, so nothing is sent."""


class BudgetSpent(NotApplied):
    """The time that the request may take is over before the call could be sent."""


class Unclear(Unanswered):
    """A write may or may not have been applied: read before writing anything newer."""


class TimedOut(Unclear):
    """No complete answer within the call's time-out."""


class ConnectionLost(Unclear):
    """The connection broke after the request had been sent."""


class ServerFailed(Unclear):
    """HTTP 5xx, or one of Fluent's codes for a failure of its own."""


class UnreadableAnswer(Unclear):
    """The answer is no GraphQL answer, or larger than we take."""


class NotUnderstood(Unclear):
    """An error whose code we do not know. All our writes are idempotent, so asking again is safe."""


class NotSettled(Unclear):
    """What was read does not (yet) show what was written."""


class BrokenPaging(Unanswered):
    """A cursor repeats or is missing: the pages do not cover everything, so nothing may be concluded."""


class Refused(FluentError):
    """Fluent understood and will not do it, however often it is asked."""


class Duplicate(Refused):
    """The ref is taken (C0121, C0123): what we wanted to create exists."""


class NotFound(Refused):
    """C0120: there is nothing under this ref."""


class TooComplex(Refused):
    """C0001: the query asks for too much at once."""


class NotPermitted(Refused):
    """C0020 or HTTP 403: this login may not do that."""
