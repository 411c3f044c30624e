"""Whether the images have changed since they were last validated, by DVC. Validates nothing itself."""

import json

from pipeline.core.paths import RAW
from pipeline.versions import dvc


def images_changed() -> bool:
    """Whether data/raw differs from what the stage `validate` last saw; no where there are none. Raises VersionsError.

    Changed code and parameters are no new images: the next training sees to them.
    """
    if not RAW.is_dir():
        return False
    said: list[str] = []
    dvc.run_python("-m", "dvc", "status", "validate", "--json", say=said.append)
    found = json.loads(next(line for line in reversed(said) if line.startswith("{")))
    return any(str(RAW) in changed.get("changed deps", {}) for changed in found.get("validate", []))
