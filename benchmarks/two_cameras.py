"""The demo as two cameras, one of which gets dirty in the middle of a week: which nights name which camera?

    python -m benchmarks.two_cameras [--pictures FOLDER]      three minutes of processor time

Trains the demo in a project of its own (the head only), then runs seven nights over a folder that grows: each night
`gate-1` and `gate-2` add 20 solar cells each, three pictures of each ten seconds apart, with their time and camera in
EXIF, and each camera's light differs a little from night to night. In the fourth night gate-2 looks through a dirty
window (blurred by 2 pixels of 300, and half its contrast lost to haze); then somebody cleans it.

Prints what each morning page says of the cameras and how many events the night has. Ends with exit status 1 when the
fourth night does not name gate-2, or any other night names a camera. FOLDER: for pictures of the fourth morning page.

    python -m benchmarks.two_cameras --alarms                 a minute

How often ordinary nights name a camera: nights of 1, 2 and 8 cameras whose nights differ by a factor e^spread (the
standard deviation) in light and clarity, each by itself. `least fall`: of sharpness, named after so many nights.
"""

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFilter
from scipy.special import stdtrit

from pipeline.night.camera_looks import (
    FEWEST_NIGHTS,
    PRIOR,
    USUAL,
    CameraLook,
    compared,
    error_of,
    median_with_error,
)
from pipeline.night.summary import read_summary
from pipeline.storage.folders import folder_at
from tests.fixtures.left_behind import begin_session
from tests.fixtures.project import NIGHTSHIFT, new_project, run

NIGHTS, DIRTY = 7, 4
CELLS, PICTURES = 20, 3  # of a camera in a night, and of a cell
HEAD_ONLY = {
    "model": {"backbone": "efficientnet_lite0", "weights": "package"},
    "train": {"fine_tune": {"steps": 0}},
    "evaluate": {"robustness": False, "explained": 0, "resamples": 200},
    "audit": {"folds": 0},
}
FIRST = datetime.datetime(2026, 11, 1, 2, tzinfo=datetime.UTC)


def trained(folder: Path) -> Path:
    """A project with the demo, trained."""
    project = new_project(folder, HEAD_ONLY, per_class=0)
    for words in (("data", "demo"), ("train",)):
        print(f"nightshift {' '.join(words)}", flush=True)
        run(str(NIGHTSHIFT), *words, cwd=project)
    return project


def exif(camera: str, at: datetime.datetime) -> Image.Exif:
    """Time, its offset and the camera, as `nightshift collect` writes them."""
    found = Image.Exif()
    found[ExifTags.Base.Make], found[ExifTags.Base.Model] = "Nightshift", camera
    found.get_ifd(ExifTags.IFD.Exif).update({
        ExifTags.Base.DateTimeOriginal: f"{at:%Y:%m:%d %H:%M:%S}", ExifTags.Base.OffsetTimeOriginal: "+00:00",
    })  # fmt: skip
    return found


def take(folder: Path, camera: str, night: int, cells: list[Path], rng: np.random.Generator, dirty: bool) -> None:
    """Write a camera's pictures of a night: three of each cell, moved by a pixel or two."""
    light = float(np.exp(rng.normal(0, 0.1)))
    for number, cell in enumerate(cells):
        whole = Image.open(cell).convert("RGB").point(lambda value: min(255, value * light))
        for picture in range(PICTURES):
            left, top = rng.integers(0, 4, 2).tolist()
            seen = whole.crop((left, top, left + whole.width - 4, top + whole.height - 4)).resize(whole.size)
            if dirty:
                seen = seen.filter(ImageFilter.GaussianBlur(2))
                seen = Image.blend(seen, Image.new("RGB", seen.size, (130, 130, 130)), 0.5)
            at = FIRST + datetime.timedelta(days=night - 1, minutes=2 * number, seconds=10 * picture)
            file = folder / camera / f"{at:%Y-%m-%d}" / f"{camera}_{at:%Y%m%dT%H%M%SZ}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            seen.save(file, quality=92, exif=exif(camera, at))


