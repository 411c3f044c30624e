"""The stage: fits the network and writes it with its contract, metrics and curves. Never reads the test split."""

import sys

from pipeline.core.command import run
from pipeline.core.paths import CHECKPOINTS
from pipeline.model.device import prepare_device, writes_files
from pipeline.params.file import load_params
from pipeline.registry.live import live_run
from pipeline.training.checkpoints import training
from pipeline.training.inputs import read_data, training_key


def main() -> None:
    """Train, or resume a killed training, and log every judgement to MLflow."""
    # They import TensorFlow, which writes to standard error while it is imported: after the log file has taken that.
    from pipeline.training.ensemble import train_model
    from pipeline.training.outcome import write_results

    params = load_params()
    strategy = prepare_device(params.compute, params.seed)
    data, writes = read_data(params), writes_files(strategy)
    with training(CHECKPOINTS, training_key(params, data), writes) as checkpoints:
        if not writes:  # several machines train together, and another one of them writes
            train_model(params, data, strategy, checkpoints)
            return
        with live_run(params, data.dataset.sha256, checkpoints.folder) as live:
            trained = train_model(params, data, strategy, checkpoints, live.epoch)
            if checkpoints.recorder:
                checkpoints.recorder.note("writing the model")
            contract, result = write_results(params, data, trained)
            live.end(contract.hash, result)


if __name__ == "__main__":
    sys.exit(run(main))
