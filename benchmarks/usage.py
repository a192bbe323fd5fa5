"""What processes take: processor time, memory, files, disk."""

from __future__ import annotations

from pathlib import Path

import psutil


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children so far."""
    return sum(times.user + times.system for times in (each.cpu_times() for each in _family(pid)))


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its children in MB."""
    return float(sum(each.memory_info().rss for each in _family(pid))) / 1e6


def files(pid: int) -> int:
    """Open files of a process and its children."""
    return sum(each.num_fds() for each in _family(pid))


def disk_mb(folder: Path) -> float:
    """Size of the files in a folder in MB. Some may go while they are counted."""
    return sum(_bytes(file) for file in folder.rglob("*")) / 1e6


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
