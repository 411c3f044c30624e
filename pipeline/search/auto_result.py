"""The result of an automatic training: what was tried, what each network costs, which trial is best. Runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.params.file import Params
from pipeline.search.candidates import AVERAGES, ENSEMBLE, FLIPS, STEPS, Base, base_of_values
from pipeline.search.embedded import Measured
from pipeline.search.space import Values, value_of
from pipeline.search.study import MEASURED, VALUES
from pipeline.training.choice import Difference

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class Tried:
    """One finished trial: a head on frozen features, a whole training, or an average of the answers of one."""

    number: int
    values: Values
    score: float | None  # of `tune.metric`; None: the loss was NaN
    measured: Mapping[str, float]  # accuracy, accuracy_low, accuracy_high, log_loss, images_per_second, megabytes, ...

    @property
    def base(self) -> Base:
        """The network that it began with."""
        return base_of_values(self.values)

    @property
    def is_tuned(self) -> bool:
        """Whether the whole network was trained, not only a head."""
        return STEPS in self.values

    @property
    def is_averaged(self) -> bool:
        """Whether it is the mean answer of several networks, or to an image and its mirror image."""
        return any(name in self.values for name in AVERAGES)

    @property
    def pays(self) -> bool:
        """Whether an average is better than what it was compared with, by more than one standard error."""
        return (
            self.score is not None and Difference(self.measured["gain"], self.measured["gain_error"]).is_clearly_better
        )

    @property
    def accuracy(self) -> float:
        """On the validation images; 0 where the loss was NaN."""
        return self.measured.get("accuracy", 0.0)

    @property
    def images_per_second(self) -> float:
        """Of its network, or of all that it runs for an image."""
        return self.measured["images_per_second"]


@dataclass(frozen=True, slots=True)
class AutoResult:
    """All trials so far that compare, and which of them to use."""

    params: Params  # when the search began
    tried: tuple[Tried, ...]  # in their order
    measured: Mapping[Base, Measured]  # each network whose features were computed
    notes: tuple[str, ...]  # what was left out, and why
    images: int  # of validation
    seconds: float  # of this call

    @property
    def ranked(self) -> list[Tried]:
        """The trials with a score, the best first; of equals a head before a whole training, then the earlier one."""
        sign = 1 if self.params.tune.metric == "val_loss" else -1
        scored = [
            (sign * one.score, one.is_tuned, one.number, one) for one in self.tried if one.score is not None
        ]  # fmt: skip
        return [one for *_, one in sorted(scored, key=lambda row: row[:3])]

    @property
    def best_alone(self) -> Tried:
        """The best trial of one network without flips."""
        return next(one for one in self.ranked if not one.is_averaged)

    @property
    def averages(self) -> list[Tried]:
        """The averages of the best trial, in their order: each is of what it was compared with, the last that paid."""
        found, best = list[Tried](), self.best_alone
        for name, value in AVERAGES.items():
            some = [one for one in self.tried if one.values == best.values | {name: value}]
            found += some
            best = next((one for one in some if one.pays), best)
        return found

    @property
    def winner(self) -> Tried:
        """The best trial, with the averages that pay."""
        return next((one for one in reversed(self.averages) if one.pays), self.best_alone)

    @property
    def best_of_each(self) -> list[Tried]:
        """The best trial of each network, and of each average of it, the fastest first."""
        best: dict[tuple[Base, bool, int], Tried] = {}
        for one in self.ranked:
            best.setdefault((one.base, one.values.get(FLIPS, False), one.values.get(ENSEMBLE, 1)), one)
        return sorted(best.values(), key=lambda one: -one.images_per_second)

    @property
    def front(self) -> list[Tried]:
        """Of these the ones that none beats in both accuracy and speed (the Pareto front), the fastest first."""
        found: list[Tried] = []
        for one in self.best_of_each:  # each is slower than those before it, so it must be more accurate than them
            if not found or one.accuracy > found[-1].accuracy:
                found.append(one)
        return found

    @property
    def faster(self) -> list[Tried]:
        """The trials of the front that are faster than the winner, the fastest first."""
        return [one for one in self.front if one.images_per_second > self.winner.images_per_second]

    @property
    def present(self) -> Tried | None:
        """The trial closest to the parameters before the search: fine-tuned as far as they were, else their head."""
        same = [
            one for one in self.tried if all(value_of(self.params, n) == v for n, v in one.values.items() if n != STEPS)
        ]
        return max(same, key=lambda one: (one.is_tuned, len(one.values), one.measured.get("steps", 0)), default=None)

    @property
    def tuned(self) -> int:
        """How many of the trials were whole trainings, averages aside."""
        return sum(one.is_tuned and not one.is_averaged for one in self.tried)

    def values_of(self, one: Tried) -> Values:
        """What params.yaml must say to train this trial's model.

        A head that was not beaten by fine-tuning is trained without it. Where nothing was fine-tuned we do not know,
        and fine-tuning stays as it is set.
        """
        views = {"embed.views": 0} if self.params.embed.views else {}
        alone = {FLIPS: False, ENSEMBLE: 1}
        return alone | one.values | views | ({} if one.is_tuned or not self.tuned else {STEPS: 0})


def tried_of(trials: "Sequence[FrozenTrial]") -> tuple[Tried, ...]:
    """The finished trials of a study."""
    return tuple(
        Tried(
            number=number,
            values=trial.user_attrs[VALUES],
            score=trial.value if trial.state.name == "COMPLETE" else None,
            measured=trial.user_attrs[MEASURED],
        )
        for number, trial in enumerate(trials)
    )
