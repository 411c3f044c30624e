"""First labels without training: CLIP or SigLIP, through KerasHub, picks the description that fits an image best.

Learning Transferable Visual Models From Natural Language Supervision, Radford et al., 2021. Writes a table that
`nightshift data import` reads; trains nothing.
"""

import csv
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.backbones.hub import PresetError, faults, on_this_machine, scaling_of
from pipeline.backbones.keras_file import import_keras_hub
from pipeline.backbones.weights import first_line
from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.text import shown
from pipeline.model.engine import probabilities
from pipeline.night.reading import Decoded, Reading, read_images
from pipeline.params.data import Images
from pipeline.params.file import Params
from pipeline.storage.files import replacing
from pipeline.storage.folders import folder_at
from pipeline.storage.listing import list_images

PROPOSAL_COLUMNS = ("path", "label", "confidence", "label_2", "confidence_2")
BATCH_SIZE = 32
ARTICLES = ("a ", "an ", "the ")
NAMED = 20  # unreadable files, in the warning


@dataclass(frozen=True, slots=True)
class Words:
    """The descriptions that images are compared with."""

    labels: tuple[str, ...]
    prompts: tuple[str, ...]  # one for each label


@dataclass(frozen=True, slots=True)
class TextAndImages:
    """A loaded preset that compares images with the descriptions."""

    images: Images  # how the preset takes images
    infer: Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (n, height, width, 3) -> logits (n, words)


def read_words(text: str) -> Words:
    """`a cat, a dog` or `cat=a photo of a cat, dog=a photo of a dog`. Raises NightshiftError if there is only one."""
    pairs = [(left.strip(), right.strip()) for left, _, right in (part.partition("=") for part in text.split(","))]
    labels = tuple(label if prompt else _without_article(label) for label, prompt in pairs)
    if len(set(labels)) != len(labels) or len(labels) < 2 or not all(labels):
        raise NightshiftError(
            f"--zero-shot {shown(text)}: give at least two different descriptions, separated by commas, "
            'such as "a cat, a dog", or with the label before each: "cat=a photo of a cat, dog=a photo of a dog".'
        )
    return Words(labels, tuple(prompt or label for label, prompt in pairs))


def _without_article(words: str) -> str:
    article = next((one for one in ARTICLES if words.lower().startswith(one)), "")
    return words[len(article) :].strip()


def load_preset(preset: str, words: Words, max_megapixels: float) -> TextAndImages:
    """Load CLIP or SigLIP from `preset`, which has the format of `model.weights` for a keras_hub backbone.

    Raises PresetError when it cannot be loaded or does not compare images with text.
    """
    import keras

    hub = import_keras_hub()
    source = on_this_machine(preset)
    try:
        backbone: Any = hub.models.Backbone.from_preset(source)
        kind = type(backbone).__name__.removesuffix("Backbone")
        if not hasattr(backbone, "get_text_embeddings"):
            raise PresetError(
                f"The preset {preset} ({kind}) does not read text. CLIP, MetaCLIP 2 and SigLIP presets do."
            )
        preprocessor = getattr(hub.models, f"{kind}Preprocessor").from_preset(source)
        scale, offset = scaling_of(hub, source, preset)
    except faults() as error:
        raise PresetError(
            f"The preset {preset} could not be loaded. --preset takes a name that KerasHub knows (it is downloaded), "
            f"hf://owner/name, or a folder with a model, its tokenizer and its preprocessing. {first_line(error)}"
        ) from error
    height, width = backbone.vision_encoder.image_shape[:2]
    none = np.zeros((len(words.prompts), height, width, 3), np.float32)  # the model needs images too
    tokens = preprocessor({"prompts": list(words.prompts), "images": none})["token_ids"]
    text = backbone.get_text_embeddings(tokens)
    head = next(layer for layer in backbone.layers if layer.name.endswith("_head"))
    inputs = keras.Input((height, width, 3))
    scaled = keras.layers.Rescaling(scale, offset, dtype="float32")(inputs)
    tower = keras.Model(inputs, backbone.get_vision_embeddings(scaled))

    def infer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        vision_logits, _ = head(tower.predict_on_batch(batch.astype(np.float32)), text)
        return np.asarray(vision_logits, np.float32)

    return TextAndImages(Images(width=width, height=height, fit="crop", max_megapixels=max_megapixels), infer)


def label(folder: Path, table: Path, words: Words, preset: str, params: Params) -> dict[str, int]:
    """Write `table`, a row for each readable image in `folder`; returns the number of images per label.

    The paths are absolute, for `nightshift data import`. Raises NightshiftError when the folder holds no images.
    """
    paths = [listed.path for listed in list_images(folder)]
    if not paths:
        raise NightshiftError(f"{folder} contains no image files (by extension or content). Check the path.")
    model = load_preset(preset, words, params.images.max_megapixels)
    threads = params.compute.threads
    reads = read_images(
        folder_at(folder), paths, model.images, Reading(threads, 2 * BATCH_SIZE, params.batch.file_timeout)
    )
    counts = dict.fromkeys(words.labels, 0)
    unreadable: list[str] = []

    def readable() -> Iterator[Decoded]:
        for read in tqdm(reads, "label", total=len(paths), unit="image"):
            if isinstance(read, Decoded):
                yield read
            else:
                unreadable.append(read.path)

    with replacing(table) as beside, beside.open("w", encoding="utf-8", newline="", errors="surrogateescape") as out:
        writer = csv.writer(out)
        writer.writerow(PROPOSAL_COLUMNS)
        found = readable()
        while batch := list(itertools.islice(found, BATCH_SIZE)):
            answers = probabilities(model.infer(np.stack([read.picture.pixels for read in batch])), 1.0)
            for read, answer in zip(batch, answers, strict=True):
                first, second = np.argsort(-answer, kind="stable")[:2]
                counts[words.labels[first]] += 1
                best = [text for rank in (first, second) for text in (words.labels[rank], f"{answer[rank]:.4f}")]
                writer.writerow([folder.absolute() / read.path, *best])
    if unreadable:
        log.warning(
            "%d files could not be read and have no row: %s%s",
            len(unreadable), ", ".join(map(shown, unreadable[:NAMED])),
            ", ..." if len(unreadable) > NAMED else "",
        )  # fmt: skip
    return counts
