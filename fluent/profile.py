"""A profile: which GraphQL documents talk to an account, and how their variables and answers are ours.

A folder with `profile.json` and the `.graphql` files that it names. docs/fluent.md describes how to write
one; nothing here knows a field of Fluent's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from fluent.client import DocumentError, Operation

BUILT_IN = Path(__file__).with_name("operations")
MAPPING_FILE = "profile.json"

FIND_PARTS = "findParts"
POSITIONS = "positions"
AVAILABLE = "available"
HELD_ROWS = "heldRows"
CREATE_PART = "createPart"
CHECK_PART = "checkPart"
RESIZE_PART = "resizePart"
REPLAN_PART = "replanPart"
CONFIRM_PART = "confirmPart"
END_PART = "endPart"
CREATE_SALE = "createSale"
UPDATE_SALE = "updateSale"
ACTIVATE_SALE = "activateSale"
POSITION_HOLDS = "positionHolds"
HOLDS = "holds"
CATALOGUE = "catalogue"
WHO_AM_I = "whoAmI"

REQUIRED = (FIND_PARTS, POSITIONS, CREATE_PART, RESIZE_PART, REPLAN_PART, CONFIRM_PART, END_PART)
SALES = (CREATE_SALE, UPDATE_SALE, ACTIVATE_SALE)
OPTIONAL = (AVAILABLE, HELD_ROWS, CHECK_PART, *SALES, POSITION_HOLDS, HOLDS, CATALOGUE, WHO_AM_I)

_ACCOUNT = ("catalogue", "retailerId")
_PAGE = (*_ACCOUNT, "sku", "first", "after")
_PART = (*_ACCOUNT, "sku", "ref")
VALUES: Mapping[str, tuple[str, ...]] = {
    FIND_PARTS: (*_ACCOUNT, "sku", "refs", "first"),
    POSITIONS: _PAGE,
    AVAILABLE: (*_ACCOUNT, "sku", "position"),
    HELD_ROWS: _PAGE,
    CREATE_PART: (*_PART, "position", "quantity", "attributes"),
    CHECK_PART: (*_PART, "position"),
    RESIZE_PART: (*_PART, "quantity"),
    REPLAN_PART: (*_PART, "quantity", "attributes"),
    CONFIRM_PART: (*_PART, "attributes"),
    END_PART: _PART,
    CREATE_SALE: (*_PART, "position", "quantity", "attributes"),
    UPDATE_SALE: (*_PART, "quantity"),
    ACTIVATE_SALE: _PART,
    POSITION_HOLDS: (*_PAGE, "position"),
    HOLDS: (*_ACCOUNT, "refs", "skus", "first", "after"),
    CATALOGUE: ("catalogue",),
    WHO_AM_I: (),
}
"""Our values that an operation's variables may name, each as `$name`."""


class ProfileError(ValueError):
    """A profile cannot be used: one sentence that names the file and what is wrong in it."""


class _OperationSpec(msgspec.Struct, forbid_unknown_fields=True):
    document: str
    variables: dict[str, Any]
    result: str
    batch: int = 1


