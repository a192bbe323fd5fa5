"""The house rules, enforced: import directions, sizes, purity of the ledger, no orphans, documented names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from schemas.reasons import Reason
from schemas.topics import TOPICS
from streams.settings import ReservationConfig
from streams.settings.environment import (
    BridgeEnvironment,
    FluentEnvironment,
    KafkaEnvironment,
    ProcessEnvironment,
)

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "streams", "agents", "fluent", "bridge", "flashsale", "rehearsal")
ALL_CODE = (*PACKAGES, "tests", "benchmarks")
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 70

SUPPORT = ("schemas", "streams.log", "streams.system")
"""What every room but the ledger may import."""

PLUMBING = (*SUPPORT, "streams.settings", "streams.kafka", "streams.reader")

ALLOWED: dict[str, tuple[str, ...]] = {
    "schemas": ("schemas",),
    "streams.settings": ("schemas", "streams.settings"),
    "streams.log": (),
    "streams.metrics": ("schemas", "streams.metrics"),
    "streams.system": (),
    "streams.kafka": ("schemas", "streams.settings", "streams.kafka"),
    "streams.reader": ("schemas", "streams.settings", "streams.kafka"),
    "streams.tracing": ("streams.settings",),
    "streams.ledger": ("schemas", "streams.ledger"),
    "streams.engine": (*SUPPORT, "streams.kafka", "streams.ledger", "streams.engine"),
    "streams.app": (*SUPPORT, "streams.settings", "streams.kafka", "streams.engine"),
    "agents": (*SUPPORT, "streams.tracing", "streams.ledger", "streams.engine", "fluent", "agents"),
    "fluent": (*SUPPORT, "streams.settings", "streams.ledger", "fluent"),
    "bridge": (*PLUMBING, "streams.metrics", "streams.tracing", "bridge"),
    "rehearsal": (*PLUMBING, "rehearsal"),
    "flashsale": PACKAGES,
}
"""What each room may import of ours; the longest matching prefix counts. flashsale, the program, stands at
the top and may import everything below it; nothing may import flashsale."""

BANNED_IN_LEDGER = {
    "asyncio", "datetime", "logging", "os", "pathlib", "random", "secrets", "socket", "structlog",
    "subprocess", "sys", "threading", "time", "uuid", "faust", "aiokafka", "confluent_kafka", "rocksdict",
    "httpx", "requests", "io",
}  # fmt: skip


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def room_of(name: str) -> str | None:
    rooms = [room for room in ALLOWED if within(name, room)]
    return max(rooms, key=len) if rooms else None


@pytest.mark.parametrize("path", list(modules(*PACKAGES)), ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    name = name_of(path)
    room = room_of(name)
    if name == "streams":
        return
    assert room is not None, f"{name} stands in no room of the house"
    ours = {found for found in imports(path) if found.split(".")[0] in PACKAGES}
    allowed = ALLOWED[room]
    wrong = {found for found in ours if not any(within(found, package) for package in allowed)}
    wrong -= {found for found in wrong if any(package.startswith(found + ".") for package in allowed)}
    assert not wrong, f"{name} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", list(modules("tests/audit")), ids=name_of)
def test_the_auditor_shares_no_code_with_what_it_audits(path: Path) -> None:
    """Its own tests may compare it with the program."""
    ours = {found for found in imports(path) if found.split(".")[0] in ALL_CODE}
    if not path.stem.startswith("test_"):
        assert all(within(found, "tests.audit") for found in ours), f"{name_of(path)} imports {sorted(ours)}"


def test_the_table_of_rooms_in_the_docs_says_the_same() -> None:
    told = {}
    for row in (ROOT / "docs" / "architecture.md").read_text().split("| room |")[1].splitlines()[2:]:
        if not row.startswith("|"):
            break
        room, _, allowed = (cell.strip() for cell in row.strip("|").split("|"))
        told[room.strip("`")] = set(re.findall(r"`([^`]+)`", allowed)) or ({*PACKAGES} if allowed else set())
    assert told == {
        room: set(allowed) - {room} if room != "flashsale" else {*PACKAGES}
        for room, allowed in ALLOWED.items()
    }


@pytest.mark.parametrize("path", list(modules("streams/ledger")), ids=name_of)
def test_the_ledger_has_no_clock_no_chance_and_no_io(path: Path) -> None:
    used = {found.split(".")[0] for found in imports(path)} & BANNED_IN_LEDGER
    assert not used, f"{name_of(path)} imports {sorted(used)}"
    calls = {
        node.func.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "eval", "exec", "hash", "id"}


@pytest.mark.parametrize("path", list(modules(*ALL_CODE)), ids=name_of)
def test_modules_and_functions_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_MODULE_LINES, f"{name_of(path)} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{name_of(path)}.{node.name} has {length} lines"


def test_most_functions_are_at_most_ten_lines_long() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in modules(*PACKAGES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    short = sum(1 for length in lengths if length <= 10)
    assert short / len(lengths) > 0.5


def test_every_module_is_imported_by_somebody_or_is_an_entrance() -> None:
    known = {name_of(path) for path in modules(*PACKAGES)}
    used: set[str] = set()
    for path in modules(*ALL_CODE):
        used |= imports(path) - {name_of(path)}
    text = "\n".join(path.read_text() for path in modules(*ALL_CODE)) + (ROOT / "pyproject.toml").read_text()
    orphans = {
        name
        for name in known - used
        if not name.endswith("__main__")
        and not any(within(other, name) for other in known - {name})
        and f'"{name}' not in text
    }
    assert not orphans, f"nobody imports {sorted(orphans)}"


def test_public_functions_and_classes_say_what_they_do() -> None:
    silent = [
        f"{name_of(path)}.{node.name}"
        for path in modules("schemas", "streams", "agents", "fluent", "bridge", "flashsale")
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not silent, silent


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def docs() -> str:
    return "\n".join(path.read_text() for path in PAGES)


def test_every_topic_setting_and_reason_is_documented() -> None:
    text = docs()
    environment = [
        name
        for group in (BridgeEnvironment, FluentEnvironment, KafkaEnvironment, ProcessEnvironment)
        for name in group.variables()
    ]
    keys = [str(field.alias) for field in ReservationConfig.model_fields.values()]
    names = [topic.name for topic in TOPICS] + environment + keys + [reason.value for reason in Reason]
    missing = [name for name in names if f"`{name}`" not in text]
    assert not missing, f"not documented: {missing}"


def test_every_file_that_a_document_links_to_exists() -> None:
    broken = []
    for path in PAGES:
        for target, heading in re.findall(r"\]\((?!\w+:)([^)#]*)(#[^)]*)?\)", path.read_text()):
            file = path.parent / target if target else path
            if not file.exists() or (heading and heading[1:] not in headings(file)):
                broken.append(f"{path.relative_to(ROOT)} → {target}{heading}")
    assert not broken, broken


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    texts = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def test_every_module_that_a_document_names_exists() -> None:
    names = [
        (path, name)
        for path in PAGES
        for name in re.findall(rf"`((?:{'|'.join(ALL_CODE)})/[\w/.-]+)`", path.read_text())
    ]
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, name in names if not (ROOT / name).exists()]
    assert not missing, missing


def test_the_image_gets_every_package() -> None:
    ignored = (ROOT / ".dockerignore").read_text()
    recipe = (ROOT / "Dockerfile").read_text()
    for package in PACKAGES:
        assert f"\n!{package}\n" in ignored and f"\nCOPY {package} {package}\n" in recipe
        assert (ROOT / package / "py.typed").exists()
