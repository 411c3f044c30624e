"""The state of a network in training, and its way to a snapshot and back, bit for bit."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.core.log import log
from pipeline.training.checkpoints import Checkpoints, Snapshot
from pipeline.training.pace import Pace

Row = dict[str, float]  # the measurements of one judgement


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the next step depends on: weights, states of random layers, the optimiser."""

    model: keras.Model
    optimiser: keras.optimizers.Optimizer

    def take(self, history: list[Row], best: list[NDArray[np.generic]], finished: bool, pace: Pace) -> Snapshot:
        """A copy of the state, or only of the best weights once the phase is finished."""
        arrays = {"best": best}
        if not finished:
            arrays |= {
                "model": [variable.numpy() for variable in self.model.variables],
                "optimiser": [variable.numpy() for variable in self.optimiser.variables],
            }
        return Snapshot(list(history), finished, arrays, (pace.steps, pace.judgements))

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is of a network like this one."""
        expected = {"best": self.model.weights, "model": self.model.variables, "optimiser": self.optimiser.variables}
        return all(
            [array.shape for array in arrays] == [tuple(variable.shape) for variable in expected[name]]
            for name, arrays in snapshot.arrays.items()
        )

    def put_back(self, snapshot: Snapshot) -> None:
        """Make this state the snapshot's."""
        for name, variables in (("model", self.model.variables), ("optimiser", self.optimiser.variables)):
            for variable, array in zip(variables, snapshot.arrays.get(name, ()), strict=not snapshot.finished):
                variable.assign(array)


def restore(checkpoints: Checkpoints | None, phase: str, state: State) -> Snapshot | None:
    """The snapshot of the phase, after putting its state back; None: the phase starts."""
    snapshot = checkpoints.load(phase) if checkpoints else None
    if snapshot is None:
        return None
    if not state.fits(snapshot):
        log.warning("The checkpoint of %s belongs to another network and is ignored; the phase starts again.", phase)
        return None
    state.put_back(snapshot)
    return snapshot
