"""Automatic training: chooses network, image size, head, fine-tuning, augmentation and averages within some minutes.

Four stages: features of every network, the cheapest first; heads on them; fine-tuning of the best by successive
halving; averages of the best one's answers, over flips and over two networks. Nothing begins that would end too late by
the speed that was measured. Trials are judged on validation images; the test images are never read. A finished trial is
never repeated: the same command resumes.
"""

import json
import math
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from pipeline.core.code import code_of
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.paths import AUTO_REPORT, PREPARED, SEARCHES
from pipeline.data.prepared import read_dataset, read_split
from pipeline.params.file import Params
from pipeline.registry.runs import flat
from pipeline.search.auto_page import draw_trials, write_page
from pipeline.search.auto_result import AutoResult, Tried, tried_of
from pipeline.search.auto_trials import Trials
from pipeline.search.averages import average_best
from pipeline.search.candidates import VARIED, Base, bases, heads, other_sizes
from pipeline.search.embedded import TooSlow, gallery, in_words
from pipeline.search.halving import fine_tune_best
from pipeline.search.log import search_log
from pipeline.search.study import alone, bury_the_dead, finished, stored_study
from pipeline.search.written import Changed, write_values
from pipeline.storage.files import make_folder, sha256

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LONGEST_FEATURES = 0.25  # share of all the time for the features of one network; the first may take all of it
LONGEST_HEADS = 0.5  # share of all the time after which no more heads begin
NO_MATTER = ("train.max_gap", "train.target_precision", "train.target_confidence", "train.set_error",
             "train.outlier_alarms", "train.max_bfloat16_loss", "train.max_int8_loss")  # fmt: skip


def run_auto(params: Params, minutes: float) -> AutoResult:
    """Try as much as ends within the minutes, and write the page; safe to interrupt and to call again.

    Raises NightshiftError when the images are not prepared, another search runs, the page cannot be written, or the
    time is too short for the features of one network.
    """
    key, images = auto_key(params), len(read_split(PREPARED, "val").labels)
    _check_page()
    with alone(), stored_study(key, params.tune.metric) as study:
        bury_the_dead(study)

        def draw(trials: "Sequence[FrozenTrial]") -> Figure:
            return draw_trials(AutoResult(params, tried_of(trials), {}, (), images, 0.0))

        with search_log(study, params, "auto", images, draw) as shown:
            trials = Trials(params, study, gallery(params, key), minutes * 60)
            trials.gallery.clear()
            _compute_features(trials)
            shown.update(finished(study))
            _fit_heads(trials)
            shown.update(finished(study))
            fine_tune_best(trials, lambda: shown.update(finished(study)))
            average_best(trials, trials.result(0).best_alone, lambda: shown.update(finished(study)))
            trials.gallery.clear()
            shown.close(finished(study))
        found = trials.result(images)
    write_page(found)
    return found


def take(params: Params, number: int) -> Changed:
    """Change params.yaml to the values of trial `number`. Raises NightshiftError when there is no such trial."""
    tried = _known_trials(params)
    if number >= len(tried):
        some = f"{len(tried)} trials, 0 to {len(tried) - 1}" if tried else "none yet"
        raise NightshiftError(
            f"`nightshift tune --auto` has no trial {number} with these images and parameters ({some}). {AUTO_REPORT} "
            "lists those of its last run."
        )
    found = AutoResult(params, tried, {}, (), 0, 0.0)
    return write_values(params, found.values_of(tried[number]))


def auto_key(params: Params) -> str:
    """Equal for trials that compare: same images and splits, code, metric, and parameters that no trial varies."""
    whole = dict.fromkeys(("seed", "images", "augment", "train"), True)
    fixed = flat(
        params.model_dump(mode="json", include={**whole, "compute": {"precision"}}, exclude={"train": {"scratch"}})
    )
    for name in (*VARIED, *NO_MATTER):
        fixed.pop(name, None)
    val = "\n".join(read_split(PREPARED, "val").table["path"])
    code = code_of("pipeline.train", "pipeline.model.frozen", "pipeline.data.decoding")
    known = [fixed, params.tune.metric, read_dataset(PREPARED).sha256, val, code]
    return f"auto-{sha256(json.dumps(known, sort_keys=True).encode('utf-8', 'surrogateescape'))[:16]}"


