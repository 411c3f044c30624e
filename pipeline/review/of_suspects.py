"""Images of data/raw whose labels may be wrong, as a review: what three looks at the data have found. Judges nothing.

The audit's label issues, near-duplicates with two labels, and confident mistakes of the model on the test images. An
image that several of them name comes once, where the first of them has it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.cells import csv_path
from pipeline.core.paths import LABEL_ISSUES, MANIFEST, MODEL, RAW, TEST_PREDICTIONS
from pipeline.core.text import counted
from pipeline.data.judgements import Source, folder_as_kept
from pipeline.data.suspects import read_suspects
from pipeline.params.file import load_params
from pipeline.review.of_night import ReviewError
from pipeline.review.opened import Beside, Opened
from pipeline.review.proposer import contract_in
from pipeline.review.waiting import Candidate, Waiting

if TYPE_CHECKING:
    import pandas as pd

CONFIDENT = 0.9  # of a mistake, where no model says which confidence it is sure at
ISSUE = "label issue: a model that did not learn from this image expects another label"
SURE_MISTAKE = "the model is sure of another label: its mistake, or a wrong label"
MOST_BESIDE = 6  # near-duplicates beside one


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look says of an image."""

    path: str  # below data/raw
    source: Source
    proposed: str
    candidates: tuple[Candidate, ...]
    why: str


def open_suspects() -> Opened:
    """All of them, label issues first. Raises ReviewError when no training has looked at the images yet."""
    if not MANIFEST.is_file():
        raise ReviewError("No suspects yet: `nightshift data check` looks for them, and `nightshift train` does, too.")
    import pandas as pd

    manifest = pd.read_parquet(MANIFEST, columns=["path", "label", "sha256", "cluster", "readable"]).query("readable")
    contract = contract_in(MODEL)
    twins = conflicting(manifest)
    found = [*_issues(), *_twins(twins), *_mistakes(contract.unsure_below if contract else CONFIDENT)]
    known = {
        str(path): (str(sha256), str(label))
        for path, sha256, label in zip(manifest["path"], manifest["sha256"], manifest["label"], strict=True)
    }
    waiting: dict[str, Waiting] = {}
    for one in found:
        if one.path in known:
            sha256, label = known[one.path]
            before = waiting.get(sha256)
            waiting[sha256] = _also(before, one) if before else _waiting(one, sha256, label)
    if not waiting:
        raise ReviewError("There is nothing to review: the last training found no labels that may be wrong.")
    kinds = {
        "audit": "with a label issue or a near-duplicate under another label",
        "test": "of the test split, where the model is sure of another label",
    }
    counts = {kind: sum(one.source == kind for one in waiting.values()) for kind in kinds}
    return Opened(
        name="suspects",
        title="Suspects",
        about=f"{counted(len(waiting), 'image')} of {RAW} whose label may be wrong: "
        + ", ".join(f"{count} {kinds[kind]}" for kind, count in counts.items() if count),
        waiting=tuple(waiting.values()),
        labels=tuple(sorted(manifest["label"].unique())),
        images=load_params().images,
        model=MODEL if contract else None,
        beside=twins,
        sweeps=False,
    )


def conflicting(manifest: "pd.DataFrame") -> dict[str, tuple[Beside, ...]]:
    """SHA-256 of each image with near-duplicates under another label -> those.

    manifest: columns path, label, sha256, cluster.
    """
    if "cluster" not in manifest or not len(manifest):
        return {}
    several = manifest.groupby("cluster")["label"].transform("nunique") > 1
    found = {}
    for _, rows in manifest[several].groupby("cluster"):
        for one in rows.itertuples():
            others = rows[(rows["label"] != one.label) & (rows["sha256"] != one.sha256)].head(MOST_BESIDE)
            if len(others):
                found[str(one.sha256)] = tuple(
                    Beside(
                        str(other.sha256), str(RAW / str(other.path)), str(other.label), f"near-duplicate: {other.path}"
                    )
                    for other in others.itertuples()
                )
    return found


def _issues() -> Iterator[_Found]:
    for row in read_suspects(LABEL_ISSUES):
        candidates = [Candidate(row["suggested"], _number(row["suggested_confidence"]))]
        if row["label"]:
            candidates.append(Candidate(row["label"], _number(row["label_confidence"])))
        yield _Found(row["path"], "audit", row["suggested"], tuple(candidates), ISSUE)


def _twins(found: Mapping[str, tuple[Beside, ...]]) -> Iterator[_Found]:
    by_place = {twin.place: twin for twins in found.values() for twin in twins}
    for place, twin in by_place.items():
        other = next(iter(found.get(twin.sha256, ())), None)
        label = other.label if other else ""
        yield _Found(str(Path(place).relative_to(RAW)), "audit", label, (), "a near-duplicate has another label")


def _mistakes(sure: float) -> Iterator[_Found]:
    """Mistakes on the test images at a confidence of at least `sure`, the most confident first."""
    if not TEST_PREDICTIONS.is_file():
        return
    import pandas as pd

    table = pd.read_csv(TEST_PREDICTIONS, dtype={"path": str, "label": str, "predicted": str}, keep_default_na=False)
    wrong = table[(table["label"] != table["predicted"]) & (table["confidence"] >= sure)]
    for row in wrong.sort_values("confidence", ascending=False, kind="stable").itertuples():
        of = Candidate(str(row.predicted), float(row.confidence))  # type: ignore[arg-type]
        yield _Found(str(row.path), "test", of.label, (of,), SURE_MISTAKE)


def _waiting(one: _Found, sha256: str, label: str) -> Waiting:
    known = {of.label for of in one.candidates}
    more = () if label in known else (Candidate(label),)
    first = one.candidates[0].confidence if one.candidates else None
    return Waiting(
        sha256=sha256, path=csv_path(one.path), place=str(RAW / one.path), source=one.source, label=label,
        proposed=one.proposed, confidence=first, candidates=(*one.candidates, *more), why=one.why,
        folder=folder_as_kept(RAW), chosen="doubt",
    )  # fmt: skip


def _also(before: Waiting, one: _Found) -> Waiting:
    """What two looks say of one image; a test image stays marked as one."""
    source: Source = "test" if "test" in (before.source, one.source) else before.source
    return replace(before, source=source, why=f"{before.why}; {one.why}" if one.why not in before.why else before.why)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
