"""Messages about answers that somebody wants to know of at once: `notify.when` of params.yaml.

What was told, what waits because of `at_most`, and a message that did not arrive are kept in a small file, so that
neither a restart nor a dead mail server loses or repeats anything. A picture is told once a rule, by its bytes: a night
over a folder that `collect` has classified does not repeat its messages. Nothing here ever fails a night.
"""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from pipeline.core.cells import listed_path
from pipeline.core.log import log
from pipeline.core.text import counted, shown
from pipeline.data.bursts import camera_of
from pipeline.data.labels import meant, sameness
from pipeline.night.live import classify_now
from pipeline.night.moments import spoken
from pipeline.night.review import PAGE
from pipeline.night.rows import PREDICTIONS_CSV, Row, of_files, read_rows
from pipeline.night.summary import NightSummary
from pipeline.notices.messages import Kind, Message
from pipeline.notices.send import ADDRESSES, addresses, send_to
from pipeline.params.file import Params
from pipeline.params.notify import When
from pipeline.storage.files import read_json, write_json
from pipeline.storage.folders import Folder, folder_at

STATE = Path(".nightshift/notify_when.json")
BEST = 3  # pictures of a rule and a camera that a message names
MOST_TOLD = 20_000  # pictures a rule that are known to have been told
PAUSE, LONGEST_PAUSE = 60.0, 3600.0  # seconds before a message is sent again; doubled each time


class Picture(BaseModel):
    """A picture that a message names."""

    place: str  # its path
    taken_at: str
    confidence: str  # as in predictions.csv

    @property
    def line(self) -> str:
        """The picture in a line."""
        sure = f"{100 * float(self.confidence):.1f} %"
        return "  ".join(filter(None, (spoken(self.taken_at), sure, self.place)))


class Held(BaseModel):
    """What a message says about one rule and one camera."""

    rule: str
    label: str
    camera: str
    count: int = 0
    ok: int = 0  # of them, with this status
    best: list[Picture] = []  # the surest first

    def add(self, picture: Picture, status: str) -> None:
        """Take a picture into account. status: of its row."""
        self.count += 1
        self.ok += status == "ok"
        self.best = sorted([*self.best, picture], key=lambda one: (-float(one.confidence), one.place))[:BEST]

    @property
    def about(self) -> str:
        """Which answers, where."""
        return f"{self.label} at {self.camera}" if self.camera else self.label

    @property
    def words(self) -> str:
        """The pictures in words."""
        kinds = {"ok": self.ok, "unsure": self.count - self.ok}
        statuses = ", ".join(f"{count:,} {status}" for status, count in kinds.items() if count)
        more = [f"and {self.count - len(self.best):,} more"] if self.count > len(self.best) else []
        return "\n".join(
            [f"{self.about}: {counted(self.count, 'picture')} ({statuses}).", *(one.line for one in self.best), *more]
        )


class Waiting(BaseModel):
    """A message that is on its way."""

    title: str
    happened: str
    kept: str
    do: str
    left: list[str] = []  # the addresses that it has not reached, by number and service; none: all
    tries: int = 0
    not_before: float = 0.0  # seconds since 1970

    @property
    def message(self) -> Message:
        """The message as it is sent."""
        return Message(Kind.WARNING, self.title, self.happened, self.kept, self.do)


class State(BaseModel):
    """What is kept between two looks, by rule, or by rule and camera."""

    told: dict[str, list[str]] = {}  # rule -> pictures, the latest last
    sent: dict[str, list[float]] = {}  # rule and camera -> when
    held: dict[str, Held] = {}
    waiting: Waiting | None = None


