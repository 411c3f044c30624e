"""The picture of a search and what it says of each parameter."""

import math

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.search.log import draw_search, importances, optimism
from pipeline.search.study import HISTORY, VALUES

SPACE: dict[str, optuna.distributions.BaseDistribution] = {
    "train.head.learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
    "train.head.dropout": optuna.distributions.FloatDistribution(0, 1),
}


def study_of(count: int) -> optuna.Study:
    """Scores that depend on the learning rate alone; every fifth trial is stopped early, every tenth is no number."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for number in range(count):
        trial = study.ask(SPACE)
        score = abs(math.log10(trial.params["train.head.learning_rate"]) + 2)
        trial.set_user_attr(VALUES, trial.params)
        trial.set_user_attr(HISTORY, [] if number % 10 == 9 else [("head", {"epoch": 1, "val_loss": score})])
        if number % 5 == 4:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, score)
    return study


def test_the_parameter_that_the_score_depends_on_is_the_important_one() -> None:
    shares = importances(study_of(30))
    assert list(shares) == ["train.head.learning_rate", "train.head.dropout"]
    assert shares["train.head.learning_rate"] > 0.8
    assert shares == importances(study_of(30))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_the_picture_is_drawn_of_any_number_of_trials(count: int) -> None:
    study = study_of(count)
    trials = study.get_trials()
    figure = draw_search(trials, importances(study), "val_loss")
    figure.canvas.draw()
    done, stopped, best = figure.axes[0].lines
    assert len(done.get_xdata()) + len(stopped.get_xdata()) == count - count // 10
    assert list(best.get_ydata()) == sorted(best.get_ydata(), reverse=True)


def test_of_an_accuracy_the_best_is_the_highest() -> None:
    def trial(score: float) -> FrozenTrial:
        return create_trial(value=score, user_attrs={HISTORY: [("head", {"val_accuracy": score})], VALUES: {}})

    best = draw_search([trial(score) for score in (0.5, 0.7, 0.6)], {}, "val_accuracy").axes[0].lines[2]
    assert list(best.get_ydata()) == [0.5, 0.7, 0.7]


def test_the_number_of_comparisons_is_said() -> None:
    assert optimism(30, 394).startswith("30 trials were compared on the same 394 validation images")
