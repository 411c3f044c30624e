"""The model card as a page that a browser shows, made from its Markdown. Measures nothing, reads no file."""

from collections.abc import Sequence

from pipeline.core.pages import Link, render

TEMPLATE = "evaluation/model_card.html"


def card_page(markdown: str, about: str, links: Sequence[Link]) -> str:
    """The page. markdown: as `model_card` writes it, in which names cannot act as markup; about: under the title."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    reader = MarkdownIt("commonmark", {"html": False}).disable(["image", "link", "autolink"]).enable("table")
    title, _, body = markdown.partition("\n")
    lead, rule, rest = body.partition("\n## ")
    shown = [Markup(reader.render(part)) for part in (lead, rule + rest)]  # noqa: S704 - HTML in it is off
    return render(TEMPLATE, title=title.lstrip("# "), about=about, links=links, lead=shown[0], card=shown[1])
