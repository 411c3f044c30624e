"""Which number format a model answers in, and whose thresholds then hold."""

from pathlib import Path

import pytest

from pipeline.model import precision
from pipeline.model.contract import Contract, ContractError, Int8
from pipeline.model.precision import contract_in_use, has_int8, network_file, numbers_of
from pipeline.params.data import Images
from pipeline.params.model import Compute

IN_INT8 = Int8(
    weights_sha256="2" * 64, temperature=1.5, unsure_below=0.7, candidates_above=(0.1, 0.2), certificate=None,
    reference_sha256="3" * 64, outlier_above=0.3, outlier_alarms=0.05,
)  # fmt: skip
CONTRACT = Contract(
    class_names=("no", "yes"), images=Images(width=12, height=8, fit="stretch", max_megapixels=1), backbone="cnn",
    temperature=2.0, unsure_below=0.6, dataset_sha256="1" * 64, weights_sha256="0" * 64, code_commit="",
    reference_sha256="4" * 64, outlier_above=0.2, bfloat16=True,
)  # fmt: skip
WITH_INT8 = CONTRACT.model_copy(update={"int8": IN_INT8})


def compute(asked: str) -> Compute:
    return Compute.model_validate({"device": "cpu", "precision": asked, "workers": 1})


@pytest.fixture(params=["", "bf16", "int8", "bf16 int8"])
def has(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the processor is fast in."""
    found: list[str] = request.param.split()
    monkeypatch.setattr(precision, "has_bfloat16", lambda: "bf16" in found)
    monkeypatch.setattr(precision, "has_int8", lambda: "int8" in found)
    return found


@pytest.mark.parametrize("holds", [True, False, None])
@pytest.mark.parametrize("in_int8", [IN_INT8, None])
def test_auto_takes_the_fastest_that_the_processor_has_and_that_was_seen_to_hold(
    has: list[str], holds: bool | None, in_int8: Int8 | None
) -> None:
    contract = CONTRACT.model_copy(update={"bfloat16": holds, "int8": in_int8})
    fastest = "bf16" if holds and "bf16" in has else "f32"
    assert numbers_of(contract, compute("auto")) == ("int8" if in_int8 and "int8" in has else fastest)
    assert numbers_of(contract, compute("float32")) == "f32"


@pytest.mark.parametrize(
    ("asked", "holds", "expected"),
    [
        ("auto", True, "f16"), ("auto", False, "f32"), ("auto", None, "f32"), ("float32", True, "f32"),
        ("mixed_float16", None, "f16"), ("mixed_bfloat16", None, "bf16"),
    ],
)  # fmt: skip
def test_a_card_computes_in_float16_where_bfloat16_holds_and_where_it_is_asked_for(
    asked: str, holds: bool | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "on_gpu", lambda _: True)
    contract = WITH_INT8.model_copy(update={"bfloat16": holds})
    assert numbers_of(contract, compute(asked)) == expected
    assert contract_in_use(contract, compute(asked)) == contract, "int8 and its thresholds are a CPU's"


def test_int8_that_is_asked_for_and_cannot_be_had_is_refused_with_what_to_do(has: list[str]) -> None:
    with pytest.raises(ContractError, match=r"train\.max_int8_loss was null.*Set compute\.precision to auto; or"):
        numbers_of(CONTRACT, compute("int8"))
    if "int8" in has:
        assert numbers_of(WITH_INT8, compute("int8")) == "int8"
        return
    with pytest.raises(ContractError, match=r"no instructions for it.*Set compute\.precision to auto\."):
        numbers_of(WITH_INT8, compute("int8"))


def test_thresholds_are_those_of_the_network_that_answers_and_the_model_stays_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert contract_in_use(WITH_INT8, compute("float32")) == WITH_INT8
    monkeypatch.setattr(precision, "has_int8", lambda: True)
    found = contract_in_use(WITH_INT8, compute("auto"))
    assert found.is_int8
    assert {name: getattr(found, name) for name in Int8.model_fields} == dict(IN_INT8)
    assert found.class_names == WITH_INT8.class_names
    assert found.hash == found.in_int8.hash == WITH_INT8.hash
    assert WITH_INT8.hash != CONTRACT.hash != WITH_INT8.model_copy(update={"int8": None, "temperature": 1.0}).hash
    assert network_file(Path("m"), "int8") == Path("m/int8/openvino/model.xml")
    assert network_file(Path("m"), "bf16") == Path("m/openvino/model.xml")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fma avx512_vnni", True), ("avx_vnni", True), ("amx_tile amx_int8", True), ("avx2 avx512f amx_bf16", False)],
)
def test_a_processor_is_fast_in_int8_by_what_linux_says_of_it(tmp_path: Path, flags: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t:\n")
    assert has_int8(tmp_path / "cpuinfo") == expected
    assert not has_int8(tmp_path / "elsewhere")
