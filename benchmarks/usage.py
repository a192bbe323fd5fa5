"""What processes take: processor time and memory, their children included."""

from __future__ import annotations

import psutil


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children so far."""
    return sum(times.user + times.system for times in (each.cpu_times() for each in _family(pid)))


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its children in MB."""
    return float(sum(each.memory_info().rss for each in _family(pid))) / 1e6


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
