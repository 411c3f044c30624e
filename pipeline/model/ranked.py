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


ONE = 10**DIGITS  # probabilities are counted in these parts: sums of whole numbers do not depend on their order


@dataclass(slots=True)
class MeanAnswer:
    """The mean of the probabilities of several images; the order does not matter."""

    classes: int  # in all
    images: int = 0
    spread: int = 0  # sum over the images of what each unnamed class gets, times `_unnamed`, as the next field
    above: dict[int, int] = field(default_factory=dict)  # class -> sum of what it has beyond that

    @property
    def _unnamed(self) -> int:
        return max(1, self.classes - RANKS)

    def add(self, ranked: Ranked) -> None:
        """Take an image into account. ranked: of RANKS classes, or of all where there are fewer."""
        parts = {number: round(probability * ONE) for number, probability in ranked}
        spread = max(0, ONE - sum(parts.values())) if self.classes > RANKS else 0
        self.images += 1
        self.spread += spread
        for number, part in parts.items():
            self.above[number] = self.above.get(number, 0) + part * self._unnamed - spread

    def merge(self, other: "MeanAnswer") -> None:
        """Take the images of `other` into account."""
        self.images += other.images
        self.spread += other.spread
        for number, above in other.above.items():
            self.above[number] = self.above.get(number, 0) + above

    @property
    def means(self) -> list[float]:
        """The mean probability of each class, to DIGITS digits."""
        return [self._mean(self.above.get(number, 0)) / ONE for number in range(self.classes)]

    @property
    def answer(self) -> tuple[int, float]:
        """The most probable class and its mean probability; of equal ones the first."""
        # An image's third probability is at least what each unnamed class gets, so the best class is a named one.
        mean, number = max((self._mean(above), -number) for number, above in self.above.items())
        return -number, mean / ONE

    def _mean(self, above: int) -> int:
        """The mean of a class in parts, halves rounded up."""
        images = self._unnamed * self.images
        return (2 * (self.spread + above) + images) // (2 * images)
