"""The ranked labels of an image, and the mean answer over the images of an event. Knows numbers only.

A row names the RANKS most probable classes. What these leave of 1 is spread evenly over the classes that it does not
name. With RANKS classes or fewer nothing is spread, and the mean is that of all probabilities. With more it is close to
it, and the certificate of events holds for it: it is fitted on validation events whose mean is computed here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

RANKS = 3  # labels in a row
DIGITS = 6  # of a probability in a row: further ones are noise that differs between machines

Ranked = Sequence[tuple[int, float]]  # (class, probability 0..1), the most probable first, at most RANKS


@dataclass(slots=True)
class MeanAnswer:
    """The mean of the probabilities of several images; order does not matter."""

    classes: int  # in all
    images: int = 0
    _spread: float = 0.0  # sum over the images of what each unnamed class gets
    _above: dict[int, float] = field(default_factory=dict)  # class -> sum of what it has beyond that

    def add(self, ranked: Ranked) -> None:
        """Take an image into account."""
        unnamed = self.classes - len(ranked)
        spread = max(0.0, 1.0 - sum(probability for _, probability in ranked)) / unnamed if unnamed else 0.0
        self.images += 1
        self._spread += spread
        for number, probability in ranked:
            self._above[number] = self._above.get(number, 0.0) + probability - spread

    def merge(self, other: "MeanAnswer") -> None:
        """Take the images of `other` into account."""
        self.images += other.images
        self._spread += other._spread
        for number, above in other._above.items():
            self._above[number] = self._above.get(number, 0.0) + above

    @property
    def means(self) -> list[float]:
        """The mean probability of each class."""
        return [(self._spread + self._above.get(number, 0.0)) / self.images for number in range(self.classes)]

    @property
    def answer(self) -> tuple[int, float]:
        """The most probable class and its mean probability; of equal ones the first. A named class never has less."""
        means = (
            (round((self._spread + above) / self.images, DIGITS), -number) for number, above in self._above.items()
        )
        confidence, number = max(means)
        return -number, confidence
