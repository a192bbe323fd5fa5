"""`make bench-growth` or `python -m benchmarks.growth [NAME…] [--most N] [--write FOLDER]`.

No broker: real stages and real RocksDB tables, a process for each point. Exit status 1 when a figure grows
and nothing explains it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.growth.curve import Curve, Drawn, Figures
from benchmarks.growth.curves import CURVES
from benchmarks.page import NoPlaceError
from benchmarks.svg import Chart, charts, short

LONGEST_S = 400
"""A point that takes longer is given up, and the page says so."""

EFFORT = 20_000
"""Orders that a point is measured with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named curves, all without names; returns the exit status."""
    given = _arguments(arguments)
    if given.point:
        name, size = given.point
        print(json.dumps(_measure(_curve(name), int(size), given.effort)))
        return 0
    drawn = [_draw(_curve(name), given.most, given.effort) for name in given.names or list(_BY_NAME)]
    print(text := markdown(drawn))
    if given.write:
        try:
            page.write(given.write, "growth", text, plots(drawn))
        except NoPlaceError as error:
            print(error, file=sys.stderr)
            return 2
    return 1 if any(each.unexplained() for each in drawn) else 0


_BY_NAME = {curve.name: curve for curve in CURVES}


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="Costs against sizes.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_BY_NAME)}; default: all")
    parser.add_argument("--most", type=int, default=10**9, help="leave larger sizes out")
    parser.add_argument("--effort", type=int, default=EFFORT, help="orders to measure a point with")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="plots and tables into this folder's page"
    )
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(_BY_NAME):
        parser.error(f"no curve is called {', '.join(sorted(unknown))}; there are: {', '.join(_BY_NAME)}")
    return given


def _curve(name: str) -> Curve:
    return _BY_NAME[name]


def _measure(curve: Curve, size: int, effort: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="growth-") as directory:
        return curve.measure(Path(directory), size, effort)


def _draw(curve: Curve, most: int, effort: int) -> Drawn:
    """Each point in a process of its own: memory that one has taken is not the next one's."""
    points: dict[int, Figures] = {}
    unfinished: list[int] = []
    for size in [size for size in curve.sizes if size <= most] or [min(curve.sizes)]:
        command = [sys.executable, "-m", "benchmarks.growth", "--effort", str(effort)]
        command += ["--point", curve.name, str(size)]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            unfinished.append(size)
            print(f"  {short(size)} {curve.of}: not finished in {LONGEST_S} s", file=sys.stderr, flush=True)
            continue
        points[size] = json.loads(done.stdout)
        told = ", ".join(f"{f.title} {f.text(points[size][f.key])} {f.unit}" for f in curve.figures)
        print(f"  {short(size)} {curve.of}: {told}", file=sys.stderr, flush=True)
    return Drawn(curve, points, unfinished)


def markdown(drawn: Sequence[Drawn]) -> str:
    """A table and a plot for each curve."""
    parts = [page.told()]
    for each in drawn:
        curve = each.curve
        head = [curve.of, *map(short, each.points), "grows"]
        rows = [
            [f"{f.title}, {f.unit}".rstrip(", "), *map(f.text, each.values(f)), each.verdict(f)]
            for f in curve.figures
        ]
        parts += [
            f"**{curve.of}.** {curve.told}{_unfinished(each)}",
            page.table(head, rows),
            f"![{curve.of}](growth-{curve.name}.svg)",
        ]
    return "\n\n".join(parts)


def _unfinished(drawn: Drawn) -> str:
    sizes = ", ".join(map(short, drawn.unfinished))
    return f" Not finished within {LONGEST_S} s: {sizes}." if sizes else ""


def plots(drawn: Sequence[Drawn]) -> dict[str, str]:
    """An SVG for each curve, by file name."""
    return {
        f"growth-{each.curve.name}.svg": charts(
            [
                Chart(f"{f.title}, {f.unit}".rstrip(", "), each.curve.of, list(each.points), each.values(f))
                for f in each.curve.figures
            ]
        )
        for each in drawn
    }


if __name__ == "__main__":
    sys.exit(main())
