"""Answers that the model is sure of, drawn at random by class, for a person to look at. Judges nothing."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable

from pipeline.night.counts import feed
from pipeline.night.rows import Row

PICTURES = 48  # in all
EACH = 6  # of one class


class SureAnswers:
    """Draws rows with status `ok`; the same ones whenever the same night's rows are read."""

    def __init__(self, night: str) -> None:
        """night: what tells it from others, such as its start; each night draws other images."""
        self._night = night.encode()
        self._answers: Counter[str] = Counter()
        self._drawn: dict[str, list[tuple[int, str, Row]]] = {}  # of each label a heap, the worst on top

    def add(self, row: Row) -> None:
        """Consider a row."""
        if row["status"] != "ok" or row["flags"]:
            return
        label, path = row["label"], row["path"]
        self._answers[label] += 1
        lot = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), key=self._night[:64], digest_size=8).digest()
        entry = (-int.from_bytes(lot), path, row)
        drawn = self._drawn.setdefault(label, [])
        if len(drawn) < EACH:
            heapq.heappush(drawn, entry)
        elif entry > drawn[0]:
            heapq.heapreplace(drawn, entry)

    def found(self) -> dict[str, list[Row]]:
        """Label -> rows, the most frequent label first; at most PICTURES rows, at least one of each label shown."""
        labels = sorted(self._answers, key=lambda label: (-self._answers[label], label))[:PICTURES]
        each = max(1, min(EACH, PICTURES // len(labels))) if labels else 0
        return {label: [row for *_, row in sorted(self._drawn[label], reverse=True)[:each]] for label in labels}


def drawn_from(rows: Iterable[Row], night: str) -> dict[str, list[Row]]:
    """The drawn rows of a finished night."""
    draw = SureAnswers(night)
    feed(rows, [draw])
    return draw.found()
