"""`nightshift upgrade`: what is new comes in with its comments, and what a person wrote stays."""

import os
from pathlib import Path

import pytest
import yaml

from pipeline.core.shipped import ATTRIBUTES, DVC_YAML, PARAMS_YAML, PREFECT_YAML, shipped
from pipeline.params.file import load_params
from pipeline.project.new import new_project
from pipeline.project.stages import of_installed
from pipeline.project.upgrade import ProjectError, of_merging, of_params, of_schedules, of_stages
from pipeline.project.yaml_text import block, with_block
from tests.fixtures.project import REPOSITORY, nightshift, run

PARAMS = shipped(PARAMS_YAML)
STAGES = of_installed(shipped(DVC_YAML))
SCHEDULES = shipped(PREFECT_YAML)


def without(text: str, name: str) -> str:
    """As an earlier version had it: without this key's lines."""
    return with_block(text, tuple(name.split(".")), "")


@pytest.mark.parametrize("mine", ["", "*.png binary", "*.png binary\n"])
def test_how_git_merges_judgements_comes_after_lines_of_ones_own(mine: str) -> None:
    ours = shipped(ATTRIBUTES)
    found = of_merging(mine, ours)
    assert found.words == ["new: how git merges data/labels.jsonl"]
    assert found.after == (f"{mine.strip()}\n" if mine else "") + ours
    assert of_merging(found.after, ours).words == []


@pytest.mark.parametrize(
    "name", ["seed", "images.width", "images.white_level", "images.clahe", "train.head.method", "register.gate",
             "validate.checks.drift", "batch.review", "evaluate.intended_use"],
)  # fmt: skip
def test_a_new_parameter_comes_where_it_belongs_with_its_comment(name: str) -> None:
    mine = without(PARAMS, name).replace("shard_size: 256 ", "shard_size: 99  # my own words, ")
    found = of_params(mine, PARAMS)
    assert [words.partition(",")[0] for words in found.words] == [f"new: {name}"]
    expected = PARAMS.replace("shard_size: 256 ", "shard_size: 99  # my own words, ")
    assert [line for line in found.after.splitlines() if line] == [line for line in expected.splitlines() if line]
    assert (
        found.lines() == [f"+{line}" for line in block(PARAMS, tuple(name.split("."))).splitlines()] or name == "seed"
    )


def test_a_section_and_the_keys_between_braces_come_too() -> None:
    mine = with_block(PARAMS, ("embed",), "").replace(", severity: error}   ", "}   ").replace("at_most: 20.0, ", "")
    found = of_params(mine, PARAMS)
    assert "new: embed" in found.words
    assert "new: validate.checks.imbalance.at_most, by default 20.0" in found.words
    assert yaml.safe_load(found.after) == yaml.safe_load(PARAMS)
    assert block(found.after, ("embed",)) == block(PARAMS, ("embed",))


def test_a_file_without_any_comment_and_with_another_indent_is_completed() -> None:
    values = yaml.safe_load(PARAMS)
    del values["images"]["white_level"], values["train"]["head"]["method"], values["tune"]
    values["augment"] = {"rotation": 0.1}
    found = of_params(yaml.safe_dump(values, indent=4, sort_keys=True).rstrip("\n"), PARAMS)
    made = yaml.safe_load(found.after)
    assert made["augment"] == {**yaml.safe_load(PARAMS)["augment"], "rotation": 0.1}
    assert {**made, "augment": 0} == {**yaml.safe_load(PARAMS), "augment": 0}


def test_a_renamed_parameter_is_named_and_its_old_value_stays_as_a_comment(tmp_path: Path) -> None:
    mine = with_block(PARAMS, ("train", "outlier_alarms"), "  outlier_percentile: 98.5  # mine\n")
    found = of_params(mine, PARAMS)
    assert found.words[0].startswith("train.outlier_percentile is now train.outlier_alarms, the share of false alarms")
    assert found.words[1:] == ["new: train.outlier_alarms, by default 0.05"]
    assert "  # outlier_percentile: 98.5  # mine\n" in found.after
    (tmp_path / PARAMS_YAML).write_text(found.after)
    load_params(tmp_path / PARAMS_YAML)


