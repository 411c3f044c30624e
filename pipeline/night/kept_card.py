"""The card of a night's model, kept with the night: of the version that answered, whatever is trained later."""

from pipeline.core.errors import NightshiftError
from pipeline.core.log import log
from pipeline.core.pages import Link
from pipeline.core.paths import MODEL_CARD
from pipeline.evaluation.card_page import card_page
from pipeline.night.neighbours import CARD, OWN
from pipeline.night.review_labels import REVIEW
from pipeline.registry.versions import Registered, fetch_card
from pipeline.storage.folders import Folder


def keep_card(output: Folder, model: Registered, contract_hash: str) -> None:
    """Write the card of `model` into `output`; without one, a night goes on and says so in its log."""
    output.delete(CARD)  # of an earlier night's model
    if text := _card_of(model, contract_hash):
        links = [Link(words, name) for words, name in OWN if name != REVIEW]
        about = f"{model.name} version {model.version}; kept with the night, and later trainings do not change it"
        output.write(CARD, card_page(text, about, links).encode())


def _card_of(model: Registered, contract_hash: str) -> str:
    """The card as Markdown: the project's own if it is of this model, else the one with the version's run in MLflow."""
    try:
        ours = MODEL_CARD.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        ours = ""
    if contract_hash in ours:
        return ours
    try:
        found = fetch_card(model)
    except NightshiftError as error:
        log.warning("Could not fetch the card of model version %d, so the night has none: %s", model.version, error)
        return ""
    return found if contract_hash in found else ""
