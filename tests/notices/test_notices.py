"""People are told what happened, what was kept and what to do; a dead service costs a warning; no password is shown."""

import dataclasses
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from pipeline.core.errors import NightshiftError
from pipeline.notices import messages, send
from pipeline.notices.messages import Kind, Message
from pipeline.registry.gate import Check, Decision
from pipeline.registry.registration_result import Refused, Registration
from pipeline.registry.versions import Registered
from pipeline.storage.folders import folder_at
from pipeline.storage.output_lock import InUse
from pipeline.versions.dvc import keeping
from tests.fixtures.commands import AT_ONCE, kill_at, parts
from tests.fixtures.flow_runs import left_by
from tests.fixtures.project import draw_shape, nightshift
from tests.fixtures.stores import free_port
from tests.fixtures.summaries import BATCH, DRIFT, summary_of
from tests.fixtures.web import SECRET, Post, Web

DEAD = f"json://user:{SECRET}@127.0.0.1:9/{SECRET}"
WORDS = Message(Kind.FAILURE, "Night x failed", "It broke.", "Nine rows.", "Mend it.")


@pytest.fixture
def post() -> Iterator[tuple[str, list[Mail]]]:
    """An address of a mail server, and its mail."""
    handler = Post()
    server = Controller(handler, hostname="127.0.0.1", port=free_port())
    server.start()
    yield f"mailto://127.0.0.1:{server.port}?from=night@example.com&to=me@example.com", handler.got
    server.stop()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """All that anybody logs, at every level."""
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    caplog.set_level(logging.DEBUG)
    return caplog


def told_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    monkeypatch.setenv(send.ADDRESSES, "\n  ".join(addresses))


def text_of(mail: Mail) -> str:
    parts = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
    return "".join(bytes(part.get_payload(decode=True)).decode() for part in parts)  # type: ignore[arg-type]


