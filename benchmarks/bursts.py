"""What does a split by chance leak where cameras take bursts, and does ours?

    python -m benchmarks.bursts PHOTOS [--seeds 20]

PHOTOS: a folder of photographs whose names sort by kind. Of each come one frame or several, 1,000 in all, by small
moves, crops and changes of the light, with EXIF times seconds apart; photographs follow each other by ten minutes, at
four cameras. Ten classes: neighbours in the order of names. Per seed 30 % of the scenes are the next season, which no
split sees; the others are split by chance, by near-duplicates alone, and by near-duplicates and bursts, each with the
project's own code. A last layer is fitted to the frozen features of the shipped backbone. `optimism` is what the test
images promise above what the next season gives. `nothing to learn` are the same images with a class drawn for each
scene: right is one in ten.
"""

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageEnhance

from pipeline.data.manifest import build_manifest
from pipeline.data.partners import joined_by, partners, partners_in_words
from pipeline.data.split_units import scenes
from pipeline.data.splits import draw_splits
from pipeline.images.decode import decode
from pipeline.params.data import Fractions
from pipeline.params.file import Params, load_params
from pipeline.review import head
from pipeline.review.backbone import load_backbone

IMAGES, CLASSES, CAMERAS, SIDE = 1000, 10, 4, 360
NEXT_SEASON = 0.3
BEGIN = datetime.datetime(2024, 5, 1, 6, 0, 0)
TAG = ExifTags.Base


def frame(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same scene a moment later: moved by up to a tenth, a little nearer or farther, lighter or darker."""
    side = rng.uniform(0.8, 0.95)
    left, top = rng.uniform(0, 1 - side, 2)
    box = (left * photo.width, top * photo.height, (left + side) * photo.width, (top + side) * photo.height)
    moved = photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    return ImageEnhance.Brightness(moved).enhance(rng.uniform(0.75, 1.25))


def write_season(photos: list[Path], raw: Path, rng: np.random.Generator) -> None:
    """The images below `raw`, one folder a class; a file's name begins with the number of its scene."""
    sizes = 1 + rng.multinomial(IMAGES - len(photos), [1 / len(photos)] * len(photos))
    for scene, (photo, size) in enumerate(zip(photos, sizes, strict=True)):
        folder = raw / f"class-{scene * CLASSES // len(photos)}"
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as opened:
            whole = opened.convert("RGB")
        at = BEGIN + datetime.timedelta(minutes=10 * (scene // CAMERAS))
        for number in range(size):
            at += datetime.timedelta(seconds=int(rng.integers(1, 8)))
            exif = Image.Exif()
            exif[TAG.Make], exif[TAG.Model] = "Trap", f"gate-{scene % CAMERAS}"
            exif.get_ifd(ExifTags.IFD.Exif)[TAG.DateTimeOriginal] = f"{at:%Y:%m:%d %H:%M:%S}"
            frame(whole, rng).save(folder / f"{scene:03d}-{number}.jpg", quality=90, exif=exif.tobytes())


def features_of(raw: Path, paths: pd.Series, params: Params) -> NDArray[np.float32]:
    """(n, d), of the frozen backbone."""
    backbone = load_backbone(params)
    found = []
    for path in paths:
        pixels = decode((raw / path).read_bytes(), params.images).pixels
        found.append(np.asarray(backbone.network(pixels[np.newaxis]))[0])
    return np.stack(found)


def by_chance(manifest: pd.DataFrame, fractions: Fractions, seed: int) -> pd.Series:
    """Image by image, as scikit-learn's train_test_split."""
    names = np.repeat(
        ["train", "val", "test"], np.round(np.array([fractions.train, fractions.val, fractions.test]) * 1e6).astype(int)
    )
    drawn = names[np.linspace(0, len(names) - 1, len(manifest)).astype(int)]
    return pd.Series(np.random.default_rng(seed).permutation(drawn), index=manifest.index)


def by_units(manifest: pd.DataFrame, fractions: Fractions, seed: int) -> pd.Series:
    """As `preprocess` does."""
    return draw_splits(manifest, fractions, seed).splits


def by_looks(manifest: pd.DataFrame, fractions: Fractions, seed: int) -> pd.Series:
    """As `preprocess` did before bursts were known."""
    return by_units(manifest.drop(columns=["burst", "subject"]), fractions, seed)


SPLITS: dict[str, Callable[[pd.DataFrame, Fractions, int], pd.Series]] = {
    "by chance": by_chance, "near-duplicates": by_looks, "and bursts (ours)": by_units,
}  # fmt: skip


def measured(
    season: pd.DataFrame,
    features: NDArray[np.float32],
    labels: NDArray[np.str_],
    split: pd.Series,
    new: NDArray[np.bool_],
) -> dict[str, float]:
    """Shares: test images with a frame of their scene in training, accuracy on them, and on the next season."""
    scene, train, test = season["scene"].to_numpy(), (split == "train").to_numpy(), (split == "test").to_numpy()
    old = np.flatnonzero(~new)
    layer = head.fit(features[old[train]], labels[old[train]].tolist())

    def accuracy(rows: NDArray[np.int64]) -> float:
        answers = np.array(layer.labels)[layer.probabilities(features[rows]).argmax(axis=1)]
        return float((answers == labels[rows]).mean())

    leaked = float(np.isin(scene[test], scene[train]).mean())
    return {"leaked": leaked, "test": accuracy(old[test]), "next season": accuracy(np.flatnonzero(new))}


def main(photos: Path, seeds: int) -> None:
    """Print the table."""
    params = load_params()
    fractions, limits = params.preprocess.fractions, params.validate_
    with TemporaryDirectory() as room:
        raw = Path(room) / "raw"
        write_season(sorted(photos.glob("*.jpg")), raw, np.random.default_rng(0))
        manifest = build_manifest(raw, params.images, params.compute.threads, Path(room) / "memory")
        features = features_of(raw, manifest["path"], params)
    manifest = manifest.assign(scene=manifest["path"].str.extract(r"/(\d+)-", expand=False))
    manifest["cluster"] = scenes(manifest, limits.near_duplicate_bits, limits.checks.blank.below).cluster
    found = partners(manifest, params.preprocess.burst_seconds)
    manifest = manifest.assign(burst=found.burst, subject=found.subject)
    said = joined_by(manifest, fractions.train)
    print(f"{len(manifest)} images of {manifest['scene'].nunique()} scenes")
    print(*partners_in_words(said, params.preprocess.burst_seconds))
    rows = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        of_scenes = manifest.groupby("scene")["label"].first()
        later = of_scenes.groupby(of_scenes).sample(frac=NEXT_SEASON, random_state=seed).index  # as many of each class
        new = manifest["scene"].isin(later).to_numpy()
        drawn = dict(zip(of_scenes.index, rng.integers(0, CLASSES, len(of_scenes)).astype(str), strict=True))
        kinds = {"kinds": manifest["label"], "nothing to learn": manifest["scene"].map(drawn)}
        for kind, labels in kinds.items():
            season = manifest.assign(label=labels)[~new].reset_index(drop=True)
            for name, split in SPLITS.items():
                numbers_of = measured(season, features, labels.to_numpy(str), split(season, fractions, seed), new)
                rows.append({"classes": kind, "split": name, **numbers_of})
    table = pd.DataFrame(rows)
    table["optimism"] = table["test"] - table["next season"]
    means = table.groupby(["classes", "split"], sort=False).agg(["mean", "std"]) * 100
    print(means.round(1).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    main(arguments.photos, arguments.seeds)
