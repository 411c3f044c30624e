"""Puts the current model before the gate and into the registry."""

import sys

from pipeline.core.command import run
from pipeline.core.log import log
from pipeline.core.paths import MODEL, REGISTRATION
from pipeline.evaluation.findings import identity
from pipeline.evaluation.results import read_evaluation, read_training
from pipeline.model.contract import read_contract
from pipeline.model.precision import contract_in_use
from pipeline.params.file import Params, load_params
from pipeline.registry.learnt import note_learnt
from pipeline.registry.registration import Candidate, register
from pipeline.registry.registration_page import write_page
from pipeline.registry.registration_result import Registration
from pipeline.storage.files import write_json


def register_current(params: Params, flow_run: str = "") -> Registration:
    """Register the model in models/current, and write the result.

    Raises TrackingError when the store does not answer.
    """
    candidate = Candidate(
        MODEL, contract_in_use(read_contract(MODEL), params.compute), read_evaluation(), read_training(), flow_run
    )
    registration = register(candidate, params)
    write_json(REGISTRATION, registration.as_json() | {"identity": identity(candidate.contract)})
    write_page()
    note_learnt()
    return registration


def main() -> None:
    """`python -m pipeline.register`."""
    registration = register_current(load_params())
    model, decision = registration.model, registration.decision
    log.info("%s", registration.sentence)
    for check in decision.checks:
        log.info("%s %s", "passed " if check.passed else "REFUSED", check.words)
    log.info("Compared with: %s", decision.against)
    registration.require_passed()
    log.info("%s version %d (%s)", model.name, model.version, ", ".join(model.aliases) or "no alias")


if __name__ == "__main__":
    sys.exit(run(main))
