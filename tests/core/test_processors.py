"""A process uses the processors that it may use, not those that the machine has."""

import os
from pathlib import Path

import pytest

from pipeline.core.processors import allowing, quota, usable
from pipeline.params.model import Compute

CASES = {
    "container, version 2": ({"cpu.max": "200000 100000"}, "0::/", 2.0),
    "no limit": ({"cpu.max": "max 100000"}, "0::/", None),
    "root without a file": ({}, "0::/", None),
    "a service": ({"system.slice/night.service/cpu.max": "150000 100000"}, "0::/system.slice/night.service", 1.5),
    "the slice above it": (
        {"a/cpu.max": "50000 100000", "a/b/cpu.max": "300000 100000"}, "0::/a/b", 0.5,
    ),
    "container, version 1": ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu:/", 3.0),
    "version 1, both": (
        {"cpu,cpuacct/d/cpu.cfs_quota_us": "100000", "cpu,cpuacct/d/cpu.cfs_period_us": "100000"},
        "9:memory:/d\n3:cpu,cpuacct:/d", 1.0,
    ),
    "version 1, none": ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu:/", None),
    "no control groups": ({}, "", None),
}  # fmt: skip


@pytest.mark.parametrize(("files", "own", "expected"), CASES.values(), ids=CASES)
def test_the_quota_is_the_smallest_of_the_groups(
    tmp_path: Path, files: dict[str, str], own: str, expected: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(f"{text}\n")
    (tmp_path / "own").write_text(own)
    assert quota(tmp_path / "cgroup", tmp_path / "own") == expected
    count = usable(tmp_path / "cgroup", tmp_path / "own")
    assert count == (allowing() if expected is None else min(allowing(), max(1, -int(-expected // 1))))


def test_files_that_are_missing_limit_nothing(tmp_path: Path) -> None:
    assert usable(tmp_path / "none", tmp_path / "none") == allowing()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_threads_are_as_many_as_the_processors_that_are_allowed() -> None:
    before = os.sched_getaffinity(0)
    compute = Compute(device="cpu", precision="float32", workers=0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert compute.threads == 1
    finally:
        os.sched_setaffinity(0, before)
    assert compute.threads <= len(before)
    assert compute.model_copy(update={"workers": 7}).threads == 7
