"""How many processors this process may use: of the machine's, its affinity and its container's quota. Sets nothing."""

import math
import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def usable(root: Path = ROOT, own: Path = OWN) -> int:
    """Processors that this process may use, at least one.

    root, own: where the kernel shows control groups, and the ones of this process.
    """
    allowed = quota(root, own)
    return max(1, allowing() if allowed is None else min(allowing(), math.ceil(allowed)))


def allowing() -> int:
    """Processors that this process may run on; macOS and Windows have no affinity to ask for."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Processors' time that the control groups of this process allow at once, such as 1.5; None without a limit."""
    found = [limit for group in _groups(root, own) if (limit := _limit_of(group)) is not None]
    return min(found, default=None)


def _groups(root: Path, own: Path) -> set[Path]:
    """The folders of this process's groups and of the groups above: each may have a limit of its own."""
    found = {root, root / "cpu", root / "cpu,cpuacct"}
    for line in (_read(own) or "").splitlines():
        _, kinds, path = [*line.split(":", 2), "", "", ""][:3]
        tops = [root] if not kinds else [root / kinds, root / "cpu"] if "cpu" in kinds.split(",") else []
        below = Path(path.lstrip("/"))
        found |= {top / part for top in tops for part in (below, *below.parents)}
    return found


def _limit_of(group: Path) -> float | None:
    if words := (_read(group / "cpu.max") or "").split():  # version 2: quota or `max`, and period, in microseconds
        return None if words[0] == "max" else int(words[0]) / int(words[1])
    total, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))  # version 1
    if total is None or period is None or int(total) <= 0:
        return None
    return int(total) / int(period)


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return None
