"""The page of an automatic training: which trial is best, which are faster, what was tried and what it cost."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from pipeline.core.errors import NightshiftError
from pipeline.core.pages import figure_uri, render
from pipeline.core.paths import AUTO_REPORT, PREPARED
from pipeline.data.prepared import read_dataset
from pipeline.search.auto_result import AutoResult, Tried
from pipeline.search.candidates import AUGMENTATIONS, ENSEMBLE, FLIPS, RATE, STEPS
from pipeline.search.embedded import in_words
from pipeline.search.log import optimism
from pipeline.search.space import value_of
from pipeline.storage import report_pages

TEMPLATE = "search/auto_page.html"
WHAT = {"val_loss": "log loss", "val_accuracy": "accuracy", "val_balanced_accuracy": "balanced accuracy"}
AUGMENTED = tuple(sorted({name for augmentation in AUGMENTATIONS for name in augmentation}))


@dataclass(frozen=True, slots=True)
class Row:
    """One trial as the page shows it."""

    trial: Tried
    way: str  # how it was trained
    marks: tuple[str, ...]  # best, front, now


def write_page(found: AutoResult) -> None:
    """Write the page to AUTO_REPORT."""
    page = render(
        TEMPLATE,
        found=found,
        verdict=verdict(found),
        optimism=optimism(len(found.tried), found.images),
        figure=figure_uri(draw_trials(found)),
        rows=rows_of(found),
        command=take_command,
        level=f"{found.params.evaluate.interval_level:.0%}",
        spent=in_words(sum(one.measured["seconds"] for one in found.tried)),
        in_words=in_words,
        dominated=found.winner not in found.front,
        metric=WHAT[found.params.tune.metric],
        identity=_data_version(),
        links=report_pages.links_to(),
    )
    report_pages.write_page(AUTO_REPORT, page)


def _data_version() -> str:
    try:
        return f"data {read_dataset(PREPARED).sha256[:8]}"
    except (OSError, NightshiftError):
        return ""


def take_command(one: Tried) -> str:
    """The command that makes a trial's values the parameters."""
    return f"nightshift tune --take {one.number}"


def verdict(found: AutoResult) -> list[str]:
    """The result in sentences, the most important first."""
    best, now = found.winner, found.present
    words = [f"Trial {best.number} is the best: {best.base}, {way_of(best, found)}; {measured_words(best)}."]
    if now is None:
        words.append("The parameters before the search are not among the trials, as their network is not pretrained.")
    elif now == best:
        words.append("These are the parameters as they were before the search.")
    else:
        words.append(
            f"The parameters before the search (trial {now.number}: {way_of(now, found)}): {measured_words(now)}."
        )
    words += average_words(found)
    if not found.tuned:
        words.append(
            "Nothing was fine-tuned: only heads were compared. With more minutes the best ones are fine-tuned."
        )
    return words


def average_words(found: AutoResult) -> list[str]:
    """What each average of the best trial gains and costs, and whether it is used."""
    words, before = [], found.best_alone
    for one in found.averages:
        what = f"{averaged_words(one)[2:].capitalize()} (trial {one.number})"
        if one.score is None:
            words.append(f"{what}: the loss of the second network was NaN.")
            continue
        words.append(
            f"{what}: {WHAT[found.params.tune.metric]} {comparison(one)}, at {one.images_per_second:.0f} images/s "
            f"instead of {before.images_per_second:.0f}. "
            + ("It pays, and is used." if one.pays else "It does not pay: not better by more than a standard error.")
        )
        before = one if one.pays else before
    runs = found.best_alone.images_per_second / before.images_per_second
    if runs > 1 and round(runs) >= (allowed := found.params.register_.gate.max_slowdown):
        words.append(
            f"A network runs {runs:.0f} times for an image, and register.gate.max_slowdown allows {allowed:g} times as "
            "long as the champion takes: raise it, or the gate may refuse the model."
        )
    return words


def comparison(one: Tried) -> str:
    """How much better or worse an average is than what it was compared with."""
    gain, error = one.measured["gain"], one.measured["gain_error"]
    return f"{'better' if gain > 0 else 'worse'} by {abs(gain):.4f}, with a standard error of {error:.4f}"


