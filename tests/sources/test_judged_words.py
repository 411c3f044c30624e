"""What an import of the judged images will do, as a terminal and a page say it."""

from pathlib import Path

from pipeline.sources.judged import JudgedPlan, Taken
from pipeline.sources.judged_words import plan_lines
from pipeline.sources.layout import Found, Item


def test_the_plan_names_new_classes_first_then_the_images_and_what_it_leaves(tmp_path: Path) -> None:
    new = tuple(Item("cat", f"{name}.png", Found(f"{name}.png", name)) for name in "abcd")
    rejected = (Taken("dog/x.png", "dog/x.png", "0"),)
    plan = JudgedPlan(tmp_path, new, rejected=rejected, there=2, new_labels=("cat",), unknown=("ants/1.jpg",))
    lines = plan_lines(plan)
    assert lines[0].startswith("New classes, which data/raw does not have yet: cat (4 images). If one is a slip")
    assert lines[1].startswith("4 images will be copied into data/raw as cat: a.png, b.png")
    assert lines[2] == (
        "1 rejected image will be taken out of data/raw to data/rejected, where nothing deletes them and no training "
        "sees them: dog/x.png"
    )
    assert lines[3].endswith("taken back: ants/1.jpg. Move them by hand or judge them again.")
    assert lines[4] == "2 images have the judged label already."


def test_a_plan_without_images_says_why() -> None:
    assert plan_lines(JudgedPlan(Path())) == ["Nothing is judged yet."]
    assert plan_lines(JudgedPlan(Path(), judged=1)) == ["Nothing to bring in."]
    [words] = plan_lines(JudgedPlan(Path(), judged=1, there=1))
    assert words == "Nothing to bring in: 1 image with a judgement in data/labels.jsonl has its label in data/raw."
