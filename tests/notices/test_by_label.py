"""A message about a label: once an answer, as often as asked at most, and again later where a server was dead."""

import datetime
import logging
from email.message import Message as Mail
from pathlib import Path

import pytest

from pipeline.night.awaited import unknown_labels
from pipeline.night.moments import spoken
from pipeline.notices import by_label, send, when_a_run_ends
from pipeline.notices.by_label import Watch
from pipeline.params.file import ParamsError, load_params
from pipeline.params.notify import Rate, When
from pipeline.storage.folders import folder_at
from tests.fixtures.finished import finished
from tests.fixtures.project import REPOSITORY
from tests.fixtures.summaries import summary_of
from tests.fixtures.web import DEAD, SECRET, Web

NOW = datetime.datetime(2026, 11, 26, 2, 0, tzinfo=datetime.UTC)
FIRE = When(label="fire", camera="gate-2", at_most=Rate(count=1, seconds=600))


def row(
    number: int, label: str = "fire", camera: str = "gate-2", confidence: float = 0.9, **cells: str
) -> dict[str, str]:
    at = (NOW + datetime.timedelta(minutes=number)).isoformat()
    return {
        "path": f"{camera}/{number}.jpg", "label": label, "status": "ok", "confidence": f"{confidence:.6f}",
        "sha256": f"{number:016x}{camera}", "taken_at": at, "camera": camera, **cells,
    }  # fmt: skip


def later(minutes: float) -> datetime.datetime:
    return NOW + datetime.timedelta(minutes=minutes)


def words_of(mail: Mail) -> str:
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
    return bytes(part.get_payload(decode=True)).decode().replace("\r\n", "\n")  # type: ignore[arg-type]