def test_what_a_person_may_name_is_not_filled_up_and_what_nobody_knows_is_named() -> None:
    ranges = "  ranges:\n    train.head.dropout: {low: 0.1, high: 0.2}\n"
    mine = with_block(PARAMS, ("tune", "ranges"), ranges).replace("soft_labels: {}", "soft_labels: {bad: p}")
    assert of_params(mine, PARAMS).words == []
    found = of_params(mine.replace("  resamples: 2000", "  resample: 2000"), PARAMS)
    assert found.words == [
        "new: evaluate.resamples, by default 2000",
        "evaluate.resample is not a parameter of this version. Correct its name, or delete it.",
    ]


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (
            without(PARAMS, "images.width").replace("images:", "images: &size", 1) + "\nmore: *size\n",
            "new: images.width",
        ),
        (PARAMS.replace("seed: 7", "seed: [7"), "params.yaml is not valid YAML"),
    ],
    ids=["an alias", "broken"],
)
def test_a_file_that_cannot_be_changed_without_harm_is_left_and_said(mine: str, words: str) -> None:
    with pytest.raises(ProjectError, match=words):
        of_params(mine, PARAMS)


def test_stages_follow_and_ones_own_stay() -> None:
    mine = STAGES.replace("      - data/splits.json:\n", "      - data/split.json:\n").replace("  audit:", "  mine:")
    mine = mine.replace("python -m pipeline.audit", "./mine.sh")
    found = of_stages(mine, STAGES)
    assert found.words == [
        "the stage preprocess has other dependencies, parameters, outputs or another command",
        "new: the stage audit",
    ]
    made, ours = yaml.safe_load(found.after)["stages"], yaml.safe_load(STAGES)["stages"]
    assert {name: stage for name, stage in made.items() if name != "mine"} == ours
    assert made["mine"]["cmd"] == "./mine.sh"
    assert "persist: true # an image stays in its split when others come" in found.after


def test_schedules_stay_and_flows_and_new_deployments_come() -> None:
    first, _, _ = SCHEDULES.partition("  - name: tidy")
    mine = first.replace("0 2 * * *", "30 3 * * *").replace("flows.nightly.nightly", "flows/nightly.py:nightly")
    found = of_schedules(mine, SCHEDULES)
    assert found.words == [
        "the flow of the deployment nightly is now flows.nightly.nightly, before flows/nightly.py:nightly",
        "new: the deployment tidy",
    ]
    assert found.after.rstrip() == SCHEDULES.replace("0 2 * * *", "30 3 * * *").rstrip()
    assert of_schedules(found.after, SCHEDULES).words == []


def test_nothing_is_written_before_it_is_asked_and_nothing_is_lost(tmp_path: Path) -> None:
    project = new_project(tmp_path / "leaves").folder
    mine = without(PARAMS, "images.white_level").replace("seed: 7 ", "seed: 99")
    (project / PARAMS_YAML).write_text(mine)
    before = {file: file.read_bytes() for file in project.glob("*.yaml")}
    said = nightshift("upgrade", cwd=project).stdout
    assert "params.yaml:\n  new: images.white_level, by default null\n  +  white_level: null" in said
    assert said.endswith("Nothing is written yet: `nightshift upgrade --write` does it.\n")
    assert {file: file.read_bytes() for file in project.glob("*.yaml")} == before
    said = nightshift("upgrade", "--write", cwd=project).stdout
    assert "params.yaml: written; the one before is params.yaml.old1." in said
    assert (project / "params.yaml.old1").read_text() == mine, "git does not have it"
    assert (project / PARAMS_YAML).read_text() == PARAMS.replace("seed: 7 ", "seed: 99")
    assert "There is nothing to write" in nightshift("upgrade", cwd=project).stdout
    (project / PARAMS_YAML).write_text(mine)
    run("git", "-c", "user.name=a", "-c", "user.email=a", "commit", "--quiet", "--all", "--message=x", cwd=project)
    assert "written; git has the one before" in nightshift("upgrade", "--write", cwd=project).stdout
    assert [name for name in os.listdir(project) if ".old" in name] == ["params.yaml.old1"]


@pytest.mark.parametrize("folder", [REPOSITORY, Path("/")], ids=["a clone", "no project"])
def test_upgrade_elsewhere_is_one_line(folder: Path) -> None:
    done = nightshift("upgrade", "--write", cwd=folder, check=False)
    assert done.returncode == 1
    assert ("is a clone of Nightshift's source" in done.stderr) == (folder == REPOSITORY)
    assert "Traceback" not in done.stderr
