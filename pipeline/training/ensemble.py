"""Trains one network or an ensemble of them, each from a seed of its own, and makes of them the one that answers.

Deep ensembles: Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation, 2017; here the mean is
that of the logits, so that the last layer stays linear.
"""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from pipeline.core.log import log
from pipeline.model.mean_network import mean_network
from pipeline.params.file import Params
from pipeline.training import recipe
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.fitting import OnEpoch
from pipeline.training.inputs import Data
from pipeline.training.recipe import Trained


def train_model(
    params: Params, data: Data, strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """Fit `train.ensemble` networks, one after another, and return what answers: their mean, with or without flips.

    The only files are `checkpoints`. One network without flips is exactly that of `recipe.train`.
    """
    count = params.train.ensemble
    networks = []
    for number in range(1, count + 1):
        if count > 1:
            log.info("Network %d of %d, from seed %d", number, count, params.seed + number - 1)
        networks.append(train_member(number, params, data, strategy, checkpoints, on_epoch))
    found = networks[0] if count == 1 else _together(networks)
    models = [found.model] if count == 1 or found.is_frozen else [one.model for one in networks]
    flips = params.train.test_time_flips
    if len(models) == 1 and not flips:
        return found
    with strategy.scope():
        return replace(found, model=mean_network(models, flips), is_frozen=False)


def train_member(
    number: int, params: Params, data: Data, strategy: tf.distribute.Strategy,
    checkpoints: Checkpoints | None = None, on_epoch: OnEpoch | None = None,
) -> Trained:  # fmt: skip
    """Fit one network of the ensemble, counted from 1, from its own seed and in its share of the time."""
    how, seed = params.train, params.seed + number - 1
    minutes = how.budget_minutes and how.budget_minutes / how.ensemble
    own = params.model_copy(update={"seed": seed, "train": how.model_copy(update={"budget_minutes": minutes})})
    if number > 1:  # random weights then do not depend on whether the network before was trained or resumed
        keras.utils.set_random_seed(seed)
    return recipe.train(own, data, strategy, checkpoints and checkpoints.of(number), on_epoch)


def _together(networks: list[Trained]) -> Trained:
    """What is known of the networks as one: all curves, the mean of the judgements that were kept.

    `model` is the first one. Where no backbone changed, its head is the mean of all heads, and it is the ensemble.
    """
    curves = pd.concat([one.curves.assign(network=number) for number, one in enumerate(networks, 1)], ignore_index=True)
    names = set.intersection(*(set(one.kept) for one in networks))
    kept = {name: float(np.mean([one.kept[name] for one in networks])) for name in sorted(names)}
    model, is_frozen = networks[0].model, all(one.is_frozen for one in networks)
    if is_frozen:
        heads = [one.model.layers[-1].get_weights() for one in networks]
        model.layers[-1].set_weights([np.mean(part, axis=0) for part in zip(*heads, strict=True)])
    return Trained(model, curves.assign(step=np.arange(1, len(curves) + 1)), kept, is_frozen)
