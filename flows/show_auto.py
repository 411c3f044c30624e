"""Shows the result of an automatic training on a terminal: the best trial, faster ones, the next command."""

from pipeline.core.paths import AUTO_REPORT
from pipeline.search.auto_page import take_command, verdict
from pipeline.search.auto_result import AutoResult
from pipeline.search.embedded import in_words
from pipeline.search.log import optimism
from pipeline.search.written import Changed


def lines_of(found: AutoResult, changed: Changed | None) -> list[str]:
    """The result in words; `changed`: what was changed in params.yaml; None with --no-write."""
    lines = [f"{len(found.tried)} trials, {found.tuned} of them fine-tuned; this run took {in_words(found.seconds)}."]
    lines += [*verdict(found), optimism(len(found.tried), found.images)]
    lines += [
        f"Faster: {one.base}, {one.images_per_second:.0f} images/s at an accuracy of {one.accuracy:.3f}: "
        f"{take_command(one)}"
        for one in found.faster
    ]
    lines.append(f"All trials: {AUTO_REPORT}")
    return [*lines, *lines_of_change(changed)]


def lines_of_change(changed: Changed | None) -> list[str]:
    """What was changed in params.yaml, and what to do next."""
    if changed is None:
        return ["params.yaml stays as it is (--no-write). The same command without it writes the best values."]
    if not changed:
        return ["params.yaml stays as it is: it has these values already."]
    return [*(f"params.yaml: {name}: {old} -> {new}" for name, (old, new) in changed.items()), "Next: nightshift train"]
