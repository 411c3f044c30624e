"""`dvc.yaml` of a project that has Nightshift installed: as in the repository, but no stage names files of code."""

import re

from pipeline.core.stage_code import CODE

STAGE = re.compile(r"  (\w+):\n")


def of_installed(text: str) -> str:
    """The repository's dvc.yaml for such a project: code.yaml's line of each stage instead of its modules."""
    lines: list[str] = []
    stage = ""
    for line in text.splitlines(keepends=True):
        if found := STAGE.fullmatch(line):
            stage = found[1]
        if line.startswith("      - pipeline/"):
            continue
        lines.append(line)
        if line == "    params:\n":
            lines.append(f"      - {CODE}:\n          - {stage}\n")
    return "".join(lines)
