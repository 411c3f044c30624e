"""The messages about a night or a training: what happened, where, what was kept, what to do. Knows no service.

Terminal, mail, chat, webhook and Prefect show the same words, each in its own form.
"""

import re
import socket
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.collect.gaps import Gap, Reason, in_words
from pipeline.core import log_file
from pipeline.core.errors import NightshiftError
from pipeline.core.pages import as_cell
from pipeline.core.text import counted, shown, without_password
from pipeline.night.deadline import OutOfTime
from pipeline.night.ledger import Run
from pipeline.night.morning import PAGE
from pipeline.night.outputs import command_over, is_in_predictions
from pipeline.night.planning import NotThisCommand
from pipeline.night.results import TooManyUnreadable
from pipeline.night.summary import SUMMARY, NightSummary, drift_lines, summary_lines
from pipeline.night.verdict import raised
from pipeline.params.night import Batch
from pipeline.registry.registration_result import Refused, Registration
from pipeline.registry.succession import CHAMPION
from pipeline.storage.folders import Folder
from pipeline.storage.output_lock import InUse

AGAIN = "Run the same command again to resume."
TRAINING_KEPT = "Stages that were finished, and the checkpoints of the one that was not. Nothing changes for nights."
NOTHING = "Nothing was started."
HAPPENED = "What happened"
CAMERAS: dict[str, str] = {  # what to do about a camera without pictures; of every other reason: look at it
    Reason.REFUSED: "Put its user and password right, in params.yaml or the environment variable named there.",
    Reason.FROZEN: "Restart the camera: it sends the same picture again and again.",
    Reason.BLACK: "Is its lens covered, or its light off? If such pictures are right, lower collect.black.",
    Reason.DISK_FULL: "Free some space. Pictures that a night has classified are deleted by keep_days and max_gb.",
}
SHORT = 70  # characters of a cause in a title
LONGEST = 3000  # characters of one part: chat services cut off or refuse what is much longer


class Kind(StrEnum):
    """The kind of a message, in Apprise's words; services show each kind differently."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same for every address."""

    kind: Kind
    title: str
    happened: str
    kept: str
    do: str

    @property
    def heading(self) -> str:
        """The title on one line."""
        return shown(" ".join(_clean(self.title).split()))

    @property
    def subject(self) -> str:
        """The heading, and whose it is: last, as a phone cuts off the end."""
        return f"{self.heading} {named_sender()}"

    @property
    def parts(self) -> dict[str, str]:
        """The parts by name, without control characters, and without passwords in addresses."""
        found = {HAPPENED: self.happened, "What was kept": self.kept, "What to do": self.do, "Where": where()}
        return {name: _clean(words) for name, words in found.items() if words}

    @property
    def body(self) -> str:
        """The parts as text; what happened first and without its name, as a list of mails shows how a mail begins."""
        return "\n\n".join(words if name == HAPPENED else f"{name}: {words}" for name, words in self.parts.items())

    @property
    def markdown(self) -> str:
        """Title and parts for a page of Prefect's."""
        parts = (f"**{name}:** {as_cell(words)}" for name, words in self.parts.items())
        return "\n\n".join([f"### {as_cell(self.heading)}", *parts])

    def add_to(self, error: BaseException) -> None:
        """Let the command that `error` ends say the rest of this message after the error's own words."""
        if self.kept != NOTHING:
            error.__notes__ = [
                f"{name}: {words}" for name, words in self.parts.items() if name in ("What was kept", "What to do")
            ]


def where() -> str:
    """The project and the machine."""
    return f"project {Path.cwd().name} ({Path.cwd()}) on {socket.gethostname()}"


def named_sender() -> str:
    """The project and the machine, as they stand after a title."""
    return shown(f"[{Path.cwd().name} on {socket.gethostname()}]")


def _clean(text: str) -> str:
    text = without_password(text)
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return "\n".join(map(shown, cut.splitlines()))


def of_test() -> Message:
    """A test message."""
    happened = "Somebody ran `nightshift notify` to see whether messages arrive."
    return Message(Kind.INFO, "Nightshift: a test", happened, "", "Nothing.")


