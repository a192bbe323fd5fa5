"""The table of all peers, ratios first, and the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import page
from benchmarks.peers.peer import OURS, Peer
from benchmarks.peers.run import Measured
from benchmarks.peers.workload import WORKLOADS
from benchmarks.svg import Bar, bars

Found = Mapping[tuple[str, str], Measured]
"""By (peer, workload)."""


def markdown(peers: Sequence[Peer], found: Found, skipped: Sequence[str], orders: int) -> str:
    """Rates, processor time, guarantees, and what was not measured."""
    shown = [workload for workload in WORKLOADS if any((peer.name, workload.name) in found for peer in peers)]
    names = [workload.name for workload in shown]
    told = "; ".join(f"*{workload.name}*: {workload.told}" for workload in shown)
    rates = page.table(
        ["", *(f"{name}, of ours" for name in names), *(f"{name}, orders/s" for name in names)],
        [
            [
                peer.title,
                *(_ratio(found, peer, name) for name in names),
                *(_rate(found, peer, name) for name in names),
            ]
            for peer in peers
        ],
    )
    used = page.table(
        ["µs CPU an order, its own + servers'", *names, "memory, MB"],
        [
            [peer.title, *(_cpu(found, peer, name) for name in names), _memory(found, peer, names)]
            for peer in peers
        ],
    )
    guarantees = page.table(["what it guarantees", ""], [[peer.title, peer.guarantees] for peer in peers])
    plots = "\n".join(f"![{name}](peers-{name}.svg)" for name in names)
    faults = [
        f"{peer.title}, {name}: {'; '.join(found[peer.name, name].faults)}."
        for peer in peers
        for name in names
        if (peer.name, name) in found and found[peer.name, name].faults
    ]
    kinds = f"{orders:,} orders of each kind, one in a thousand sent twice; {told}."
    halves = (
        "In brackets: from half of the outcomes to the last; whoever takes orders in first and decides them "
        "in a second step (ours, repartitions) has taken most of them in by then."
    )
    parts = [f"{page.told()} {kinds} {halves}", rates, plots]
    parts += [used, guarantees.replace("---:", "---")]
    parts += (
        [_list("What the audit found", faults)]
        if faults
        else ["The audit found nothing wrong with any outcome."]
    )
    parts += [_list("Not measured", skipped)] if skipped else []
    return "\n\n".join(parts)


def plots(peers: Sequence[Peer], found: Found) -> dict[str, str]:
    """Bars for each workload, by file name."""
    drawn = {}
    for workload in WORKLOADS:
        rows = [
            (peer, found[peer.name, workload.name]) for peer in peers if (peer.name, workload.name) in found
        ]
        shown = [
            Bar(
                peer.title,
                each.rate,
                f"{each.rate:,.0f}/s, {_ratio(found, peer, workload.name)}",
                peer.command is None,
            )
            for peer, each in rows
        ]
        if shown:
            drawn[f"peers-{workload.name}.svg"] = bars(f"{workload.name}: {workload.told}", shown)
    return drawn


def _ratio(found: Found, peer: Peer, workload: str) -> str:
    measured, ours = found.get((peer.name, workload)), found.get((OURS, workload))
    if measured is None or ours is None:
        return "-"
    return f"{measured.rate / ours.rate:.2f} ({measured.later_rate / ours.later_rate:.2f})"


def _rate(found: Found, peer: Peer, workload: str) -> str:
    measured = found.get((peer.name, workload))
    if measured is None:
        return "-"
    return f"{measured.rate:,.0f} ({measured.later_rate:,.0f}){' wrong' if measured.faults else ''}"


def _cpu(found: Found, peer: Peer, workload: str) -> str:
    measured = found.get((peer.name, workload))
    return "-" if measured is None else f"{measured.client_us:.0f} + {measured.server_us:.0f}"


def _memory(found: Found, peer: Peer, workloads: Sequence[str]) -> str:
    sizes = [found[peer.name, name].rss_mb for name in workloads if (peer.name, name) in found]
    return f"{max(sizes):,.0f}" if sizes else "-"


def _list(title: str, items: Sequence[str]) -> str:
    return "\n".join([f"{title}:", "", *(f"- {item}" for item in items)])
