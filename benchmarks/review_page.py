"""How fast a person works at the review page, and how long the page itself takes for a click.

    python -m benchmarks.review_page NIGHT            labels a minute, with human delays, by sweep and one by one
    python -m benchmarks.review_page --clicks 10000   the page's own time a click, at so many images

Run the first in a copy of a project: it judges images. NIGHT: a finished night's folder, such as predictions/demo.
The script looks 0.6 s at each image that stands alone, and 0.6 s at each of a sweep's screens for every 6 images on it
(a person sees a wrong one among six at a glance); a wrong one costs another 0.6 s. It knows the answers from the
labels of data/raw, by content, where NIGHT's images are in there; else it agrees with the model.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image
from playwright.sync_api import Page

from pipeline.core.paths import MANIFEST
from pipeline.params.data import Images
from pipeline.review.address import LOOPBACK, hosts
from pipeline.review.app import make_app
from pipeline.review.guard import Guard
from pipeline.review.of_night import open_night
from pipeline.review.opened import Opened
from pipeline.review.pictures import Pictures
from pipeline.review.serve import listening
from pipeline.review.session import Session
from pipeline.review.waiting import Candidate, Waiting
from pipeline.storage.files import sha256
from pipeline.storage.folders import folder_at
from tests.fixtures.browser import browser

GLANCE = 0.6  # seconds
AT_A_GLANCE = 6  # small pictures of a sweep
ALONE, CLICKS = 40, 300  # images one by one; clicks whose time is taken
TOKEN = "benchmark"  # noqa: S105


@contextmanager
def serving(session: Session, folder: Path) -> Iterator[str]:
    """The address of a server for this review."""
    with listening(None, 0) as its_socket:
        port = its_socket.getsockname()[1]
        app = Guard(make_app(session, Pictures(session.opened.images, folder / "cache")), TOKEN, hosts(port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [its_socket]})
        thread.start()
        yield f"http://{LOOPBACK}:{port}/?token={TOKEN}"
        server.should_exit = True
        thread.join()


def enter(page: Page, address: str, way: str) -> None:
    """Come to the page as the user of this machine, and choose a way."""
    page.goto(address)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("tab", name=way).click()


def truth() -> dict[str, str]:
    """SHA-256 -> label of the images in data/raw."""
    if not MANIFEST.is_file():
        return {}
    import pandas as pd

    table = pd.read_parquet(MANIFEST, columns=["sha256", "label"])
    return dict(zip(table["sha256"], table["label"], strict=True))


def swept(page: Page, known: dict[str, str]) -> None:
    """Sweep all classes."""
    for label in page.eval_on_selector_all(".classes bdi", "all => all.map(one => one.textContent)"):
        page.locator(".classes button", has=page.locator("bdi", has_text=label)).click()
        page.wait_for_function(IS_OPEN, arg=label)
        while shown := page.evaluate(ON_SCREEN):
            time.sleep(GLANCE * len(shown) / AT_A_GLANCE)
            for tile in shown:
                if known.get(tile["sha256"], label) != label:
                    time.sleep(GLANCE)
                    page.locator(f"#{tile['id']}").click()
            page.keyboard.press("Enter")
            page.wait_for_timeout(200)


IS_OPEN = """label => document.querySelector(".classes [aria-selected=true] bdi").textContent === label
  && document.querySelector(".confirm").textContent.includes(label)
  && [...document.querySelectorAll(".tile img")].slice(0, 20).every((one) => one.naturalWidth)
  && document.querySelector(".tile")"""
ON_SCREEN = """() => {
  const box = document.querySelector(".scroller").getBoundingClientRect();
  return [...document.querySelectorAll(".tile")].filter((one) => {
    const { top, height } = one.getBoundingClientRect();
    return top + height * 0.4 > box.top && top + height * 0.4 < box.bottom && one.querySelector("img").naturalWidth;
  }).map((one) => ({ id: one.id, sha256: one.querySelector("img").src.split("/").pop() }));
}"""


def alone(page: Page, known: dict[str, str]) -> None:
    """Judge ALONE images one by one."""
    labels = page.eval_on_selector_all(".label .name", "all => all.map(one => one.textContent)")
    for _ in range(ALONE):
        path = page.locator(".path").text_content()
        page.wait_for_function("document.querySelector('.viewer .large').complete")
        time.sleep(GLANCE)
        image = (page.locator(".viewer .large").get_attribute("src") or "").split("/")[-1]
        page.keyboard.press(str(1 + labels.index(known[image])) if known.get(image) in labels else "Enter")
        page.wait_for_function("path => document.querySelector('.path')?.textContent !== path", arg=path)


def with_a_person(night: Path) -> None:
    """Labels a minute by both ways."""
    known, room = truth(), Path(tempfile.mkdtemp())
    for way, work in (("Sweep", swept), ("One by one", alone)):
        (room / way).mkdir()
        session = Session(open_night(folder_at(night)), room / way / "data/labels.jsonl")
        with serving(session, room) as address, browser(address) as page:
            enter(page, address, way)
            page.wait_for_timeout(1000)
            began = time.monotonic()
            work(page, known)
            count, seconds = session.progress.done, time.monotonic() - began
        say(f"{way}: {count} images in {seconds:.0f} s: {60 * count / seconds:.0f} labels a minute")


def many(folder: Path, count: int) -> Opened:
    """A night of so many images: each a file with bytes of its own, as the page shows no other."""
    rng = np.random.default_rng(0)
    labels = tuple(f"class {number}" for number in range(8))
    waiting = []
    for number in range(count):
        file, label = folder / f"{number}.jpg", labels[number % 8]
        Image.fromarray(rng.integers(0, 255, (25, 25, 3), np.uint8)).resize((200, 200)).save(file)
        candidates = (Candidate(label, 0.6), Candidate(labels[(number + 1) % 8], 0.3))
        confidence = 0.5 + number / (2 * count)
        waiting.append(
            Waiting(sha256(file.read_bytes()), file.name, str(file), "night", "", label, confidence, candidates)
        )
    rules = Images(width=224, height=224, fit="stretch", max_megapixels=10)
    return Opened("many", "Many", "", tuple(waiting), labels, rules)


def clicks(count: int) -> None:
    """From a key to the next image, and from a key to the server's word that it is on the disk."""
    room = Path(tempfile.mkdtemp())
    session = Session(many(room, count), room / "data/labels.jsonl")
    with serving(session, room) as address, browser(address) as page:
        enter(page, address, "One by one")
        page.wait_for_selector(".path")
        report("one by one, key to next image", page.evaluate(NEXT_IMAGE, CLICKS))
        report("one by one, key to on the disk", page.evaluate(ON_DISK, CLICKS))
        page.get_by_role("tab", name="Sweep").click()
        page.wait_for_selector(".tile")
        report("sweep, click to mark drawn", page.evaluate(MARKED, CLICKS))
        report("sweep, scrolling, frame", page.evaluate(SCROLLED))
        say(f"tiles that exist at once: {page.locator('.tile').count()} of {count // 8}")