def of_night(output: Folder, summary: NightSummary, batch: Batch, always: bool) -> Message | None:
    """A finished night; None when it raised no alarm, unless `always`."""
    lines, kept = list(map(_ended, summary_lines(summary))), f"All {counted(summary.listed, 'row')} are in {output}."
    if found := raised(summary, batch):
        wrong = [_ended(alarm.words) for alarm in found]
        said = {*wrong, *map(_ended, drift_lines(summary))}
        title = f"Night {output.name} needs a look: {', '.join(dict.fromkeys(alarm.about for alarm in found))}"
        words = "\n\n".join([*wrong, "\n".join(line for line in lines if line not in said)])
        return Message(Kind.WARNING, title, words, kept, f"Look at {output / PAGE}.")
    if always:
        counts, do = "\n".join(lines), "Nothing."
        if summary.unreadable or (summary.review and summary.review.of):
            do = f"Nothing urgent. {output / PAGE} shows the images to look at."
        if bad := summary.unreadable:
            title = f"Night {output.name} is done; {counted(bad, 'file')} could not be read"
            return Message(Kind.INFO, title, counts, kept, do)
        return Message(Kind.SUCCESS, f"Night {output.name}: all is well", counts, kept, do)
    return None


def of_killed_night(output: Folder, killed: str) -> Message | None:
    """A killed night, reported by the run that resumes it; None when there is nothing to resume.

    killed: the name of the killed process.
    """
    if not Run.unfinished_in(output):
        return None
    happened = was_killed(killed)
    do = "Nothing: this run resumes it. If it happens again, look for the cause."
    return Message(Kind.WARNING, f"Night {output.name} was killed, and is resumed now", happened, progress(output), do)


def was_killed(name: str) -> str:
    """How a run ended that could not say so itself. name: its process."""
    return f"Its run ({name}) was killed: the system ran out of memory, the machine restarted, or a person stopped it."


def of_stopped(output: Folder, words: str) -> Message:
    """A night that stopped at its --until time."""
    kept, do = _left_in(output)
    return Message(Kind.WARNING, f"Night {output.name} stopped at its set time", words, kept, do)


def of_failed_night(output: Folder, error: BaseException) -> Message:
    """A night that ended with an error."""
    match error:
        case OutOfTime():
            return of_stopped(output, str(error))
        case TooManyUnreadable():
            kept = f"All rows are written, those of the unreadable files with their reasons, in {output}."
            title = f"Night {output.name}: too many unreadable files"
            return Message(Kind.FAILURE, title, str(error), kept, f"Look at {output / PAGE}.")
        case NotThisCommand():  # its words say what to do, and what is there is of another night
            return Message(Kind.FAILURE, f"Night {output.name} failed{_in_short(error)}", str(error), NOTHING, "")
    kept, go_on = _left_in(output)
    do = f"Put that right first. {go_on}" if isinstance(error, NightshiftError) else f"{_log()} {go_on}"
    return Message(Kind.FAILURE, f"Night {output.name} failed{_in_short(error)}", _words_of(error), kept, do)


def of_crashed_night(output: Folder, words: str) -> Message:
    """A night whose process was killed from outside."""
    kept, do = _left_in(output)
    return Message(Kind.FAILURE, f"Night {output.name} was killed and is not finished", words, kept, do)


def of_gap(source: str, gap: Gap) -> Message:
    """A camera that gives no pictures now."""
    kept = "The pictures until then. The collector goes on trying; gaps.csv will say until when there were none."
    do = CAMERAS.get(gap.reason, "Look at the camera, its power and its network.")
    return Message(Kind.WARNING, f"{source}: no pictures ({gap.reason})", f"{in_words(source, [gap])}.", kept, do)


def of_lost_supervisor() -> Message:
    """The process that starts again what dies was killed itself."""
    happened = "The supervisor of `nightshift up` was killed. A service that dies now stays dead, and logs are lost."
    kept = "All that is done. A night goes on."
    return Message(Kind.WARNING, "Nightshift's supervisor was killed", happened, kept, "Run `nightshift up` again.")