def _known_trials(params: Params) -> tuple[Tried, ...]:
    if not SEARCHES.is_file():
        return ()
    with stored_study(auto_key(params), params.tune.metric) as study:
        return tried_of(finished(study))


def _check_page() -> None:
    """Raise NightshiftError when the page's folder cannot be written, before minutes are spent."""
    try:
        make_folder(AUTO_REPORT.parent)
        with tempfile.TemporaryFile(dir=AUTO_REPORT.parent):
            pass
    except OSError as error:
        raise NightshiftError(
            f"{AUTO_REPORT} cannot be written: {error.strerror}. Make {AUTO_REPORT.parent} a folder that can be "
            "written; then run the same command again."
        ) from error


def _compute_features(trials: Trials) -> None:
    began = time.monotonic()
    for base in bases(trials.params):
        _measure(trials, base)
    if not trials.measured:
        raise NightshiftError(f"There is no network to try. {' '.join(trials.notes)}")
    speeds = "; ".join(f"{base} {found.images_per_second:.0f} images/s" for base, found in trials.measured.items())
    log.info("Features: %s. %s.", speeds, in_words(time.monotonic() - began))


def _measure(trials: Trials, base: Base) -> bool:
    """Compute a network's features; False, with a note, where they take too long or it cannot be built."""
    is_first = not trials.measured
    longest = trials.left if is_first else min(trials.left, LONGEST_FEATURES * trials.seconds)
    try:
        trials.measured[base] = trials.gallery.measure(base, longest)
    except TooSlow as slow:
        if is_first:
            raise NightshiftError(
                f"{trials.seconds / 60:g} minutes are too few: the features of {base}, with which the search begins, "
                f"take about {in_words(slow.seconds)}. Give it more: --minutes {math.ceil(slow.seconds * 5 / 60)}."
            ) from slow
        trials.note(f"{base} was left out: its features would take about {in_words(slow.seconds)}.")
    except NightshiftError as error:
        trials.note(f"{base} was left out: {error}")
    return base in trials.measured


def _fit_heads(trials: Trials) -> None:
    """Heads on every network's features; then the best network's at other image sizes."""
    began, before = time.monotonic(), len(trials.tried)
    with trials.bar("heads", len(trials.measured) * len(heads(trials.params))):
        _heads_of(trials, list(trials.measured))
        ranked = trials.best_heads()
    if not ranked:
        raise NightshiftError(
            "No head on any network's features has a finite loss. Look at the images, and at `train`."
        )
    more = [base for base in other_sizes(ranked[0].base, trials.gallery.longest_side) if base not in trials.measured]
    more = [base for base in more if trials.used < LONGEST_HEADS and _measure(trials, base)]
    with trials.bar("heads at other sizes", len(more) * len(heads(trials.params))):
        _heads_of(trials, more)
    best = trials.best_heads()[0]
    log.info(
        "Heads: %d trials; the best, number %d, on %s: accuracy %.3f, log loss %.3f. %s.",
        len(trials.tried) - before, best.number, best.base, best.accuracy, best.measured["log_loss"],
        in_words(time.monotonic() - began),
    )  # fmt: skip


def _heads_of(trials: Trials, networks: Sequence[Base]) -> None:
    """The first head on every network, then the second, and so on: in a short time all networks are judged alike."""
    for number, head in enumerate(heads(trials.params)):
        if number and trials.used > LONGEST_HEADS and trials.has_result:
            trials.note(f"No time for all heads: {number} on each network.")
            return
        for base in networks:
            trials.head(base, head)