class _ProfileSpec(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    description: str
    operations: dict[str, _OperationSpec]
    live: list[str]
    """Statuses in which a hold's part counts."""
    ended: list[str]
    """Statuses in which it is over for good."""
    active: str = ""
    """The status that a SALE booking gets; only for profiles that book sales."""
    hold_type: str = ""
    """The type of a hold's parts, where quantities have types."""
    sale_type: str = ""
    sign: int = -1
    """Stored quantity = sign * units."""
    page_size: int = 50


Binder = Callable[[Mapping[str, Any]], Any]


class MappedOperation:
    """An operation with the mapping of its variables and of its answer."""

    def __init__(self, operation: Operation, variables: dict[str, Any], result: ParsedResult) -> None:
        self.operation = operation
        self._bind: Binder = _binder(variables) or dict
        self._result = result

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The variables of a call: each "$name" of the mapping replaced by the value of that name."""
        bound: dict[str, Any] = self._bind(values)
        return bound

    def read(self, data: dict[str, Any]) -> Any:
        """Our view of a call's data."""
        return self._result.search(data)


def _binder(template: Any) -> Binder | None:
    """What makes a value of a template; None where the template is the value, whatever the values are."""
    if isinstance(template, str) and template.startswith("$"):
        return itemgetter(template[1:])
    if isinstance(template, list):
        parts = [_binder(inner) or partial(_constant, inner) for inner in template]
        return lambda values: [part(values) for part in parts]
    if not isinstance(template, dict):
        return None
    fixed = {name: inner for name, inner in template.items() if _binder(inner) is None}
    bound = [(name, binder) for name, inner in template.items() if (binder := _binder(inner)) is not None]
    return lambda values: fixed | {name: binder(values) for name, binder in bound}


def _named(template: Any) -> set[str]:
    """The values that a template stands for."""
    if isinstance(template, str):
        return {template[1:]} if template.startswith("$") else set()
    inner = template.values() if isinstance(template, dict) else template
    return set().union(*map(_named, inner)) if isinstance(template, list | dict) else set()


def _constant(value: Any, _: Mapping[str, Any]) -> Any:
    return value


class Profile:
    """`operations` by our names (the constants of this module)."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder. Raises ProfileError."""
        self.name = folder.name
        spec = _read(folder / MAPPING_FILE)
        self.live = frozenset(spec.live)
        self.ended = frozenset(spec.ended)
        self.active = spec.active
        self.hold_type = spec.hold_type
        self.sale_type = spec.sale_type
        self.sign = spec.sign
        self.page_size = spec.page_size
        self.operations = {
            name: _operation(folder, name, operation) for name, operation in spec.operations.items()
        }
        missing = [name for name in REQUIRED if name not in self.operations]
        if missing:
            raise ProfileError(f"{folder / MAPPING_FILE} lacks the operations {', '.join(missing)}")
        if AVAILABLE not in self.operations and HELD_ROWS not in self.operations:
            raise ProfileError(f"{folder / MAPPING_FILE} needs {AVAILABLE} or {HELD_ROWS}")

    @property
    def books_sales(self) -> bool:
        """Whether sold units can be booked as SALE (settlement "sale")."""
        return all(name in self.operations for name in SALES)

    def has(self, name: str) -> bool:
        """Whether the profile has this optional operation."""
        return name in self.operations


def load_profile(name: str, folder: Path | None = None) -> Profile:
    """The profile in `folder`, or else the built-in one of this name. Raises ProfileError."""
    chosen = folder or BUILT_IN / name
    if not (chosen / MAPPING_FILE).is_file():
        known = ", ".join(sorted(path.name for path in BUILT_IN.iterdir() if path.is_dir()))
        raise ProfileError(f"There is no {chosen / MAPPING_FILE}; built-in profiles: {known}")
    return Profile(chosen)


def _read(file: Path) -> _ProfileSpec:
    try:
        spec = msgspec.json.decode(file.read_bytes(), type=_ProfileSpec)
    except (OSError, ValueError) as error:
        raise ProfileError(f"{file}: {error}") from None
    unknown = [name for name in spec.operations if name not in REQUIRED + OPTIONAL]
    if unknown:
        raise ProfileError(f"{file}: unknown operations {', '.join(unknown)}")
    if not spec.live or not spec.ended or set(spec.live) & set(spec.ended):
        raise ProfileError(f"{file}: live and ended need statuses, and none may be in both")
    if spec.sign not in (-1, 1) or not 1 <= spec.page_size <= 5000:
        raise ProfileError(f"{file}: sign must be -1 or 1, pageSize from 1 to 5000")
    return spec


def _operation(folder: Path, name: str, spec: _OperationSpec) -> MappedOperation:
    file = folder / spec.document
    try:
        operation = Operation(str(file), file.read_text(encoding="utf-8"), batch=max(1, spec.batch))
        result = jmespath.compile(spec.result)
    except OSError as error:
        raise ProfileError(f"{name}: {file} cannot be read: {error.strerror}") from None
    except (DocumentError, JMESPathError) as error:
        raise ProfileError(f"{name}: {error}") from None
    foreign = set(spec.variables) ^ set(operation.variables)
    if foreign:
        raise ProfileError(
            f"{name}: variables {', '.join(sorted(foreign))} are not in both {file} and mapping"
        )
    unknown = _named(spec.variables).difference(VALUES[name])
    if unknown:
        known = ", ".join(f"${value}" for value in VALUES[name]) or "none"
        raise ProfileError(f"{name}: ${', $'.join(sorted(unknown))} is no value of ours; there are {known}")
    return MappedOperation(operation, spec.variables, result)
