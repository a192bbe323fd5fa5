"""`/docs`: the OpenAPI document as a page for people, in plain HTML: no script, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

Fields = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; padding: 0.6rem; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
th, td { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy: the style below and nothing else."""


def page(document: Fields) -> str:
    """The page. `document` is an OpenAPI document of this bridge."""
    info = document["info"]
    title = escape(info["title"])
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>',
        f"<body><main><h1>{title}</h1><p>{_prose(info['description'])}</p>",
        f"<p>Version {escape(info['version'])}. For programs: ",
        '<a href="openapi.json">openapi.json</a>.</p>',
        "<nav><ul>",
        *(
            f'<li><a href="#{operation["operationId"]}"><code>{method.upper()} {escape(path)}</code></a> '
            f"{escape(operation['summary'])}</li>"
            for method, path, operation in operations
        ),
        "</ul></nav>",
        *(part for operation in operations for part in _operation(document, *operation)),
        "<section><h2>Shapes</h2>",
        *(part for shape in document["components"]["schemas"].items() for part in _shape(*shape)),
        "</section></main></body></html>",
    ]
    return "\n".join(parts)


def _operation(document: Fields, method: str, path: str, operation: Fields) -> Iterator[str]:
    yield f'<section id="{operation["operationId"]}"><h2><code>{method.upper()} {escape(path)}</code></h2>'
    yield f"<p>{_prose(operation['description'])}</p>"
    schemes = document["components"]["securitySchemes"]
    headers = [schemes[name] for needed in operation.get("security", ()) for name in needed]
    rows = [(each["name"], "header", each["description"]) for each in headers]
    rows += [
        (each["name"], each["in"], each.get("description", "")) for each in operation.get("parameters", ())
    ]
    if rows:
        yield from _table(("parameter", "in", "meaning"), rows)
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        yield f"<h3>Body</h3><p>{_type(body['schema'])}</p>"
        examples = [each["value"] for each in body.get("examples", {}).values()]
        for example in examples or filter(None, [body.get("example")]):
            yield f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"
    yield "<h3>Answers</h3>"
    answers = operation["responses"].items()
    yield from _table(
        ("status", "when", "body"),
        [(status, answer["description"], _bodies(answer)) for status, answer in answers],
        marked_up=2,
    )
    yield "</section>"


def _shape(name: str, schema: Fields) -> Iterator[str]:
    yield f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
    if schema.get("description"):
        yield f"<p>{_prose(schema['description'])}</p>"
    required = schema.get("required", ())
    rows = [
        (f"{field}{'' if field in required else ' (optional)'}", each.get("description", ""), _type(each))
        for field, each in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table(("field", "meaning", "type"), rows, marked_up=2)
    else:
        yield f"<p>{_type(schema)}</p>"
    yield "</details>"


def _bodies(answer: Fields) -> str:
    return ", ".join(_type(each.get("schema", {})) for each in answer.get("content", {}).values())


def _type(schema: Fields) -> str:
    """A schema in a few words, its references as links."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    for of in ("anyOf", "oneOf", "allOf"):
        if of in schema:
            return " or ".join(map(_type, schema[of]))
    if "const" in schema or "enum" in schema:
        return ", ".join(
            f"<code>{escape(json.dumps(each))}</code>" for each in schema.get("enum", [schema.get("const")])
        )
    kind = escape(str(schema.get("type", "any JSON")))
    inner = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    return f"{kind} of {_type(inner)}" if kind == "array" and inner else kind


def _table(
    head: tuple[str, ...], rows: Iterable[Sequence[str]], marked_up: int | None = None
) -> Iterator[str]:
    """A table; the cells of the column `marked_up` are HTML already."""
    yield (
        "<table><thead><tr>" + "".join(f"<th scope=col>{cell}</th>" for cell in head) + "</tr></thead><tbody>"
    )
    for row in rows:
        cells = (cell if place == marked_up else _prose(cell) for place, cell in enumerate(row))
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table>"


def _prose(text: str) -> str:
    """A text of ours: escaped, what stands between backticks as code."""
    pieces = escape(text).split("`")
    return "".join(piece if place % 2 == 0 else f"<code>{piece}</code>" for place, piece in enumerate(pieces))
