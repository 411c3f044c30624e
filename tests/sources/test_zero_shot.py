"""First labels by words alone: of tiny random CLIP and SigLIP models, whose answers are computed here by hand."""

import csv
import io
from pathlib import Path

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from pipeline.backbones.hub import PresetError
from pipeline.core.errors import NightshiftError
from pipeline.images.decode import decode
from pipeline.params.data import Images
from pipeline.params.file import load_params
from pipeline.sources.copy import import_from
from pipeline.sources.zero_shot import Words, label, read_words
from tests.fixtures.images import save_image
from tests.fixtures.towers import OFFSET, SCALE, clip, converters, models, siglip, vit

WORDS = Words(("cat", "dog", "toad"), ("a cat", "a dog", "a toad"))
RULES = Images(width=32, height=32, fit="crop", max_megapixels=100)


def clip_preprocessor() -> object:
    tokens = ["<|startoftext|>", "<|endoftext|>", "a</w>", "c", "d", "o", "t</w>", "g</w>", "a"]
    tokenizer = models.CLIPTokenizer({token: number for number, token in enumerate(tokens)}, ["#version: 0.2"])
    converter = converters.CLIPImageConverter(image_size=(32, 32), scale=SCALE, offset=OFFSET)
    return models.CLIPPreprocessor(tokenizer, converter, sequence_length=4)


def siglip_preprocessor() -> object:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a cat dog toad frog"]), model_writer=written, vocab_size=9, model_type="WORD",
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, unk_piece="<unk>", hard_vocab_limit=False,
    )  # fmt: skip
    tokenizer = models.SigLIPTokenizer(proto=written.getvalue())
    converter = converters.SigLIPImageConverter(image_size=(32, 32), scale=SCALE, offset=OFFSET)
    return models.SigLIPPreprocessor(tokenizer, converter, sequence_length=4)


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("presets")
    keras.utils.set_random_seed(2)
    for name, backbone, preprocessor in (
        ("clip", clip(), clip_preprocessor()),
        ("siglip", siglip(), siglip_preprocessor()),
    ):
        backbone.save_to_preset(folder / name)
        preprocessor.save_to_preset(folder / name)  # type: ignore[attr-defined]
    vit().save_to_preset(folder / "vit")
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(40):
        save_image(tmp_path / "images" / f"{number:02d}, =a.png", seed=number, width=40, height=36)
    (tmp_path / "images/07b.png").write_text("none")
    return tmp_path / "images"


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_each_image_has_the_words_that_the_model_itself_finds_best(
    presets: Path, images: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "labels.csv"
    counts = label(images, table, WORDS, str(presets / name), load_params())
    rows = [*csv.DictReader(table.open(encoding="utf-8", newline=""))]
    files = sorted(file for file in images.iterdir() if file.name != "07b.png")
    assert [row["path"] for row in rows] == [str(file) for file in files]
    backbone = models.Backbone.from_preset(str(presets / name))
    kind = {"clip": models.CLIPPreprocessor, "siglip": models.SigLIPPreprocessor}[name]
    asked = {"prompts": list(WORDS.prompts), "images": np.zeros((3, 32, 32, 3))}
    tokens = kind.from_preset(str(presets / name))(asked)["token_ids"]
    pixels = np.stack([decode(file.read_bytes(), RULES).pixels for file in files]) * np.float32(SCALE) + OFFSET
    logits = backbone({"images": tf.constant(pixels, tf.float32), "token_ids": tf.constant(tokens)})["vision_logits"]
    expected = np.asarray(tf.nn.softmax(logits))
    assert [row["label"] for row in rows] == [WORDS.labels[best] for best in expected.argmax(axis=1)]
    np.testing.assert_allclose([float(row["confidence"]) for row in rows], expected.max(axis=1), atol=1e-3)
    assert counts == {one: [row["label"] for row in rows].count(one) for one in WORDS.labels}
    assert np.ptp(expected, axis=0).max() > 1e-4, "the answers do not depend on the image"


def test_the_table_is_what_an_import_reads(presets: Path, images: Path, tmp_path: Path) -> None:
    counts = label(images, tmp_path / "labels.csv", WORDS, str(presets / "clip"), load_params())
    import_from(str(tmp_path / "labels.csv"), tmp_path / "raw")
    found = {folder.name: len([*folder.iterdir()]) for folder in (tmp_path / "raw").iterdir() if folder.is_dir()}
    assert found == {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("text", "labels", "prompts"),
    [
        ("a cat, The dog", ("cat", "dog"), ("a cat", "The dog")),
        ("cat=a photo of a cat,dog = a dog", ("cat", "dog"), ("a photo of a cat", "a dog")),
    ],
)
def test_words_are_read(text: str, labels: tuple[str, ...], prompts: tuple[str, ...]) -> None:
    assert read_words(text) == Words(labels, prompts)


@pytest.mark.parametrize("text", ["", "a cat", "a cat, a cat", "a cat,", "a cat, =x"])
def test_words_that_tell_nothing_apart_are_refused(text: str) -> None:
    with pytest.raises(NightshiftError, match="give at least two different descriptions"):
        read_words(text)


def test_what_cannot_be_used_is_named_and_nothing_is_written(presets: Path, images: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    with pytest.raises(PresetError, match=r"vit \(ViT\) does not read text"):
        label(images, table, WORDS, str(presets / "vit"), load_params())
    with pytest.raises(PresetError, match="preset nowhere could not be loaded. --preset takes"):
        label(images, table, WORDS, "nowhere", load_params())
    (tmp_path / "empty").mkdir()
    with pytest.raises(NightshiftError, match="contains no image files"):
        label(tmp_path / "empty", table, WORDS, str(presets / "clip"), load_params())
    assert not table.exists()
