"""The order in which a person judges: what teaches most, what is alike once, and a fair draw that nothing disturbs."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.review.draw import lot
from pipeline.review.order import ALIKE, doubt, ordered
from pipeline.review.waiting import Candidate, Waiting

SEED = "2026-11-26T02:00:00+00:00 c0ffee"


def sha_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def image(name: str, confidence: float | None = 0.9, status: str = "ok", why: str = "") -> Waiting:
    return Waiting(sha_of(name), f"{name}.png", f"/night/{name}.png", "night", confidence=confidence, status=status,
                   why=why)  # fmt: skip


def at(*degrees: float) -> Mapping[str, np.ndarray]:
    """Embeddings of the images a, b, c, ...: so many degrees apart."""
    turned = np.radians(np.array(degrees, np.float32))
    return {
        sha_of(name): np.array([np.cos(turn), np.sin(turn)]) for name, turn in zip("abcdefgh", turned, strict=False)
    }


def names(found: Sequence[Waiting]) -> str:
    return " ".join(one.path.removesuffix(".png") for one in found)


def test_the_most_doubtful_comes_first_and_then_what_is_least_like_all_before() -> None:
    waiting = [image("a", 0.5), image("b", 0.55), image("c", 0.7), image("d", 0.6)]
    assert names(ordered(waiting, None, random_share=0, seed=SEED)) == "a b d c"
    # From a, c is the farthest; then d, 40 degrees from both, and not b, 20 from a.
    assert names(ordered(waiting, at(0, 20, 80, 40), random_share=0, seed=SEED)) == "a c d b"
    assert {one.chosen for one in ordered(waiting, None, random_share=0, seed=SEED)} == {"doubt"}


def test_near_duplicates_and_copies_stand_once_and_the_others_at_the_end_with_the_reason() -> None:
    near = np.degrees(np.arccos(1 - ALIKE)) * 0.9
    waiting = [image("a", 0.9), image("b", 0.5, why="dark"), image("c", 0.7), image("c", 0.7)]
    found = ordered(waiting, at(0, near, 90), random_share=0, seed=SEED)
    assert [(one.path, one.why) for one in found] == [
        ("b.png", "dark"), ("c.png", ""), ("c.png", "the same file as c.png"), ("a.png", "like b.png"),
    ]  # fmt: skip


def test_the_confidence_in_an_outlier_means_little() -> None:
    unsure = [image(name, share, "unsure") for name, share in zip("abc", (0.5, 0.6, 0.7), strict=True)]
    waiting = [image("ok", 0.65), *unsure, image("far", 0.999, "unsure", "outlier")]
    assert names(ordered(waiting, None, random_share=0, seed=SEED)) == "a b far ok c"


@pytest.mark.parametrize(
    ("candidates", "confidence", "nats"),
    [
        ((), 0.5, np.log(2)),
        ((Candidate("a", 0.5), Candidate("b", 0.25)), 0.5, 1.5 * np.log(2)),  # the other quarter is one label more
        ((Candidate("a"), Candidate("b")), 1.0, 0.0),
        ((), None, np.inf),
    ],
)
def test_doubt_is_the_entropy_of_what_is_known_of_the_answer(
    candidates: tuple[Candidate, ...], confidence: float | None, nats: float
) -> None:
    one = Waiting("a" * 64, "a.png", "", "night", candidates=candidates, confidence=confidence)
    assert doubt(one) == pytest.approx(nats)


def test_the_draw_of_a_night_is_pinned() -> None:
    """Changing it would make half-judged nights draw again."""
    drawn = ordered([image(name) for name in "abcdefgh"], None, random_share=1, seed=SEED)
    assert names(drawn) == "b a g f c h e d"
    assert names(ordered([image(name) for name in "hgfedcba"], None, random_share=1, seed=SEED)) == names(drawn)
    assert names(ordered([image(name) for name in "abcdefgh"], None, random_share=1, seed="other")) != names(drawn)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["ok", "ok", "unsure", ""])), max_size=40),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]),
    st.booleans(),
)
def test_nothing_is_lost_and_the_draw_is_fair_wherever_one_stops(
    rows: list[tuple[int, str]], share: float, with_embeddings: bool
) -> None:
    waiting = [image(str(number), 0.5 + number / 70, status) for number, status in rows]
    rng = np.random.default_rng(1)
    vectors = {one.sha256: rng.standard_normal(8).astype(np.float32) for one in waiting}
    embeddings = {sha: vector / np.linalg.norm(vector) for sha, vector in vectors.items()} if with_embeddings else None
    found = ordered(waiting, embeddings, random_share=share, seed=SEED)
    assert sorted(one.path for one in found) == sorted(one.path for one in waiting)

    sure = {one.sha256 for one in waiting if one.status == "ok"}
    draw = sorted(sure, key=lambda sha: lot(SEED, sha))
    drawn = 0
    for stop, one in enumerate(found, 1):
        drawn += one.chosen == "random"
        assert one.chosen != "random" or one.status == "ok"
        if one.chosen == "random":  # all before it in the draw are judged by then
            judged = {other.sha256 for other in found[:stop] if other.status == "ok"}
            assert set(draw[: draw.index(one.sha256) + 1]) <= judged
        assert drawn <= stop * share + 1e-6
        left = sure - {other.sha256 for other in found[:stop]}
        assert drawn >= int(stop * share + 1e-9) or not left
