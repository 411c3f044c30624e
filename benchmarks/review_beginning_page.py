"""From images without labels to a registered model by the page alone, in Chromium: clicks, minutes, accuracy.

    python benchmarks/review_beginning_page.py LABELLED PROJECT    long; again where it stopped

LABELLED is a folder <class>/<image>, such as data/raw of the demo: 500 of its images are copied under other names into
a folder without labels. PROJECT is made. A script sits at the page of `nightshift review FOLDER` and answers as a
person would who knows the truth: it clicks what is wrong, presses one key for the rest, then brings in and trains by
the buttons, until the page says the version. SCREENSHOTS names a folder for pictures of that. At the end the model
answers for the images that were left.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from review_beginning import COUNT, READER, Person, run, try_on, unlabelled

from pipeline.data.judgements import every_judgement

MOST = 5 * 60_000  # milliseconds for one answer of the page
READY = """() => (document.querySelector(".groupgrid .tile") && !document.querySelector(".classes-made .quiet"))
  || /^(\\d[\\d,]*) of \\1 judged/.test(document.querySelector("#progress").textContent)"""
TILES = """() => [...document.querySelectorAll(".groupgrid .tile")].map(
  (tile) => [tile.querySelector("img").alt, tile.querySelector(".said").textContent])"""
ARE_SHOWN = """(paths) => JSON.stringify(paths)
  === JSON.stringify([...document.querySelectorAll(".groupgrid .tile img")].map((image) => image.alt))"""


def main(labelled: Path, project: Path) -> None:
    """All the way, in a new project."""
    if not project.exists():
        run("init", str(project), cwd=Path.cwd())
    os.chdir(project)
    folder = Path("photos")
    folder.mkdir(exist_ok=True)
    truth, rest = unlabelled(labelled, folder, COUNT)
    words = ["nightshift", "review", str(folder), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        address = next(line.strip() for line in server.stdout or () if line.startswith("http"))
        try:
            at_the_page(address, truth)
        finally:
            server.terminate()
    given = {one.path: one.label for one in every_judgement()}
    print(f"labels given: {sum(given.get(path) == label for path, label in truth.items())} of {len(truth)} right")
    try_on(rest)


def at_the_page(address: str, truth: Mapping[str, str]) -> None:
    """Judge, bring in, train, and wait until the page says the version."""
    person, began = Person(truth), time.monotonic()
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = opened.new_page(viewport={"width": 1200, "height": 800})
        page.set_default_timeout(MOST)
        page.goto(address)
        page.get_by_label("Name").fill(READER)
        page.get_by_role("button", name="Begin").click()
        judge_all(page, person)
        print(f"judged: {cost_of(person)}; the script, and the heads between, took {minutes_since(began):.1f} minutes")
        began = time.monotonic()
        if page.locator("#training").is_hidden():
            for button in ("#bring", "#plan-agree", "#plan-train", "#training-start"):
                page.locator(button).click()
                person.clicks += 1
            page.keyboard.press("Escape")
        told = wait_for_version(page)
        print(f"brought in and trained in {minutes_since(began):.1f} minutes; all clicks and keys: {person.clicks}")
        print("the page says:\n  " + "\n  ".join(told))
        opened.close()


def judge_all(page: Page, person: Person) -> None:
    """Answer one group after the other, by mouse and keys, until every image is judged."""
    said_enough = False
    while True:
        page.wait_for_function(READY)
        if not (tiles := page.evaluate(TILES)):
            return
        person.glances += len(tiles)
        with page.expect_response("**/part/group?**") as asked:
            answer(page, person, tiles)
        group = asked.value.json()["group"]
        page.wait_for_function(ARE_SHOWN, arg=[tile["p"] for tile in group["tiles"]] if group else [])
        if not said_enough and page.locator(".classes-made .next").count():
            said_enough = True
            words = " ".join(page.locator(".classes-made > p:not(.quiet)").all_text_contents())
            print(f"enough, it says, after {cost_of(person)}: {words}")


def answer(page: Page, person: Person, tiles: list[tuple[str, str]]) -> None:
    """Label a group. tiles: the path of each image, and the label that is shown."""
    labels = [person.truth[path] for path, _ in tiles]
    if any(label for _, label in tiles):
        for place, label in enumerate(labels):
            tile = page.locator(".groupgrid .tile").nth(place)
            if tile.locator(".said").text_content() != label:
                click(page, person, place)
            if tile.locator(".said").text_content() != label:  # the click gave another one, or none
                give(page, person, label)
        page.keyboard.press("Enter")
        person.clicks += 1
        person.given |= {path: label for (path, _), label in zip(tiles, labels, strict=True)}
        return
    most = max(labels, key=labels.count)
    for place, label in enumerate(labels):
        if label != most:
            click(page, person, place)
    give(page, person, most)
    person.given |= {path: most for (path, _), label in zip(tiles, labels, strict=True) if label == most}


def click(page: Page, person: Person, place: int) -> None:
    """Say that an image of the group has another label."""
    page.locator(".groupgrid .tile").nth(place).click()
    person.clicks += 1


def give(page: Page, person: Person, label: str) -> None:
    """Choose a label by its digit; a new one by its name."""
    names = page.locator(".sweepbar .label .name").all_text_contents()
    if label in names:
        page.keyboard.press(str(names.index(label) + 1))
    else:
        page.get_by_label("label", exact=True).fill(label)
        page.keyboard.press("Enter")
        person.names.add(label)
    person.clicks += 1


def wait_for_version(page: Page) -> list[str]:
    """What the page says of the training when that has ended."""
    pictures, taken = os.environ.get("SCREENSHOTS"), False
    words = page.locator("#training span")
    while (said := words.text_content() or "").startswith("Training"):
        if pictures and not taken and "step" in said:
            page.screenshot(path=Path(pictures) / "training_runs.png")
            taken = True
        page.wait_for_timeout(1000)
    page.get_by_role("button", name="Details").click()
    page.locator("#training-lines li").nth(1).wait_for()
    if pictures:
        page.screenshot(path=Path(pictures) / "training_done.png")
    return page.locator("#training-now p").all_text_contents()


def cost_of(person: Person) -> str:
    """What it has cost the person so far."""
    return f"{len(person.given)} images, {person.clicks} clicks and keys, {person.minutes:.1f} minutes"


def minutes_since(began: float) -> float:
    """By the machine's clock."""
    return (time.monotonic() - began) / 60


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*(Path(word).absolute() for word in sys.argv[1:]))
