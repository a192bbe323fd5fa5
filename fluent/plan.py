"""Which position gives how many units: pure arithmetic, the same answer for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def spread(free: Mapping[str, int], units: int) -> list[tuple[str, int]] | None:
    """Units from each position, in order of the positions' refs; None where there are not enough.

    `free` are the sums at all positions of the SKU. One below zero is a debt: somebody was promised more
    than is there, so that many units elsewhere are not free either.
    """
    if units > total_free(free):
        return None
    parts: list[tuple[str, int]] = []
    for position in sorted(free):
        take = min(units, max(0, free[position]))
        if take:
            parts.append((position, take))
            units -= take
    return parts


def total_free(free: Mapping[str, int]) -> int:
    """Units of the SKU that may be taken."""
    return max(0, sum(free.values()))


def sold_by_part(planned: Sequence[int], units: int) -> list[int]:
    """How `units` sold spread over the parts: the first part is sold first."""
    sold = []
    for size in planned:
        take = min(size, units)
        sold.append(take)
        units -= take
    return sold


def left_by_part(planned: Sequence[int], remaining: int) -> list[int]:
    """What each part still holds when `remaining` units are held in all; a surplus goes to the first part."""
    total = sum(planned)
    left = [
        size - sold
        for size, sold in zip(planned, sold_by_part(planned, max(0, total - remaining)), strict=True)
    ]
    if left and remaining > total:
        left[0] += remaining - total
    return left


def shed(units: Sequence[int], excess: int) -> list[int]:
    """The sizes after taking `excess` away, from the last part on."""
    kept = list(units)
    for index in reversed(range(len(kept))):
        take = min(kept[index], excess)
        kept[index] -= take
        excess -= take
    return kept
