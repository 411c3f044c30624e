"""What is said of a decision: in Markdown, on the page of the registration, in messages."""

import json

import pytest

from pipeline.evaluation.results import Interval
from pipeline.notices.messages import of_failed_training, of_training
from pipeline.registry.comparison import Changed, Difference, OfClass
from pipeline.registry.decision import from_tags, to_markdown, to_tags
from pipeline.registry.gate import decide
from pipeline.registry.registration_page import page_of
from pipeline.registry.registration_result import Refused, Registration
from pipeline.registry.versions import Registered
from tests.fixtures.contests import GATE, contest, evaluation
from tests.fixtures.evaluations import an_evaluation


def test_the_page_shows_each_check_with_its_numbers_and_its_limit() -> None:
    strange = (OfClass("a|b", 0.5, 0.9, Changed(0, 40)),)
    page = to_markdown(decide(evaluation(accuracy=0.41), 0, contest(classes=strange), GATE, 0.95))
    assert page.startswith("**The gate: refused.** Compared with: version 3, on the same 200 test images.")
    assert "| min_accuracy | **refused** | accuracy on the test images is 0.410 | at least 0.8 |" in page
    assert "recall of a\\|b is 0.500" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 10
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    ("new", "champion", "changed", "words"),
    [
        (0.923, 0.904, Changed(5, 4), "right, version 3 90.4 % of the same 52 images: too few to call it better."),
        (0.904, 0.923, Changed(4, 5), "too few to call it worse."),
        (0.9, 0.8, Changed(20, 2), "it is better, beyond chance."),
        (0.8, 0.9, Changed(2, 20), "it is worse, beyond chance."),
        (0.9, 0.9, Changed(3, 3), "neither is better."),
    ],
)
def test_which_is_better_is_one_sentence(new: float, champion: float, changed: Changed, words: str) -> None:
    against = contest(images=52, accuracy=Difference(new, champion, -0.1, 0.1), changed=changed)
    decision = decide(evaluation(), 0, against, GATE, 0.95)
    assert from_tags(to_tags(decision, GATE)) == decision
    sentence = Registration(Registered("nightshift", 4, "run", ()), decision, champion=3).sentence
    assert sentence.startswith(f"Version 4 names {100 * new:.1f} % ")
    assert sentence.endswith(words)
    if decision.passed:
        do = of_training(Registration(Registered("nightshift", 4, "run", ()), decision, champion=3)).do
        assert ("No gain was found" in do) == (new <= champion)
        assert "`nightshift promote 4` makes" in do


def test_the_registrations_page_says_what_was_found_who_is_champion_and_what_to_do() -> None:
    decision = decide(evaluation(accuracy=0.41), 0, contest(), GATE, 0.95)
    refused = Registration(Registered("<b>", 4, "run", ()), decision, champion=3)
    page = page_of(json.loads(json.dumps(refused.as_json())) | {"identity": "model 1234"})
    first = page[: page.index("<h2 id")]
    for words in ("Version 4 names 90.0 % right", "The gate refused it. The champion is version 3", "model 1234",
                  "<code>nightshift promote 4 --force</code>", "Refused by min_accuracy"):  # fmt: skip
        assert words in first, words
    assert page.count("✓ passed") == 9
    assert "<b>" not in first.split("<body>")[1].replace("<b>version", "")
    promoted = page_of(refused.as_json() | {"champion": 4})
    assert "but it is the champion: nights use it" in promoted
    assert "<h1>Version 4: refused by the gate, not in use</h1>" in page
    assert "<h1>Version 4: refused by the gate, in use all the same</h1>" in promoted
    assert "May it be used, and is it better than version 3?" in page
    later = ("compared", "champion", "accuracy")
    earlier = {key: value for key, value in refused.as_json().items() if key not in later}
    assert "Compared with: version 3" in page_of(earlier), "a result that an earlier version wrote"


@pytest.mark.parametrize(
    ("champion", "state", "nights"),
    [
        (3, ". The champion is version 3: nights use that.", "Nights need nothing: they use version 3."),
        (None, ", and there is no champion.", "No night can run before a version is the champion."),
    ],
    ids=["another champion", "none"],
)  # fmt: skip
def test_after_a_refusal_it_is_said_which_version_nights_use_or_that_none_can_run(
    champion: int | None, state: str, nights: str
) -> None:
    decision = decide(evaluation(accuracy=0.41), 0, None, GATE, 0.95)
    refused = Registration(Registered("nightshift", 4, "run", ()), decision, champion=champion)
    message = of_failed_training(Refused(refused))
    page = page_of(refused.as_json())
    assert refused.state == f"The gate refused it{state}"
    for said in (" ".join(refused.next_steps), message.do, page):
        assert said.count(nights) == 1
    assert "`nightshift promote 4 --force`" in message.do
    assert refused.state in page


def test_what_the_images_cannot_tell_is_on_the_page_and_in_the_message() -> None:
    numbers = {**evaluation().metrics, "expected_calibration_error": Interval(value=0.1503, low=0.02, high=0.3)}
    decision = decide(an_evaluation(**numbers), 0, None, GATE, 0.95)
    passed = Registration(Registered("nightshift", 1, "run", ("champion",)), decision, champion=1)
    note = (
        "The expected calibration error is 0.150, more than 0.1; 40 test images cannot tell whether that is chance, "
        "so the gate does not refuse it."
    )
    for said in (page_of(passed.as_json()), of_training(passed).happened, to_markdown(decision)):
        assert note in said
