"""Which images of a folder have which content. Reads only files that no check has measured since they changed."""

from collections import defaultdict
from pathlib import Path

from pipeline.core.paths import MEASURED
from pipeline.core.terminal import progress_bar
from pipeline.storage.files import sha256_of_file
from pipeline.storage.listing import in_dvc_cache, list_images

Known = dict[tuple[str, int, int], str]  # path, bytes, time of the last change -> SHA-256


def contents_of(folder: Path, measured: Path | None = None) -> dict[str, list[str]]:
    """SHA-256 -> the paths of the images below `folder` with that content, sorted; none without the folder.

    measured: where earlier checks of this folder have kept their measures.
    """
    files = [*list_images(folder, in_dvc_cache)] if folder.is_dir() else []
    known = _measured(measured) if files and measured else {}
    new = [listed for listed in files if (listed.path, listed.bytes, listed.changed_ns) not in known]
    for listed in progress_bar(new, "read", unit="image", disable=not new):
        known[listed.path, listed.bytes, listed.changed_ns] = sha256_of_file(folder / listed.path)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for listed in sorted(files, key=lambda listed: listed.path):
        found[known[listed.path, listed.bytes, listed.changed_ns]].append(listed.path)
    return dict(found)


def measured_in(project: Path = Path()) -> Path:
    """Where the checks of a project keep the measures of its images."""
    return project / MEASURED


def _measured(folder: Path) -> Known:
    """What `data.manifest` has cached of files, by whatever recipe: a hash depends on none."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    known: Known = {}
    for file in sorted(folder.glob("*/*.parquet")):
        try:
            table = pq.read_table(file, columns=["path", "bytes", "changed_ns", "sha256"]).to_pydict()
        except (OSError, ArrowException):  # the files are read again
            continue
        rows = zip(table["path"], table["bytes"], table["changed_ns"], table["sha256"], strict=True)
        known |= {(path, size, changed): digest for path, size, changed, digest in rows if digest}
    return known
