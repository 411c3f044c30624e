"""A certificate in words: what is promised, or what is missing; and a contract that has one is another contract."""

import pytest

from pipeline.model.certificate import Certificate
from pipeline.model.contract import Contract
from pipeline.params.file import Params
from tests.fixtures.certificates import CERTIFIED, HOPELESS, UNCERTAIN


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        pytest.param(
            CERTIFIED,
            "Certified with 90 % confidence: at least 90 % of the predictions with status ok are right, on images like "
            "those of validation (measured: 95 % of 330 validation images).",
            id="certified",
        ),
        pytest.param(
            UNCERTAIN,
            "Not certified: with 90 % confidence we only know that at least 62.1 % of the predictions with status ok "
            "are right (measured: 100 % of 12 validation images); train.target_precision asks for 90 %. About 46 more "
            "labelled images would be needed for validation.",
            id="more images",
        ),
        pytest.param(
            HOPELESS,
            "Not certified: with 90 % confidence we only know that at least 20 % of the predictions with status ok are "
            "right (measured: 50 % of 12 validation images); train.target_precision asks for 90 %. No threshold "
            "did better than that on validation images, so more images alone will not do: improve the model, or lower "
            "the target.",
            id="a better model",
        ),
    ],
)
def test_it_says_what_holds_and_what_to_do(certificate: Certificate, words: str) -> None:
    assert certificate.words == words


def test_a_contract_keeps_its_certificate_and_is_another_one_without_it(defaults: Params) -> None:
    plain = Contract(
        class_names=("a", "b"), images=defaults.images, backbone="cnn", temperature=1, unsure_below=0.5,
        dataset_sha256="d", weights_sha256="w", code_commit="",
    )  # fmt: skip
    contract = plain.model_copy(update={"certificate": CERTIFIED})
    assert Contract.model_validate_json(contract.model_dump_json()) == contract
    assert len({one.hash for one in (plain, contract, plain.model_copy(update={"certificate": UNCERTAIN}))}) == 3