class Watch:
    """Looks at rows as they come, and sends what `notify.when` asks for."""

    def __init__(
        self, rules: Sequence[When], source: Folder | None = None, state: Path = STATE, *, kept: str = "", do: str = ""
    ) -> None:
        """source: the folder of the pictures; kept, do: what a message says besides the pictures."""
        self._rules, self._source, self._state, self._kept, self._do = rules, source, state, kept, do
        self._is_unheard = False  # whether the log says already that nobody gets messages

    def see(self, rows: Iterable[Row], now: datetime.datetime | None = None) -> None:
        """Look at rows, and send what is due, of earlier ones too. Never raises; may take as long as a mail server.

        Call it again, also without rows, to send what `at_most` or a dead server has held back.
        """
        if not self._rules:
            return
        if not addresses():
            if not self._is_unheard:
                log.warning("notify.when has rules, but %s is not set: nobody gets these messages.", ADDRESSES)
            self._is_unheard = True
            return
        at = (now or datetime.datetime.now(datetime.UTC)).timestamp()
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._state.with_suffix(".lock")):
                self._look(rows, at)
        except Exception as error:  # noqa: BLE001 - a failed message must not change how the run ends
            # Do not log the error's text: it may hold an address.
            log.warning("Could not send the messages of notify.when (%s).", type(error).__name__)

    def _look(self, rows: Iterable[Row], at: float) -> None:
        before = _read(self._state)
        state = before.model_copy(deep=True)
        told = {key: dict.fromkeys(pictures) for key, pictures in state.told.items()}
        for row in rows:
            label = sameness(row["label"])
            for rule in self._rules:
                if label and label == sameness(rule.label) and _is_sure(rule, row):
                    self._hold(state, told.setdefault(_key(rule), {}), rule, row)
        state.told = {key: [*pictures][-MOST_TOLD:] for key, pictures in told.items()}
        for _ in range(2):  # one that waited, then what has come since
            state.waiting = state.waiting or self._due(state, at)
            if state.waiting is None or at < state.waiting.not_before:
                break
            _keep(self._state, state)  # first: who is killed while sending sends again
            if not _deliver(state, at):
                break
        if state != before:
            _keep(self._state, state)

    def _hold(self, state: State, told: dict[str, None], rule: When, row: Row) -> None:
        path = listed_path(row["path"])
        camera, folder = _names_of_camera(row)
        digest = row["sha256"][:16]
        if digest in told or rule.camera not in (None, camera, folder):
            return
        told[digest] = None
        key, where = _key(rule), rule.camera or camera or folder
        one = Held(rule=key, label=row["label"], camera=where)
        place = str(self._source / path) if self._source else path
        held = state.held.setdefault(f"{key} {where}", one)
        picture = Picture(place=shown(place), taken_at=row.get("taken_at", ""), confidence=row["confidence"])
        held.add(picture, row["status"])

    def _due(self, state: State, at: float) -> Waiting | None:
        """One message about all that may be told now; what may not stays held."""
        rates = {_key(rule): rule.at_most for rule in self._rules}
        ready: list[Held] = []
        for key, held in list(state.held.items()):
            rate = rates.get(held.rule)
            since = at - (rate.seconds if rate else 0)
            lately = [when for when in state.sent.get(key, []) if since < when <= at]  # later: the clock was set back
            if rate is None or len(lately) < rate.count:
                ready.append(state.held.pop(key))
                state.sent[key] = [*lately, at]
        if not ready:
            return None
        count = counted(sum(held.count for held in ready), "picture")
        best = max((held.best[0] for held in ready), key=lambda one: float(one.confidence))
        do = f"Look at {best.place}." + (f" {self._do}" if self._do else "")
        title = f"{', '.join(dict.fromkeys(held.about for held in ready))}: {count}"
        return Waiting(title=title, happened="\n\n".join(held.words for held in ready), kept=self._kept, do=do)


def classify_and_tell(photos: Path, paths: Sequence[str], params: Params) -> list[Row]:
    """Classify pictures that were kept just now, and send what `notify.when` asks for; returns their rows.

    paths: below photos. Raises NightshiftError without a champion.
    """
    rows = classify_now(photos, paths, params)
    Watch(params.notify.when, folder_at(photos)).see(rows)
    return rows


def of_night(output: Folder, summary: NightSummary, rules: Sequence[When], known: Iterable[str] = ()) -> None:
    """Send what `notify.when` asks for of a finished night. known: cameras besides those of its rows. Never raises."""
    if not rules or not addresses():
        return
    kept, do = f"All {counted(summary.listed, 'row')} are in {output}.", f"{output / PAGE} shows what to look at first."
    watch = Watch(rules, folder_at(listed_path(summary.input)), kept=kept, do=do)
    cameras: set[str] = set()
    watch.see(_noted(of_files(read_rows(output.path / PREDICTIONS_CSV)), cameras))
    for camera in dict.fromkeys(rule.camera for rule in rules if rule.camera):
        if camera not in cameras.union(known) and (near := meant(camera, cameras)):
            log.warning(
                "No picture of this night is of the camera %s of notify.when: did you mean %s?",
                shown(camera),
                shown(near),
            )


def _noted(rows: Iterable[Row], cameras: set[str]) -> Iterator[Row]:
    """The rows; what a rule may call their cameras is added to `cameras`."""
    for row in rows:
        cameras.update(filter(None, _names_of_camera(row)))
        yield row


def _names_of_camera(row: Row) -> tuple[str, str]:
    """What a rule may call a row's camera: its name, and the first folder of the path; empty where there is none."""
    path = listed_path(row["path"])
    first, slash, _ = path.partition("/")
    return camera_of(row.get("camera", ""), path), first if slash else ""


def _is_sure(rule: When, row: Row) -> bool:
    if rule.confidence == "certified":
        return row["status"] == "ok"
    return float(row["confidence"]) >= rule.confidence


def _key(rule: When) -> str:
    return f"[{sameness(rule.label)}, {rule.camera or 'any'}, {rule.confidence}]"


def _deliver(state: State, at: float) -> bool:
    """Send the message that waits; whether it has arrived everywhere."""
    waiting = state.waiting
    if waiting is None:
        return True
    told = send_to(waiting.message, waiting.left)
    waiting.left = [one.who for one in told if not one.arrived]
    if not waiting.left:
        state.waiting = None
        return True
    pause = min(PAUSE * 2**waiting.tries, LONGEST_PAUSE)
    waiting.tries, waiting.not_before = waiting.tries + 1, at + pause
    log.warning(
        "Could not send “%s” to %s; tried again in %.0f min. Check %s, then test it with `nightshift notify`.",
        waiting.message.heading, ", ".join(waiting.left), pause / 60, ADDRESSES,
    )  # fmt: skip
    return False


def _read(file: Path) -> State:
    try:
        return State.model_validate(read_json(file))
    except FileNotFoundError:
        return State()
    except (ValueError, ValidationError):
        log.warning("%s is damaged: what was told before may be told again.", file)
        return State()


def _keep(file: Path, state: State) -> None:
    write_json(file, state.model_dump())
