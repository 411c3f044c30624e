"""What is wrong and what to do is said in words that fit one and several, for every check there is."""

import re

import pandas as pd
import pytest

from pipeline.checks.expectation_results import judge
from pipeline.checks.expectations import checks
from pipeline.checks.faults import FAULTS, spelled
from pipeline.params.file import Params


def test_every_check_has_its_words(defaults: Params) -> None:
    limits = defaults.validate_.model_copy(update={"class_names": ["a"]})
    assert {check.fault for check in checks(limits)} <= FAULTS.keys()
    for fault in FAULTS.values():
        for words in fault:
            assert not re.search(r"\|", spelled(words, 1) + spelled(words, 2))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (1, "1 of 340 files cannot be decoded: bees/0.jpg. Repair, replace or delete it, or leave such files out: "
            "`quarantine: [unreadable]` in params.yaml."),
        (2, "2 of 340 files cannot be decoded: bees/0.jpg, bees/1.jpg. Repair, replace or delete them, or leave such "
            "files out: `quarantine: [unreadable]` in params.yaml."),
    ],
)  # fmt: skip
def test_a_missed_expectation_says_what_is_wrong(bad: int, sentence: str, defaults: Params) -> None:
    (unreadable,) = [check for check in checks(defaults.validate_) if check.fault == "unreadable"]
    rows = [(f"bees/{number}.jpg", int(number >= bad)) for number in range(340)]
    files = pd.DataFrame(rows, columns=["path", "readable"])
    (judged,) = judge({"files": files}, [unreadable])
    assert judged.sentence == sentence
    assert judged.model_copy(update={"wrong": "", "remedy": ""}).sentence.startswith("Files can be decoded."), "earlier"