def averaged_words(one: Tried) -> str:
    """What is averaged, to stand behind the network's or the training's words; empty: nothing."""
    count = one.values.get(ENSEMBLE, 1)
    return (f", mean of {count} networks" if count > 1 else "") + (", test-time flips" if one.values.get(FLIPS) else "")


def measured_words(one: Tried) -> str:
    """What was measured of a trial."""
    if one.score is None:
        return "the loss was NaN"
    found = one.measured
    return (
        f"accuracy {found['accuracy']:.3f} [{found['accuracy_low']:.3f}, {found['accuracy_high']:.3f}], "
        f"log loss {found['log_loss']:.3f}, {one.images_per_second:.0f} images/s"
    )


def way_of(one: Tried, found: AutoResult) -> str:
    """How a trial was trained, by what is not as it was set before the search."""
    values = one.values
    if not one.is_tuned:
        method = values["train.head.method"]
        settings = f" (rate {values['train.head.learning_rate']:g}, decay {values['train.head.weight_decay']:g})"
        head = f"head: {method.replace('_', ' ')}{settings if method in ('linear', 'auto') else ''}"
        return head + averaged_words(one)
    done = one.measured.get("steps")
    steps = f"{values[STEPS]} steps" if done is None else "1 step" if done == 1 else f"{done:.0f} steps"
    changed = [
        f"{name.partition('.')[2]} {values[name]:g}"
        for name in AUGMENTED
        if values[name] != value_of(found.params, name)
    ]
    return ", ".join([f"fine-tuned: {steps}", f"rate {values[RATE]:g}", *changed]) + averaged_words(one)


def rows_of(found: AutoResult) -> list[Row]:
    """All trials, the best first; those with a NaN loss last."""
    front, now = {one.number for one in found.front}, found.present
    ordered = [*found.ranked, *(one for one in found.tried if one.score is None)]
    return [
        Row(
            one, way_of(one, found),
            tuple(
                mark
                for mark, holds in (
                    ("best", one == found.winner), ("front", one.number in front), ("now", one == now)
                )
                if holds
            ),
        )
        for one in ordered
    ]  # fmt: skip


def draw_trials(found: AutoResult) -> Figure:
    """Accuracy against images/s: every trial, the best of each network with its interval, and the Pareto front."""
    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    axes = figure.subplots()
    scored = [one for one in found.tried if one.score is not None]
    for tuned, marker, words in ((False, "o", "head on the frozen network"), (True, "^", "fine-tuned")):
        some = [one for one in scored if one.is_tuned == tuned]
        axes.plot(
            [one.images_per_second for one in some], [one.accuracy for one in some], marker, color="#8fa3b5",
            markersize=5, alpha=0.6, label=words,
        )  # fmt: skip
    best = found.best_of_each if scored else []
    for one in best:
        low, high = (abs(one.measured[f"accuracy_{end}"] - one.accuracy) for end in ("low", "high"))
        axes.errorbar(
            one.images_per_second, one.accuracy, yerr=[[low], [high]], color="#1f5fa8", capsize=3, linewidth=1,
            marker="^" if one.is_tuned else "o", markersize=7,
        )  # fmt: skip
        is_right = one.images_per_second > (best[0].images_per_second + best[-1].images_per_second) / 2
        axes.annotate(
            f"{one.base}{averaged_words(one)}", (one.images_per_second, one.accuracy), fontsize=8,
            xytext=(-8 if is_right else 8, 6), textcoords="offset points", ha="right" if is_right else "left",
        )  # fmt: skip
    if scored:
        front, winner = found.front, found.winner
        axes.plot(
            [one.images_per_second for one in front], [one.accuracy for one in front], "--", color="#c96a00",
            linewidth=1.5, label="Pareto front: none is both faster and more accurate",
        )  # fmt: skip
        axes.plot(
            winner.images_per_second, winner.accuracy, "*", color="#23803f", markersize=17, zorder=5,
            label=f"best: trial {winner.number}",
        )  # fmt: skip
        axes.legend(fontsize=8, loc="best")
    axes.margins(x=0.15)
    axes.set(xlabel="images/s of the network alone, in float32", ylabel="accuracy on validation images")
    axes.grid(alpha=0.25)
    return figure
