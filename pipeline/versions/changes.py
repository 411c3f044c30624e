"""What differs between two versions of the images: pure comparison of path -> content. Reads no file, knows no DVC.

A path is relative to `data/raw`, with `/`; its first folder is the label. Content is any hash of the bytes.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace

from pipeline.core.text import shown
from pipeline.data.labels import of_folder

SIDE_TABLE = "metadata.csv"  # in data/raw: one row an image, keyed by `path`; no image itself
CHANGE_COLUMNS = (
    "label", "before", "added", "removed", "relabelled in", "relabelled out", "changed", "moved", "now",
)  # fmt: skip
MANY_LABELS = 40  # a table that still fits on a screen
FIRST_NAMES = 5  # of each kind of change, unless all are asked for


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One version of the images."""

    name: str  # for people: a revision, the working folder
    files: Mapping[str, str] = field(repr=False)  # path -> content
    side_table: str | None = field(repr=False, default="")  # its text, empty without one; None: only its hash is here


@dataclass(frozen=True, slots=True)
class Move:
    """One image under another path, its content the same."""

    before: str
    now: str


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """One label's images; before + added + relabelled_in - removed - relabelled_out = now."""

    label: str  # empty: files outside every class folder
    before: int
    added: int
    removed: int
    relabelled_in: int
    relabelled_out: int
    changed: int
    moved: int
    now: int

    def numbers(self) -> tuple[int, ...]:
        """All but the label, in the order of CHANGE_COLUMNS."""
        return astuple(self)[1:]


@dataclass(frozen=True, slots=True)
class Changes:
    """Every difference once, in the order of the paths."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # same path, other content
    relabelled: tuple[Move, ...] = ()  # to another label's folder
    moved: tuple[Move, ...] = ()  # within the label's folder
    labels: tuple[LabelCounts, ...] = ()


@dataclass(frozen=True, slots=True)
class TableChanges:
    """Rows of the side table by their `path`, and its columns."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # other values in the columns that both have
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()

    def summary(self) -> str:
        """The numbers of rows that are not 0 and the columns' names, in words; empty when nothing differs."""
        rows = [
            f"{len(paths)} row{'s' * (len(paths) != 1)} {kind}"
            for kind, paths in (("added", self.added), ("removed", self.removed), ("changed", self.changed))
            if paths
        ]
        columns = [
            f"column{'s' * (len(names) != 1)} {', '.join(names)} {kind}"
            for kind, names in (("added", self.columns_added), ("removed", self.columns_removed))
            if names
        ]
        return "; ".join([*rows, *columns])


def label_of_path(path: str) -> str:
    """The label of an image; empty for a file outside every class folder."""
    folder, slash, _ = path.partition("/")
    return of_folder(folder) if slash else ""


def compare(before: Mapping[str, str], now: Mapping[str, str]) -> Changes:
    """Match the images of two versions, each given as path -> content; the side table is left out.

    Content goes first: what is gone from one path and new at another is the same image, moved or relabelled, even
    where its new path held another image before. Of several copies, those that stay are unchanged, then the
    nearest paths match: same label and file name, same label, same file name, any.
    """
    gone = {path: content for path, content in _images(before) if now.get(path) != content}
    new = {path: content for path, content in _images(now) if before.get(path) != content}
    moves = _match(gone, new)
    left = sorted(gone.keys() - {move.before for move in moves})
    come = sorted(new.keys() - {move.now for move in moves})
    changed = set(left) & set(come)
    same_label = [label_of_path(move.before) == label_of_path(move.now) for move in moves]
    changes = Changes(
        added=tuple(path for path in come if path not in changed),
        removed=tuple(path for path in left if path not in changed),
        changed=tuple(sorted(changed)),
        relabelled=tuple(move for move, same in zip(moves, same_label, strict=True) if not same),
        moved=tuple(move for move, same in zip(moves, same_label, strict=True) if same),
    )
    return replace(changes, labels=_count(before, now, changes))


