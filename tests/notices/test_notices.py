"""People are told what happened, what was kept and what to do; a dead service costs a warning; no password is shown."""

import dataclasses
import logging
import socket
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import NightshiftError
from pipeline.night.planning import NotThisCommand
from pipeline.notices import messages, send
from pipeline.notices.messages import Kind, Message
from pipeline.registry.decision import Check, Decision
from pipeline.registry.registration_result import Refused, Registration
from pipeline.registry.versions import Registered
from pipeline.storage.folders import folder_at
from pipeline.storage.output_lock import InUse
from pipeline.versions.dvc import keeping
from tests.fixtures.summaries import BATCH, DRIFT, summary_of
from tests.fixtures.web import DEAD, SECRET, Web

GAPS = [{"camera": name, "start": "2026-01-02T01:00:00+00:00", "reason": "frozen"} for name in ("gate-2", "gate-3")]
WORDS = Message(Kind.FAILURE, "Night x failed", "It broke.", "Nine rows.", "Mend it.")


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
        ({"camera_gaps": GAPS}, "no pictures", "gate-3: no picture since "),
    ],
    ids=["drift", "unsure", "strangers", "gaps of two cameras"],
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


def test_what_the_same_command_can_never_do_is_not_to_be_run_again(tmp_path: Path) -> None:
    """Another night's folder: its files are not of this night, and the error says what to do instead."""
    out = folder_at(tmp_path)
    summary_of().write(out)
    for error in (NotThisCommand("out holds another night. Choose another folder."), NightshiftError("Mend it.")):
        found = messages.of_failed_night(out, error)
        found.add_to(error)
        never = isinstance(error, NotThisCommand)
        assert (found.kept, found.do) == (
            ("Nothing was started.", "") if never else
            (f"What was finished before is in {tmp_path}.", "Put that right first. Run the same command again.")
        )  # fmt: skip
        assert found.happened == str(error)
        assert ("What to do" in found.parts) == (not never)
        assert hasattr(error, "__notes__") == (not never), "the command says no more than the error"


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