def test_a_mail_says_what_was_seen_where_when_and_what_to_do(
    post: tuple[str, list[Mail]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(send.ADDRESSES, post[0])
    state = tmp_path / "state.json"
    watch = Watch([FIRE], folder_at("/photos"), state, kept="All rows are in today.csv.", do="Call the guard.")
    watch.see([row(0, "smoke"), row(1, camera="yard"), row(2, status="unsure"), row(3, label="")], NOW)
    assert post[1] == []
    watch.see([row(4, confidence=0.91), row(5, confidence=0.99), row(6, "Fire "), row(7)], NOW)
    (mail,) = post[1]
    assert str(mail["Subject"]).startswith("fire at gate-2: 4 pictures [")
    assert words_of(mail).startswith(
        "fire at gate-2: 4 pictures (4 ok).\n"
        f"{spoken(later(5).isoformat())}  99.0 %  /photos/gate-2/5.jpg\n"
        f"{spoken(later(4).isoformat())}  91.0 %  /photos/gate-2/4.jpg\n"
        f"{spoken(later(6).isoformat())}  90.0 %  /photos/gate-2/6.jpg\n"
        "and 1 more\n\n"
        "What was kept: All rows are in today.csv.\n\n"
        "What to do: Look at /photos/gate-2/5.jpg. Call the guard.\n"
    )
    Watch([FIRE], folder_at("/photos"), state).see([row(5), row(8)], later(9))
    assert len(post[1]) == 1, "not in ten minutes, also after a restart"
    Watch([FIRE], folder_at("/photos"), state).see([row(9)], later(11))
    assert words_of(post[1][1]).startswith("fire at gate-2: 2 pictures (2 ok)."), "what was held, and no picture twice"
    Watch([FIRE], folder_at("/photos"), state).see([], later(30))
    assert len(post[1]) == 2
    text = state.read_text()
    assert SECRET not in text
    assert "mailto" not in text


def test_cameras_numbers_and_rules_of_their_own(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(send.ADDRESSES, web.json)
    some = When(label="person", confidence=0.5, at_most=Rate(count=2, seconds=3600))
    watch = Watch([FIRE, some], None, tmp_path / "state.json")
    rows = [
        row(1), row(2, "person", "yard", 0.6, status="unsure"), row(3, "person", "yard", 0.4),
        row(6, "person", "yard", 0.6),
        row(4, "person", "", path="door/2026-11-26/4.jpg"), row(5, "fire", "Reconyx 7", path="gate-2/5.jpg"),
    ]  # fmt: skip
    watch.see(rows, NOW)
    (message,) = web.messages
    assert message["title"].startswith("fire at gate-2, person at yard, person at door: 5 pictures [")
    assert "person at yard: 2 pictures (1 ok, 1 unsure).\n" in message["message"]
    for minute in (1, 2, 3):
        watch.see([row(10 + minute, "person", "yard")], later(minute))
    assert len(web.got) == 2, "two an hour of one camera"
    watch.see([row(20, "person", "door")], later(4))
    assert len(web.got) == 3
    watch.see([], later(61))
    assert web.messages[-1]["message"].startswith("person at yard: 2 pictures (2 ok).")
    watch.see([row(30, "person", "yard")], later(-500))
    assert len(web.got) == 5, "a clock that was set back holds nothing up"


def test_what_did_not_arrive_is_sent_again_to_whom_it_did_not_reach(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(send.ADDRESSES, f"{web.json} {DEAD}")
    state = tmp_path / "state.json"
    often = When(label="fire")
    Watch([often], None, state).see([row(1)], NOW)
    assert "Could not send “fire at gate-2: 1 picture” to address 2 (JSON); tried again in 1 min." in caplog.text
    Watch([often], None, state).see([row(2)], later(0.5))
    assert len(web.got) == 1, "one message waits; what comes meanwhile waits behind it"
    monkeypatch.setenv(send.ADDRESSES, f"{DEAD} {web.json}")
    Watch([often], None, state).see([], later(2))
    assert [one["title"].split(" [")[0] for one in web.messages] == ["fire at gate-2: 1 picture"] * 3
    assert SECRET not in caplog.text + state.read_text()
    monkeypatch.setenv(send.ADDRESSES, f"{DEAD} {DEAD}")
    Watch([often], None, state).see([row(3)], later(9))
    monkeypatch.setenv(send.ADDRESSES, web.json)
    Watch([often], None, state).see([], later(11))
    assert len(web.got) == 5
    state.write_text("{")
    Watch([often], None, state).see([row(4)], later(12))
    assert "is damaged: what was told before may be told again." in caplog.text
    assert len(web.got) == 6
    monkeypatch.delenv(send.ADDRESSES)
    watch = Watch([often], None, state)
    watch.see([row(5)], later(13))
    watch.see([row(6)], later(14))
    assert caplog.text.count("NIGHTSHIFT_NOTIFY is not set: nobody gets these messages") == 1


def test_a_night_tells_once_and_an_error_fails_nothing(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    monkeypatch.setenv(send.ADDRESSES, web.json)
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("when: []", "when: [{label: fire, at_most: 1 per day}]"))
    params = load_params()
    rows = {f"gate-2/{at}.jpg": {"label": "fire" if at else "cat", "confidence": f"0.{at}"} for at in range(6)}
    output = folder_at(finished(tmp_path, rows))
    summary = summary_of(
        input=str(tmp_path / "photos"), listed=6, ok=6, unsure=0, unreadable=0, review=None, outliers=0
    )
    when_a_run_ends.of_night(output, summary, params)
    when_a_run_ends.of_night(output, summary, params)
    (message,) = web.messages
    assert message["title"].startswith("fire at gate-2: 5 pictures [")
    assert f"50.0 %  {tmp_path}/photos/gate-2/5.jpg" in message["message"]
    assert f"All 6 rows are in {output}." in message["message"]
    assert f"{output}/review.html shows what to look at first." in message["message"]
    by_label.STATE.with_suffix(".lock").unlink()
    by_label.STATE.with_suffix(".lock").mkdir()
    when_a_run_ends.of_night(output, summary, params)
    assert "Could not send the messages of notify.when" in caplog.text


def test_a_slip_in_a_rule_is_said(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = [When(label=label) for label in ("Fire ", "functionl", "tiger", "functionl")]
    assert unknown_labels(rules, ["fire", "functional"], "m version 3") == [
        "notify.when waits for functionl, a label that m version 3 does not know: did you mean functional?",
        "notify.when waits for tiger, a label that m version 3 does not know: correct it in params.yaml.",
    ]
    monkeypatch.setattr("pipeline.core.log.log.propagate", True)
    monkeypatch.setenv(send.ADDRESSES, web.json)
    monkeypatch.chdir(tmp_path)
    output = folder_at(finished(tmp_path, {"gate-2/1.jpg": {"label": "fire", "camera": "HF2"}}))
    wrong = [When(label="fire", camera=camera) for camera in ("gate2", "gate-3", "gate-2", "HF2", "yard")]
    by_label.of_night(output, summary_of(input=str(tmp_path / "photos")), wrong, ["gate-3"])
    assert [one.getMessage() for one in caplog.records] == [
        "No picture of this night is of the camera gate2 of notify.when: did you mean gate-2?"
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{label: fire, at_most: 10 min}", "'10 min' is not a valid rate; write it as `1 per 10 min`"),
        ("{label: fire, confidence: 2}", "notify.when.1.confidence"),
        ("{camera: gate-2}", "notify.when.1.label is missing"),
        ("{label: fire, cameras: gate-2}", "notify.when.1.cameras is not a known key"),
    ],
)
def test_a_wrong_rule_is_said_in_words(tmp_path: Path, rule: str, words: str) -> None:
    text = (REPOSITORY / "params.yaml").read_text()
    file = tmp_path / "params.yaml"
    file.write_text(text.replace("when: []", f"when: [{rule}]"))
    with pytest.raises(ParamsError) as caught:
        load_params(file)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rate"), [("1 per 10 min", (1, 600)), ("3 per hour", (3, 3600)), ("5 per 2 days", (5, 172800))]
)
def test_rates_are_words(text: str, rate: tuple[int, int]) -> None:
    found = When.model_validate({"label": "x", "at_most": text}).at_most
    assert found == Rate(count=rate[0], seconds=rate[1])
