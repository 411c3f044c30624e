"""How much people have said of images that no training has learnt yet. Changes nothing."""

from pathlib import Path

from pipeline.core.paths import JUDGEMENTS
from pipeline.data.judgements import read_judgements
from pipeline.data.labels import sameness
from pipeline.registry.learnt import LEARNT, read_learnt
from pipeline.sources.judged import JudgedPlan


def count_news(plan: JudgedPlan, project: Path = Path()) -> int:
    """The images whose judgement would change what the last training learnt.

    plan: of now. Images whose readers differ or cannot tell, those whose bytes are lost and those whose label names no
    folder do not count; nor does a judgement that says what the training images say already.
    """
    learnt = read_learnt(project / LEARNT)
    judgements = read_judgements(project / JUDGEMENTS)
    lost = {one.sha256 for one in plan.lost} | {one.sha256 for one in plan.impossible}
    count = 0
    for sha256 in judgements.by_image.keys() - lost:
        agreed = judgements.agreed(sha256)
        if agreed and agreed.reject:
            count += sha256 in learnt
        elif agreed and agreed.label:
            count += sameness(learnt.get(sha256, "")) != sameness(agreed.label)
    return count