NEXT_IMAGE = """async (count) => {
  const times = [];
  for (let number = 0; number < count; number += 1) {
    while (document.querySelector(".viewer.loading")) await new Promise((done) => setTimeout(done, 5));
    const path = () => document.querySelector(".path").textContent;
    const [before, began] = [path(), performance.now()];
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    while (path() === before) await new Promise((done) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = done; port2.postMessage(0); });
    times.push(performance.now() - began);
    await new Promise((done) => setTimeout(done, 30));
  }
  return times;
}"""  # noqa: E501
ON_DISK = """async (count) => {
  const times = [];
  for (let number = 0; number < count; number += 1) {
    while (document.querySelector(".viewer.loading")) await new Promise((done) => setTimeout(done, 5));
    performance.clearResourceTimings();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    let found;
    while (!found) {
      await new Promise((done) => setTimeout(done, 5));
      found = performance.getEntriesByType("resource").find((one) => one.name.endsWith("api/judgements"));
    }
    times.push(found.responseEnd - found.startTime);
    await new Promise((done) => setTimeout(done, 150)); // as fast as nobody clicks
  }
  return times;
}"""
MARKED = """async (count) => {
  const times = [];
  for (let number = 0; number < count; number += 1) {
    const tile = document.querySelectorAll(".tile")[number % 20];
    const began = performance.now();
    tile.click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - began);
  }
  return times;
}"""
SCROLLED = """async () => {
  const [scroller, times] = [document.querySelector(".scroller"), []];
  let before = performance.now();
  for (let number = 0; number < 240; number += 1) {
    scroller.scrollTop += 90;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - before);
    before = now;
  }
  return times;
}"""


def report(words: str, times: list[float]) -> None:
    """A line of milliseconds."""
    p95 = statistics.quantiles(times, n=20)[-1]
    say(f"{words}: median {statistics.median(times):.1f} ms, p95 {p95:.1f} ms ({len(times)})")


def say(words: str) -> None:
    """A line of the result."""
    print(words, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("night", nargs="?", type=Path)
    parser.add_argument("--clicks", type=int, metavar="IMAGES")
    asked = parser.parse_args()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if asked.clicks:
        clicks(asked.clicks)
    elif asked.night:
        with_a_person(asked.night)
    else:
        parser.print_help(sys.stderr)
