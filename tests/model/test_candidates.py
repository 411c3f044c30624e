"""The labels that cannot be excluded: those at their threshold or above, and always the answer."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.candidates import candidates, in_sets
from pipeline.model.contract import Contract, ContractError, read_contract, write_contract
from pipeline.params.data import Images
from tests.fixtures.models import write_colour_model

RULES = Images(width=8, height=8, fit="stretch", max_megapixels=1)
SHARES = st.floats(0, 1, width=32)


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(*[st.lists(SHARES, min_size=n, max_size=n)] * 2)))
def test_the_candidates_are_those_at_their_threshold_and_the_answer_the_most_probable_first(
    both: tuple[list[float], list[float]],
) -> None:
    row, above = np.array(both[0], np.float32), both[1]
    found = candidates(row, above)
    answer = int(row.argmax())
    assert set(found) == {n for n in range(len(row)) if row[n] >= above[n]} | {answer}
    assert found[0] == answer
    assert [float(row[n]) for n in found] == sorted((float(row[n]) for n in found), reverse=True)
    assert in_sets(np.stack([row, row]), above).sum(axis=1).tolist() == [len(found)] * 2


def test_a_threshold_that_is_an_images_own_probability_keeps_the_label() -> None:
    row = np.array([0.7, 0.1, 0.2], np.float32)
    assert candidates(row, tuple(row.tolist())) == [0, 2, 1]
    assert candidates(row, (1.0, 0.0, 0.3)) == [0, 1], "0: never excluded"


def test_the_thresholds_come_back_exactly_with_the_contract_and_an_earlier_contract_has_none(tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "model", RULES, ("red", "blue"), [[9.0, 0], [0, 0], [0, 9.0]], [0, 0])
    earlier = read_contract(folder)
    assert earlier.candidates_above is None
    assert "candidates_above" not in json.loads((folder / "contract.json").read_text())
    above = (float(np.float32(0.1)), 0.0)
    later = earlier.model_copy(update={"candidates_above": above})
    write_contract(folder, later)
    assert read_contract(folder).candidates_above == above
    assert later.hash != earlier.hash, "its rows differ"


@pytest.mark.parametrize("above", [[0.5], [0.5, 0.5, 0.5], [0.5, 1.5], [-0.1, 0.5]])
def test_thresholds_that_do_not_fit_the_classes_are_refused(above: list[float], tmp_path: Path) -> None:
    folder = write_colour_model(tmp_path / "model", RULES, ("red", "blue"), [[9.0, 0], [0, 0], [0, 9.0]], [0, 0])
    written = json.loads((folder / "contract.json").read_text())
    assert Contract.model_validate({**written, "candidates_above": [0.5, 0.5]}).candidates_above == (0.5, 0.5)
    (folder / "contract.json").write_text(json.dumps({**written, "candidates_above": above}))
    with pytest.raises(ContractError, match="candidates_above"):
        read_contract(folder)
