"""collect in params.yaml: durations, hours and names as people write them; what makes no sense is refused."""

from datetime import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.params.collect import Collect, Source
from pipeline.params.file import ParamsError, load_params
from tests.fixtures.project import REPOSITORY


def load(folder: Path, *sources: dict[str, Any], **changes: Any) -> Collect:
    values: Any = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["collect"] |= {"sources": list(sources), **changes}
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_params(file).collect


def test_durations_and_hours_are_read_as_people_write_them(tmp_path: Path) -> None:
    one = {"name": "gate-2", "address": "rtsp://10.0.0.7/", "every": "1.5min", "hours": "20:00 - 6:00", "gap": "2h"}
    found = load(tmp_path, one, {"name": "b", "address": "x", "change": 0.02}, gap=90)
    assert (found.gap, found.black, found.free_gb) == (90, 6, 2)
    first, second = found.sources
    assert (first.every, first.spacing, first.window, found.gap_of(first)) == (90, 60, (time(20), time(6)), 7200)
    assert (second.every, second.spacing, second.window, found.gap_of(second)) == (None, 1, None, 90)
    assert Source(name="c", address="x").every == 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../gate"}, "collect.sources.1.name: '../gate' is not a valid name of a source"),
        ({"name": "NUL"}, "is not a valid name"),
        ({"name": "gate 2"}, "is not a valid name"),
        ({"every": "soon"}, "'soon' is not a valid duration; it must be like 10s"),
        ({"every": "0s"}, "it must be like 10s, 5 min, 2 hours or 1 day, above 0"),
        ({"keep_days": float("inf")}, "keep_days is inf; it must be less than or equal to 36525"),
        ({"max_gb": float("inf")}, "max_gb is inf; it must be a finite number"),
        ({"hours": "20-6"}, "two different times, such as 20:00-06:00"),
        ({"hours": "06:00-06:00"}, "two different times"),
        ({"change": 2}, "less than or equal to 1"),
        ({"keep": 3}, "collect.sources.gate-2.keep is not a known key; did you mean keep_days?"),
        ({"address": " "}, "an address must not be empty"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamsError) as refused:
        load(tmp_path, {"name": "gate-2", "address": "rtsp://viewer:sesame@10.0.0.7/"} | changes)
    assert words in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_two_sources_never_share_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="two with the name Gate; each needs its own"):
        load(tmp_path, {"name": "Gate", "address": "x"}, {"name": "gate", "address": "y"})


ADDRESSES = ("rtsp://viewer:sesame@10.0.0.7/", "http://10.0.0.7/?usr=viewer&pwd=sesame")
WRONG = {
    "a mapping": lambda address: {"name": "gate-2", "address": address},
    "a text": lambda address: [address],
    "a list": lambda address: [{"name": "gate-2", "address": [address]}],
    "a name": lambda address: [{"name": address, "address": "gate-2"}],
    "no address": lambda address: [{"name": "gate-2", "adress": address}],
}


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_password_is_in_no_error_and_no_repr(tmp_path: Path, address: str, wrong: str) -> None:
    with pytest.raises(ParamsError) as refused:
        load(tmp_path, sources=WRONG[wrong](address))
    assert "sesame" not in str(refused.value)
    assert ("collect.sources.gate-2.address is missing.\n" in str(refused.value)) == (wrong == "no address")
    assert "sesame" not in repr(load(tmp_path, {"name": "a", "address": "rtsp://viewer:sesame@10.0.0.7/"}))