def week(project: Path) -> bool:
    """Run the nights; whether each names what it must."""
    rng, right = np.random.default_rng(11), True
    cells = rng.permutation(sorted((project / "data/raw").rglob("*.png"))).tolist()
    for night in range(1, NIGHTS + 1):
        for camera in ("gate-1", "gate-2"):
            drawn, cells = cells[:CELLS], cells[CELLS:]
            take(project / "photos", camera, night, drawn, rng, dirty=(camera, night) == ("gate-2", DIRTY))
        output = project / "predictions" / f"{FIRST + datetime.timedelta(days=night - 1):%Y-%m-%d}"
        run(str(NIGHTSHIFT), "classify", "photos", str(output.relative_to(project)), cwd=project)
        summary = read_summary(folder_at(output))
        if not summary or not summary.cameras or not summary.events:
            sys.exit(f"{output} has no summary with cameras and events.")
        changed = {name: look.changed for name, look in summary.cameras.items() if look.changed}
        right = right and changed == ({"gate-2": ("dirty",)} if night == DIRTY else {})
        page = (output / "morning.html").read_text(encoding="utf-8")
        right = right and ("gate-2 looks dirty" in page) == (night == DIRTY)
        sizes = ", ".join(
            f"{name} {look.images} pictures, sharpness {look.sharpness:.0f}, contrast {look.contrast:.1f}"
            for name, look in summary.cameras.items()
        )
        print(f"night {night}: {summary.events.events} events; {sizes}; names {changed or 'none'}", flush=True)
        for words in summary.changed_cameras.values():
            print(f"  {words}")
    return right


def look_at(project: Path, pictures: Path) -> None:
    """Photograph the dirty night's morning page as a browser shows it."""
    from tests.fixtures.browser import browser

    pictures.mkdir(parents=True, exist_ok=True)
    page_of = project / "predictions" / f"{FIRST + datetime.timedelta(days=DIRTY - 1):%Y-%m-%d}" / "morning.html"
    with browser("") as page:
        page.goto(page_of.as_uri())
        page.screenshot(path=pictures / "morning_top.png")
        for name in ("events", "cameras"):
            page.locator(f"#{name}").evaluate("one => one.scrollIntoView()")
            page.screenshot(path=pictures / f"morning_{name}.png")


def alarms() -> None:
    """Print the shares of ordinary nights that name a camera, and the falls that are found."""
    rng, nights, tries = np.random.default_rng(1), 21, 60
    print(f"{'cameras':>8} {'spread':>7} {'nights that name one':>21}")
    for cameras in (1, 2, 8):
        for spread in (0.1, 0.2, 0.3, 0.4, 0.6):
            named = 0
            for _ in range(tries):
                past: list[list[CameraLook]] = [[] for _ in range(cameras)]
                for night in range(nights):
                    tonight = [ordinary(rng, spread) for _ in past]
                    if night >= FEWEST_NIGHTS:
                        tonight = [
                            compared("gate", look, earlier[::-1], cameras)
                            for look, earlier in zip(tonight, past, strict=True)
                        ]
                        named += any(look.changed for look in tonight)
                    for look, earlier in zip(tonight, past, strict=True):
                        earlier.append(look)
            print(f"{cameras:8} {spread:7} {named / tries / (nights - FEWEST_NIGHTS):21.1%}", flush=True)
    print("\nleast fall of sharpness that is found, two cameras, nights that differ by 10 %:")
    for before in (2, 3, 5, 7, 14):
        freedom = PRIOR + before - 1
        error = np.sqrt((PRIOR * USUAL["clarity"] ** 2 + (before - 1) * 0.1**2) / freedom * (1 + 1 / before))
        print(f"after {before:2} nights: to {np.exp(stdtrit(freedom, error_of(2)) * error):.0%}")


def ordinary(rng: np.random.Generator, spread: float) -> CameraLook:
    """A night of 40 pictures that differs from others by chance."""
    seen = {name: median_with_error(rng.normal(rng.normal(0, spread), 0.3, 40)) for name in USUAL}
    return CameraLook(images=40, until="", how="", brightness=1, contrast=1, sharpness=1, measures=seen)


def main() -> int:
    """Run the week, or count alarms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--alarms", action="store_true")
    asked = parser.parse_args()
    if asked.alarms:
        alarms()
        return 0
    begin_session()
    with tempfile.TemporaryDirectory() as temporary:
        project = trained(Path(temporary) / "project")
        right = week(project)
        if asked.pictures:
            look_at(project, asked.pictures)
    print("Each night names what it must." if right else "A night names what it must not, or misses what it must.")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