def progress(output: Folder) -> str:
    """How far an unfinished night has come, in words."""
    return _left_in(output)[0]


def _left_in(output: Folder) -> tuple[str, str]:
    """What is kept of an unfinished night, and how it goes on."""
    try:
        if run := Run.unfinished_in(output):
            kept = f"{run.done()} of {run.plan.files} files are done and kept in {output}."
            command = command_over(run.plan.input, output)
            next_one = "over the same folder" if is_in_predictions(output) else "into the same output"
            return kept, f"In {Path.cwd()}, `{command}` resumes it; so does the next night {next_one}."
        if output.exists(SUMMARY):
            return f"What was finished before is in {output}.", "Run the same command again."
    except (NightshiftError, OSError) as error:  # whatever stopped the night may stop this read too
        return f"Finished files are kept in {output}; could not read how many ({error}).", AGAIN
    return NOTHING, "Run the same command again."


def to_go_on(output: Folder) -> str:
    """What is kept of a night that a person stops, and how it goes on."""
    # Said at once: a store may take seconds to answer.
    kept = progress(output) if output.local else f"Finished files are kept in {output}."
    return f"{kept} The same command goes on from there."


def of_training(registration: Registration) -> Message:
    """A training whose model passed the gate."""
    model, decision = registration.model, registration.decision
    name = f"{model.name} version {model.version}"
    said = [f"{name} passed the gate. Compared with: {decision.against}.", *decision.notes, decision.certificate]
    happened = " ".join(said).strip()
    if CHAMPION in model.aliases:
        return Message(Kind.SUCCESS, f"{name} is the champion", happened, _where(registration), "Nothing.")
    if decision.needs_a_person:
        happened += f" A person has to promote it: {decision.needs_a_person}."
    do = " ".join(registration.next_steps)
    return Message(Kind.SUCCESS, f"{name} waits for promotion", happened, _where(registration), do)


def of_failed_training(error: BaseException) -> Message:
    """A training that ended with an error, or with a model that the gate refused."""
    if isinstance(error, Refused):
        registration = error.registration
        model, champion = registration.model, registration.champion
        nights = f"nights use version {champion}" if champion else "there is no champion"
        title = f"The gate refused {model.name} version {model.version}; {nights}"
        reasons, do = "\n".join(map(_ended, registration.decision.reasons)), " ".join(registration.next_steps)
        return Message(Kind.WARNING, title, reasons, _where(registration), do)
    if isinstance(error, InUse):
        return Message(Kind.INFO, "Training did not start: the images are in use", str(error), "", "")
    if isinstance(error, NightshiftError):  # its words say what to do
        return Message(Kind.FAILURE, f"Training failed{_in_short(error)}", str(error), error.kept, "")
    return Message(Kind.FAILURE, "Training failed", _words_of(error), TRAINING_KEPT, f"{_log()} {_train_again()}")


def of_crashed_training(words: str) -> Message:
    """A training whose process was killed from outside."""
    return Message(Kind.FAILURE, "Training was killed and is not finished", words, TRAINING_KEPT, _train_again())


def _train_again() -> str:
    return f"In {Path.cwd()}, `nightshift train` resumes it."


def _where(registration: Registration) -> str:
    return f"The model, its numbers and the gate's reasons, in MLflow (run {registration.model.run_id})."


def _words_of(error: BaseException) -> str:
    return str(error) if isinstance(error, NightshiftError) else f"{type(error).__name__}: {error}"


def _ended(line: str) -> str:
    """With a full stop: a list of mails shows their lines as one."""
    return line if line.endswith((".", "?")) else f"{line}."


def _in_short(error: BaseException) -> str:
    """How a title goes on: with the first clause of an error that has words for a person."""
    first = re.split(r"[:;.]\s", f"{error} ", maxsplit=1)[0]
    words = textwrap.shorten(first, SHORT, placeholder=" …") if isinstance(error, NightshiftError) else ""
    return f": {words}" if words.strip(" …") else ""


def _log() -> str:
    return f"Look into the log, {file.absolute()}." if (file := log_file.current()) else "The log has more."