def _images(version: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((path, content) for path, content in version.items() if path != SIDE_TABLE)


def _match(gone: Mapping[str, str], new: Mapping[str, str]) -> list[Move]:
    """Pairs of equal content, each path used once, the nearest first; as many pairs as there can be."""
    nearness: tuple[Callable[[str], Hashable], ...] = (
        lambda path: (label_of_path(path), path.rpartition("/")[2]),
        label_of_path,
        lambda path: path.rpartition("/")[2],
        lambda path: None,
    )
    free_gone, free_new = dict(sorted(gone.items())), dict(sorted(new.items()))
    moves = []
    for near in nearness:
        waiting = defaultdict(list)
        for path in reversed(free_new):
            waiting[free_new[path], near(path)].append(path)
        for path, content in list(free_gone.items()):
            if candidates := waiting[content, near(path)]:
                moves.append(Move(path, candidates.pop()))
                del free_gone[path], free_new[moves[-1].now]
    return sorted(moves, key=lambda move: (move.before, move.now))


def _count(before: Mapping[str, str], now: Mapping[str, str], changes: Changes) -> tuple[LabelCounts, ...]:
    def by_label(paths: Iterable[str]) -> Counter[str]:
        return Counter(map(label_of_path, paths))

    was, is_now = by_label(path for path, _ in _images(before)), by_label(path for path, _ in _images(now))
    added, removed, changed = by_label(changes.added), by_label(changes.removed), by_label(changes.changed)
    into, out_of = (
        by_label(move.now for move in changes.relabelled),
        by_label(move.before for move in changes.relabelled),
    )
    moved = by_label(move.before for move in changes.moved)
    return tuple(
        LabelCounts(
            label, was[label], added[label], removed[label], into[label], out_of[label], changed[label], moved[label],
            is_now[label],
        )
        for label in sorted(was | is_now)
    )  # fmt: skip


def compare_tables(before: str, now: str) -> TableChanges:
    """Compare two side tables, each the text of a CSV file; an empty text is a table without rows or columns."""
    old_columns, old_rows = _rows(before)
    new_columns, new_rows = _rows(now)
    both = [name for name in new_columns if name in old_columns]

    def differ(key: tuple[str, int]) -> bool:
        return any(old_rows[key].get(name) != new_rows[key].get(name) for name in both)

    return TableChanges(
        added=tuple(key[0] for key in new_rows if key not in old_rows),
        removed=tuple(key[0] for key in old_rows if key not in new_rows),
        changed=tuple(key[0] for key in new_rows if key in old_rows and differ(key)),
        columns_added=tuple(name for name in new_columns if name not in old_columns),
        columns_removed=tuple(name for name in old_columns if name not in new_columns),
    )


def _rows(text: str) -> tuple[list[str], dict[tuple[str, int], dict[str, str]]]:
    """Columns, and rows by their path and how often it has come before; without a column `path`, by the whole row."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    seen: Counter[str] = Counter()
    rows = {}
    for row in reader:
        name = (row["path"] if "path" in row else ",".join(map(str, row.values()))) or ""  # a short row has None
        rows[name, seen[name]] = row
        seen[name] += 1
    return list(reader.fieldnames or []), rows


def side_table_line(before: DataVersion, now: DataVersion) -> str:
    """What differs in the side table, in one line; empty when nothing does."""
    if before.files.get(SIDE_TABLE) == now.files.get(SIDE_TABLE):
        return ""
    if before.side_table is None or now.side_table is None:
        return f"{SIDE_TABLE}: changed (an older version's rows are not in the local cache)"
    difference = compare_tables(before.side_table, now.side_table).summary()
    return f"{SIDE_TABLE}: {shown(difference) or 'same rows and columns, in another order or notation'}"


def table_rows(changes: Changes) -> list[tuple[str, ...]]:
    """One row a label, in the order of CHANGE_COLUMNS, and their sum; of very many labels only those with a change."""
    listed, others = list(changes.labels), []
    if len(listed) > MANY_LABELS:
        others = [counts for counts in listed if not any(counts.numbers()[1:-1])]
        listed = [counts for counts in listed if any(counts.numbers()[1:-1])]
    rows = [(shown(counts.label) or "(no class folder)", *_cells(counts.numbers())) for counts in listed]
    if others:
        rows.append((f"({len(others)} labels without a change)", *_cells(_sum(others))))
    return [*rows, ("all", *_cells(_sum(changes.labels)))]


def _sum(counts: Iterable[LabelCounts]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(label.numbers() for label in counts), strict=True))) or (0,) * (len(CHANGE_COLUMNS) - 1)


def _cells(numbers: tuple[int, ...]) -> list[str]:
    """Numbers as text; a kind of change that has not happened stays empty."""
    first, *middle, last = numbers
    return [str(first), *(str(number or "") for number in middle), str(last)]


def name_lines(changes: Changes, first: int | None = FIRST_NAMES) -> list[str]:
    """The names of what differs, by kind, the `first` of each; None for all. Safe to show in a terminal."""
    kinds: list[tuple[str, list[str]]] = [
        ("added", list(changes.added)),
        ("removed", list(changes.removed)),
        ("changed", list(changes.changed)),
        ("relabelled", [f"{move.before} -> {move.now}" for move in changes.relabelled]),
        ("moved", [f"{move.before} -> {move.now}" for move in changes.moved]),
    ]
    lines = []
    for kind, names in kinds:
        if names:
            lines += [f"{kind} ({len(names)}):", *(f"  {shown(name)}" for name in names[:first])]
            if first is not None and len(names) > first:
                lines.append(f"  … and {len(names) - first} more (--names lists all)")
    return lines
