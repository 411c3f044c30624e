"""The thresholds of frames and of their files are certified on validation files, never borrowed from single images."""

import numpy as np
import pandas as pd

from pipeline.data.prepared import Split, SplitFrames
from pipeline.model.certificate import FramesRule
from pipeline.params.file import Params
from pipeline.training.frames_rule import frames_rule


def rule_of(files: int, frames: int, wrong: int, params: Params, **train: None) -> FramesRule | None:
    """The rule for files of `frames` frames each and a damaged one; of the first `wrong` files all are wrong."""
    labels = np.arange(files) % 2
    table = pd.DataFrame(
        {"path": [f"{one}.dcm" for one in range(files)], "cluster": [f"c{one}" for one in range(files)]}
    )
    rows = np.repeat(np.arange(files), frames + 1)
    rows[:: frames + 1] = -1
    of = rows[rows >= 0]
    sure = np.where(of < wrong, 0.55, 0.7 + 0.25 * of / files)
    said = np.where(of < wrong, 1 - labels[of], labels[of])
    probabilities = np.where(said[:, None] == [0, 1], sure[:, None], 1 - sure[:, None]).astype(np.float32)
    val = Split(table, np.zeros((files, 1, 1, 3), np.uint8), labels)
    pixels = np.zeros((len(rows), 1, 1, 3), np.uint8)
    return frames_rule(probabilities, SplitFrames(pixels, rows), val, params.train.model_copy(update=train))


def test_both_are_certified_by_files_and_the_wrong_ones_stay_below(defaults: Params) -> None:
    rule = rule_of(100, 3, 20, defaults)
    assert rule is not None
    assert rule.file.certificate.certified
    assert rule.frame.certificate.certified
    assert rule.file.certificate.images <= 88, "files, not frames"
    assert min(rule.file.unsure_below, rule.frame.unsure_below) > 0.54
    assert "of the files of several frames with status ok are right" in rule.words


def test_few_files_certify_nothing_however_many_frames_they_have(defaults: Params) -> None:
    rule = rule_of(8, 60, 0, defaults)
    assert rule is not None
    assert not rule.file.certificate.certified
    assert not rule.frame.certificate.certified


def test_nothing_is_promised_where_nobody_asked(defaults: Params) -> None:
    assert rule_of(100, 3, 0, defaults, target_confidence=None) is None
