"""How a night begins: its shards follow from the model that it uses, not from what params.yaml says by now."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.night.planning import SCENES_A_SHARD, ClassifyError
from pipeline.params.data import Tiles
from pipeline.params.file import load_params
from tests.fixtures.nights import begun
from tests.fixtures.project import draw_shape

FILES = SCENES_A_SHARD + 2


def test_shards_are_as_small_as_the_champions_tiles_or_frames_ask_for(registry_project: Path) -> None:
    photos = registry_project / "photos"
    draw_shape(photos / "0.png", "circle", seed=7)
    for number in range(1, FILES):
        shutil.copy(photos / "0.png", photos / f"{number}.png")
    params = load_params()
    params = params.model_copy(update={"batch": params.batch.model_copy(update={"shard_size": 100})})
    assert params.images.tiles is None
    whole = begun(photos, Path("predictions/whole"), params)
    assert (whole.plan.files, whole.plan.shards) == (FILES, 1)
    contracts = [
        *registry_project.glob("mlartifacts/**/contract.json"),
        *registry_project.glob("mlruns/**/contract.json"),
    ]
    assert contracts
    for name, asked in {"cut": {"tiles": Tiles(size=64).model_dump()}, "all": {"tiles": None, "frame": "all"}}.items():
        for contract in contracts:
            about = json.loads(contract.read_text())
            about["images"] |= asked
            contract.write_text(json.dumps(about))
        cut = begun(photos, Path("predictions") / name, params)
        assert [len(cut.shard(number)) for number in range(cut.plan.shards)] == [SCENES_A_SHARD, 2]
    (photos / "empty").mkdir()
    with pytest.raises(ClassifyError, match="contains no image files"):
        begun(photos / "empty", Path("predictions/none"), params)
    assert not Path("predictions/none").exists(), "nothing is fetched for it"
