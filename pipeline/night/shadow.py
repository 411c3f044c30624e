"""The challenger on the night's files: what would be different if it were in production.

It has its own folder and ledger inside the night's, and the night's listing, so both classify the same files. It never
touches the night's rows.
"""

import csv
import heapq
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.core.cells import guarded
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.model.contract import read_contract
from pipeline.night.ledger import MODEL, Run, RunPlan, books_of
from pipeline.night.rows import PREDICTIONS_CSV, Row, of_files, read_rows
from pipeline.night.summary import ShadowFound
from pipeline.registry import champions, versions
from pipeline.registry.versions import Registered
from pipeline.storage.folders import Folder

SHADOW = "shadow"  # the folder beside predictions.csv
DISAGREEMENTS = "disagreements.csv"
DISAGREEMENT_COLUMNS = (
    "path",
    "label",
    "confidence",
    "status",
    "shadow_label",
    "shadow_confidence",
    "shadow_status",
    "sha256",
)


@dataclass(frozen=True, slots=True)
class NoShadow:
    """A night that was asked for a shadow has none."""

    why: str


def begin(run: Run) -> Run | NoShadow:
    """The shadow of a planned, unfinished night, if there is a challenger to compare it with.

    Like the night's model it is chosen once: a resumed night keeps its challenger.
    """
    output = run.output / SHADOW
    before = Run.unfinished_in(output)
    if before and before.plan.started_at == run.plan.started_at:
        return before
    try:
        challenger = champions.challenger(run.plan.model_name)
        if challenger is None or str(challenger.version) == run.plan.model_version:
            found = NoShadow(_no_challenger(run.plan, challenger))
            log.warning("This night has no shadow: %s", found.why)
            return found
        return run.begin_beside(output, lambda: _settle(run, challenger, output))
    except NightshiftError as error:
        log.warning("The night continues without its shadow: %s", error)
        return NoShadow(str(error))


def _no_challenger(plan: RunPlan, challenger: Registered | None) -> str:
    if challenger is None:
        return f"no version of {plan.model_name} is @challenger, so there is none to compare with the champion."
    return (
        f"version {challenger.version} of {plan.model_name} is @champion and @challenger at once. The next version "
        "that passes the gate is the next challenger."
    )


def _settle(run: Run, challenger: Registered, output: Folder) -> RunPlan:
    with books_of(output).replacing(MODEL) as copy:
        contract = read_contract(versions.fetch_model(challenger, copy))
    return run.plan.model_copy(update={"model_version": str(challenger.version), "contract_hash": contract.hash})


def compare(output: Folder, most: int) -> ShadowFound:
    """Write shadow/disagreements.csv, the most confident first, at most `most`; returns what the summary says."""
    shadow = output / SHADOW
    pairs: Counter[tuple[str, str]] = Counter()

    def different() -> Iterator[tuple[float, int, Row, Row]]:
        # The two models may differ in whether frames have rows.
        both = zip(*(of_files(read_rows(one.path / PREDICTIONS_CSV)) for one in (output, shadow)), strict=True)
        for number, (ours, theirs) in enumerate(both):
            if ours["sha256"] != theirs["sha256"]:  # the file changed between the two runs
                continue
            pairs[ours["label"], theirs["label"]] += 1
            if ours["label"] != theirs["label"]:
                sure = min(float(row["confidence"] or 0) for row in (ours, theirs))
                yield sure, -number, ours, theirs

    chosen = heapq.nlargest(most, different(), key=lambda found: found[:2])
    with shadow.replacing(DISAGREEMENTS) as beside, beside.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(DISAGREEMENT_COLUMNS)
        writer.writerows(_row(ours, theirs) for _, _, ours, theirs in chosen)
    compared = pairs.total()
    agreed = sum(count for (ours, theirs), count in pairs.items() if ours == theirs)
    first = next(itertools.islice(read_rows(shadow.path / PREDICTIONS_CSV), 1))
    return ShadowFound(
        model_version=first["model_version"],
        compared=compared,
        agreed=agreed,
        pairs=tuple((*pair, count) for pair, count in sorted(pairs.items())),
    )


def _row(ours: Row, theirs: Row) -> list[str]:
    answers = [guarded(row[column]) for row in (ours, theirs) for column in ("label", "confidence", "status")]
    return [ours["path"], *answers, ours["sha256"]]
