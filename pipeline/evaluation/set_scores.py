"""How good the prediction sets are on test images: coverage class by class, and size. Knows arrays only."""

import numpy as np

from pipeline.evaluation.results import ClassSets, SetScores
from pipeline.evaluation.shares import share_interval
from pipeline.model.answers import Judged
from pipeline.model.candidates import in_sets


def set_scores(judged: Judged, level: float) -> SetScores | None:
    """The scores of the candidates on the test images; None: the model is of a version that gave none."""
    if (above := judged.candidates_above) is None:
        return None
    inside, labels = in_sets(judged.answers.probabilities, above), judged.answers.labels
    covered, sizes = inside[np.arange(len(labels)), labels], inside.sum(axis=1)
    classes = {
        name: ClassSets(
            images=int((here := labels == number).sum()),
            set_coverage=share_interval(covered[here], judged.groups[here], level),
            mean_size=float(sizes[here].mean()) if here.any() else None,
            always=above[number] == 0,
        )
        for number, name in enumerate(judged.class_names)
    }
    return SetScores(mean_size=float(sizes.mean()), single_share=float((sizes == 1).mean()), classes=classes)