def test_mail_webhook_and_chat_say_what_happened_what_was_kept_and_what_to_do(
    web: Web, post: tuple[str, list[Mail]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told_to(monkeypatch, web.json, web.chat, post[0])
    told = send.send(WORDS)
    assert [(one.who, one.arrived) for one in told] == [
        ("address 1 (JSON)", True), ("address 2 (Mattermost)", True), ("address 3 (E-Mail)", True),
    ]  # fmt: skip
    body = (
        "It broke.\n\nWhat was kept: Nine rows.\n\nWhat to do: Mend it.\n\n"
        f"Where: project {Path.cwd().name} ({Path.cwd()}) on {socket.gethostname()}"
    )
    (hook, in_json), (chat, in_chat) = web.got
    title = f"Night x failed [{Path.cwd().name} on {socket.gethostname()}]"
    assert (hook, in_json["title"], in_json["message"], in_json["type"]) == ("/hook", title, body, "failure")
    assert chat == f"/hooks/{SECRET}"
    assert in_chat["text"] == f"{title}\r\n{body}"
    assert "icon_url" not in in_chat, "no picture is fetched from elsewhere"
    (mail,) = post[1]
    assert (mail["Subject"], mail["To"]) == (title, "me@example.com")
    assert text_of(mail).replace("\r\n", "\n").strip() == body
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == ["text/plain"]
    on_the_web = f"mailgun://night@example.com/{'a' * 32}-{'b' * 8}-{'c' * 8}/me@example.com"
    forms = [send.service_at(one).notify_format for one in (on_the_web, f"{on_the_web}?format=html")]
    assert forms == ["text", "html"], "every mail is plain text, unless its address says otherwise"


def test_names_in_a_message_are_text_and_passwords_in_it_are_gone(
    post: tuple[str, list[Mail]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told_to(monkeypatch, post[0])
    name = "<img src=x onerror=alert(1)>\x1b[2J"
    words = f"The store postgresql://me:{SECRET}@host/db did not answer for {name}."
    send.send(Message(Kind.INFO, f"{name}\r\nBcc: evil@example.com", words, "", ""))
    (mail,) = post[1]
    assert "Bcc" not in mail
    assert mail["To"] == "me@example.com"
    raw = b"".join(bytes(part.get_payload(decode=True) or b"") for part in mail.walk())  # type: ignore[arg-type]
    html = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    assert b"<img" not in b"".join(bytes(part.get_payload(decode=True)) for part in html)  # type: ignore[arg-type]
    assert b"\x1b" not in raw
    assert SECRET.encode() not in raw
    assert b"@host/db" in raw


def test_a_service_that_is_down_or_refuses_is_a_warning_that_names_it_and_no_secret(
    web: Web, log: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    web.status = 500
    mail = f"mailto://user:{SECRET}@127.0.0.1:9?from=night@example.com&to=me@example.com"
    told_to(monkeypatch, DEAD, web.chat, mail, f"bogus://{SECRET}", SECRET, web.json.replace("hook", SECRET))
    send.tell(lambda: WORDS)
    said = [record.getMessage() for record in log.records if record.name == "nightshift"]
    assert len(said) == 6
    assert said[0].startswith("Could not send “Night x failed” to address 1 (JSON)")
    assert said[2].startswith("Could not send “Night x failed” to address 3 (E-Mail)")
    assert said[3].startswith("Could not send “Night x failed” to address 4 (bogus, not an address that Apprise knows)")
    assert said[4].startswith("Could not send “Night x failed” to address 5 (not an address that Apprise knows)")
    assert len(web.got) == 2, "it was asked"
    assert SECRET not in log.text + "".join(capfd.readouterr())


def test_words_that_cannot_be_made_fail_nothing(web: Web, log: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    told_to(monkeypatch, web.json)

    def broken() -> Message:
        raise ValueError(SECRET)

    send.tell(broken)
    assert "Could not send any message about how the run ended (ValueError)" in log.text
    assert SECRET not in log.text
    monkeypatch.delenv(send.ADDRESSES)
    send.tell(broken)
    assert log.text.count("Could not send any message") == 1, "without an address nothing is even tried"
    assert web.got == []


def test_a_night_without_events_is_told_of_only_when_asked_for() -> None:
    out = folder_at("/out/monday")
    assert messages.of_night(out, summary_of(), BATCH, always=False) is None
    short = messages.of_night(out, summary_of(), BATCH, always=True)
    assert short is not None
    assert (short.kind, short.title) == (Kind.INFO, "Night monday is done; 2 files could not be read")
    assert short.happened.startswith("10 images: 6 ok, 2 unsure, 2 unreadable.\n")
    assert short.do == "Nothing urgent. /out/monday/morning.html shows the images to look at."
    good = messages.of_night(out, summary_of(unreadable=0), BATCH, always=True)
    assert good is not None
    assert (good.kind, good.title) == (Kind.SUCCESS, "Night monday: all is well")


@pytest.mark.parametrize(
    ("changes", "about", "words"),
    [
        ({"drift": DRIFT}, "not as in training", "outlier score 0.61"),
        ({"unsure": 10, "drift": DRIFT}, "not as in training, many unsure", "more than batch.max_unsure"),
        (
            {"outliers": 6, "outlier_test": {"images": 8, "expected": 0.4, "p_value": 1e-6}},
            "outliers",
            "6 of 8 images are unlike the training images",
        ),
    ],
    ids=["drift", "unsure", "strangers"],
)
def test_a_night_beyond_its_limits_is_told_of(changes: dict[str, Any], about: str, words: str) -> None:
    batch = BATCH.model_copy(update={"max_unsure": 0.9})
    found = messages.of_night(folder_at("/out/monday"), summary_of(**changes), batch, always=False)
    assert found is not None
    assert found.kind is Kind.WARNING
    assert words in found.happened
    assert "/out/monday/morning.html" in found.do
    assert found.title == f"Night monday needs a look: {about}"
    assert found.body.startswith(f"{found.happened}\n\nWhat was kept: "), "the first words of a mail are what happened"


def registration(*, passed: bool, aliases: tuple[str, ...]) -> Registration:
    check = Check("min_accuracy", passed, "accuracy is 0.4", "at least 0.5")
    decision = Decision((check,), "version 6", "other classes", "Not certified.")
    return Registration(Registered("nightshift", 7, "run1", aliases), decision)


def test_what_the_gate_decided_is_told() -> None:
    waits = messages.of_training(registration(passed=True, aliases=("challenger",)))
    assert waits.title == "nightshift version 7 waits for promotion"
    assert "other classes" in waits.happened
    assert "Not certified." in waits.happened
    assert "`nightshift promote 7`" in waits.do
    used = messages.of_training(registration(passed=True, aliases=("challenger", "champion")))
    assert used.title == "nightshift version 7 is the champion"
    refused = messages.of_failed_training(Refused(registration(passed=False, aliases=())))
    assert refused.title == "The gate refused nightshift version 7; there is no champion"
    assert refused.happened == "min_accuracy: accuracy is 0.4; asked for: at least 0.5."
    champion = dataclasses.replace(registration(passed=False, aliases=()), champion=6)
    assert messages.of_failed_training(Refused(champion)).title.endswith("version 7; nights use version 6")
    second = messages.of_failed_training(InUse("`nightshift import` is at work."))
    assert (second.kind, second.title) == (Kind.INFO, "Training did not start: the images are in use")
    failed = messages.of_failed_training(NightshiftError("data/raw is missing."))
    assert (failed.title, failed.happened) == ("Training failed: data/raw is missing", "data/raw is missing.")
    assert messages.of_failed_training(OSError("[Errno 5] x: y")).title == "Training failed", "no words for a person"
    full = NightshiftError(f"The disk at /data is full: {'/data' * 30} could not be written. Free some space.")
    assert messages.of_failed_training(full).title == "Training failed: The disk at /data is full"
    assert messages.of_failed_training(NightshiftError("/data" * 30)).title == "Training failed"
    assert [*failed.parts] == ["What happened", "Where"], "nothing was started, and the error says what to do"
    with pytest.raises(NightshiftError) as caught, keeping(["validate", "embed"]):
        raise NightshiftError("The disk is full.")
    later = messages.of_failed_training(caught.value)
    assert later.kept.startswith("The finished stages (validate, embed), not to be run again.")
    later.add_to(caught.value)
    assert caught.value.__notes__ == [f"What was kept: {later.kept}"]


def test_the_command_says_who_took_the_test(web: Web, project: Path) -> None:
    good = nightshift("notify", cwd=project, in_process=False, NIGHTSHIFT_NOTIFY=web.json)
    assert good.stdout == "address 1 (JSON): sent\n"
    assert web.messages[0]["title"].startswith("Nightshift: a test [")
    bad = nightshift("notify", cwd=project, check=False, NIGHTSHIFT_NOTIFY=f"{web.json} {DEAD}")
    assert bad.returncode == 1
    assert bad.stdout == "address 1 (JSON): sent\naddress 2 (JSON): NOT sent\n"
    nobody = nightshift("notify", cwd=project, check=False, NIGHTSHIFT_NOTIFY=" ")
    assert nobody.returncode == 1
    assert "NIGHTSHIFT_NOTIFY is not set" in nobody.stderr
    assert SECRET not in good.stderr + bad.stderr + nobody.stderr


def test_plain_nights_tell_and_a_dead_service_changes_nothing(
    web: Web, trained: Path, night: Path, tmp_path: Path
) -> None:
    told, out = f"{web.json} {DEAD}", str(tmp_path / "out")
    quiet = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, NIGHTSHIFT_NOTIFY=told)
    assert web.got == []
    assert SECRET not in quiet.stdout + quiet.stderr
    always = {"NIGHTSHIFT_NOTIFY": told, "NIGHTSHIFT_NOTIFY_ALWAYS": "1"}
    said = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, **always)
    assert web.messages[-1]["title"].startswith("Night out: all is well [")
    assert "Could not send “Night out: all is well” to address 2 (JSON)" in said.stderr
    assert SECRET not in said.stdout + said.stderr
    late = nightshift("classify", str(tmp_path / "none"), out, "--no-prefect", cwd=trained, check=False, **always)
    assert late.returncode == 1
    assert web.messages[-1]["title"].startswith("Night out failed")
    assert f"{tmp_path / 'none'}" in web.messages[-1]["message"]
    for file in night.iterdir():
        file.write_bytes(b"no")
    bad = nightshift("classify", str(night), out, "--no-prefect", cwd=trained, check=False, **always)
    assert bad.returncode == 3
    assert web.messages[-1]["title"].startswith("Night out: too many unreadable files [")
    assert "All rows are written" in web.messages[-1]["message"]
    assert len(web.got) == 3


def test_a_mistake_at_the_keyboard_and_a_refused_second_start_are_no_failed_nights(
    web: Web, trained: Path, night: Path, tmp_path: Path
) -> None:
    words = ("classify", str(night), str(tmp_path / "out"), "--no-prefect")
    said = nightshift(*words, "--until", "6", cwd=trained, check=False, NIGHTSHIFT_NOTIFY=web.json)
    assert (said.returncode, "'6' is not a valid time of day" in said.stderr) == (1, True)
    with folder_at(tmp_path / "out").hold():
        said = nightshift(*words, cwd=trained, check=False, NIGHTSHIFT_NOTIFY=web.json)
    assert (said.returncode, "is in use by process" in said.stderr) == (1, True)
    assert web.got == []


@pytest.mark.parametrize("how", ["--no-prefect", "--prefect"])
def test_a_night_that_was_killed_is_told_of_by_the_run_that_goes_on_with_it(
    web: Web, trained: Path, night: Path, tmp_path: Path, prefect_api: str, how: str
) -> None:
    told, out = {"NIGHTSHIFT_NOTIFY": web.json, "PREFECT_API_URL": prefect_api}, tmp_path / "out"
    words = ("classify", str(night), str(out), how)
    kill_at("after plan.json", *words, cwd=trained, **told)
    assert web.got == []
    nightshift(*words, cwd=trained, **told)
    [message] = web.messages
    assert message["title"].startswith("Night out was killed, and is resumed now [")
    assert message["message"].startswith("Its run (process ")
    assert f"of 10 files are done and kept in {out}" in message["message"]
    nightshift(*words, cwd=trained, **told)
    assert len(web.got) == 1, "who ends in order is no killed run"


def test_a_prefect_server_that_is_down_is_told_of(web: Web, trained: Path, night: Path, tmp_path: Path) -> None:
    down = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "NIGHTSHIFT_NOTIFY": web.json}
    assert nightshift("classify", str(night), str(tmp_path / "out"), cwd=trained, check=False, **down).returncode == 1
    (message,) = web.messages
    assert message["title"].startswith("Night out failed: The Prefect server http://127.0.0.1:9/api does not answer")
    assert "The Prefect server http://127.0.0.1:9/api does not answer" in message["message"]
    assert "Nothing was started" in message["message"]


FLOWS = (
    AT_ONCE
    + """
import os, signal
from pathlib import Path
from flows.nightly import nightly
import flows.nightly
night = Path({night!r})

def attempt(output, **options):
    try:
        nightly(night, output, **options)
    except BaseException as error:
        print(type(error).__name__)

real = flows.nightly.classify_shards
def second_breaks(run, numbers, params):
    for number in numbers:
        if number == 1:
            raise {error}
        yield from real(run, [number], params)

os.environ["NIGHTSHIFT_NOTIFY_ALWAYS"] = "1"
attempt(None)
flows.nightly.classify_shards = second_breaks
attempt(Path({out!r}))
attempt(None)
"""
)


def test_flows_tell_how_they_ended(web: Web, project: Path, night: Path, prefect_api: str) -> None:
    """A night that is well; one that fails in its second shard; one without a named output that crashes there."""
    for number in range(10, 12):
        draw_shape(night / f"{number}.png", "circle", seed=number)
    out = str(project / "out")
    (project / "nights.py").write_text(
        FLOWS.format(
            night=str(night), out=out, error="KeyboardInterrupt if 'out' not in str(run.output) else OSError('disk')"
        )
    )
    left_by("exec(open('nights.py').read(), globals())", project, prefect_api, NIGHTSHIFT_NOTIFY=f"{DEAD} {web.json}")
    today = sorted(file.parent.name for file in (project / "predictions").glob("*/summary.json"))[-1]
    well, failed, crashed = web.messages
    assert well["title"].startswith(f"Night {today}: all is well [")
    assert f"All 12 rows are in {project / 'predictions' / today}" in well["message"]
    assert failed["title"].startswith("Night out failed [")
    assert failed["message"].startswith("OSError: disk\n")
    assert f"What was kept: 3 of 12 files are done and kept in {out}" in failed["message"]
    assert "What to do: The log has more. In " in failed["message"]
    assert f"`nightshift classify {night} out` resumes it" in failed["message"]
    assert crashed["title"].startswith(f"Night {today} was killed and is not finished [")
    assert "3 of 12 files are done" in crashed["message"]


def test_a_flow_that_stops_at_its_hour_and_a_training_tell_too_and_a_refused_second_start_tells_nobody(
    web: Web, registry_project: Path, night: Path, prefect_api: str
) -> None:
    for number in range(10, 60):  # what classifies is ahead of who looks at the clock, by a shard or some
        draw_shape(night / f"{number}.png", "circle", seed=number)
    shutil.rmtree(registry_project / "data/raw")
    code = f"""
import contextlib, datetime
from pipeline.night import run
from flows.nightly import nightly
from flows.training import training
from pipeline.storage.folders import folder_at
with folder_at("out").hold():
    nightly({str(night)!r}, "out", return_state=True)
run.deadline_at = lambda until: datetime.datetime.now(datetime.UTC)
nightly({str(night)!r}, "out", return_state=True)
with contextlib.suppress(Exception):
    training()
"""
    (registry_project / "runs.py").write_text(code)
    left = left_by("exec(open('runs.py').read(), globals())", registry_project, prefect_api, NIGHTSHIFT_NOTIFY=web.json)
    assert left.flows == ["Refused", "Stopped", "Failed"]
    stopped, failed = web.messages
    assert stopped["title"].startswith("Night out stopped at its set time [")
    assert f"{3 * len(parts(registry_project / 'out'))} of 60 files are done and kept" in stopped["message"]
    assert failed["title"].startswith("Training failed: data/raw is missing [")
    assert "data/raw is missing" in failed["message"]
    assert os.fspath(registry_project) in stopped["message"]
