"""Near pairs are all found and no others; clusters join what is near, directly or through others."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.data.duplicates import BLOCK, cluster, components, joined, near_pairs

hash_bytes = st.lists(st.binary(min_size=4, max_size=4), max_size=40)


def apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(first ^ second).sum())


@given(values=hash_bytes, bits=st.integers(0, 16))
def test_near_pairs_are_those_that_a_plain_comparison_finds(values: list[bytes], bits: int) -> None:
    hashes = np.frombuffer(b"".join(values), np.uint8).reshape(-1, 4)
    expected = [
        (one, two)
        for one in range(len(hashes))
        for two in range(one + 1, len(hashes))
        if apart(hashes[one], hashes[two]) <= bits
    ]
    assert near_pairs(hashes, bits).tolist() == [list(pair) for pair in expected]


def test_pairs_are_found_across_blocks() -> None:
    hashes = np.random.default_rng(0).integers(0, 256, (BLOCK + 50, 32), np.uint8)
    hashes[BLOCK + 7] = hashes[3]
    hashes[BLOCK + 7, 0] ^= 1
    assert near_pairs(hashes, 24).tolist() == [[3, BLOCK + 7]]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_components_join_what_is_linked(links: list[tuple[int, int]]) -> None:
    numbers = components(10, np.array(links, np.int64).reshape(-1, 2))
    reach = np.eye(10, dtype=bool)
    for one, two in links:
        reach[one, two] = reach[two, one] = True
    for _ in range(10):
        reach = reach @ reach
    assert np.array_equal(numbers[:, None] == numbers[None, :], reach)


def test_rows_without_a_key_stay_alone() -> None:
    keys = pd.Series(["b", None, "a", "b", None, "b"], dtype="str")
    assert components(6, joined(keys)).tolist() == [0, 1, 2, 0, 3, 0]


def table(*rows: tuple[str, int | None, float]) -> pd.DataFrame:
    """Content, hash as a number (None: unreadable), contrast."""
    return pd.DataFrame(
        {
            "sha256": pd.array([content for content, _, _ in rows], "str"),
            "phash": pd.array([None if value is None else f"{value:064x}" for _, value, _ in rows], "str"),
            "contrast": pd.array([contrast for _, _, contrast in rows], "Float64"),
        }
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("a", 0, 50), ("b", 0b1, 50), ("c", 2**200 - 1, 50)], ["a", "a", "c"], id="near and far"),
        pytest.param([("b", 0, 50), ("c", 0xFFF, 50), ("a", 0xFFFFFF, 50)], ["a", "a", "a"], id="a chain"),
        pytest.param([("a", 0, 1), ("b", 0, 1), ("a", 0, 1)], ["a", "b", "a"], id="blank pictures, one copied"),
        pytest.param([("b", 5, 50), ("a", 5, 50)], ["a", "a"], id="the same hash"),
        pytest.param([("a", None, 0), ("b", None, 0)], ["a", "b"], id="unreadable"),
        pytest.param([("a", 7, 50)], ["a"], id="one image"),
    ],
)
def test_a_cluster_is_named_by_its_smallest_content(
    rows: list[tuple[str, int | None, float]], expected: list[str]
) -> None:
    assert list(cluster(table(*rows), bits=12, blank_below=2)) == expected


def test_a_file_that_could_not_be_opened_is_in_no_cluster() -> None:
    rows = table(("a", 1, 50), ("b", None, 0))
    rows["sha256"] = pd.array(["a", None], "str")
    assert list(cluster(rows, bits=12, blank_below=2).fillna("none")) == ["a", "none"]
