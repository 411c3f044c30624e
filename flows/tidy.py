"""The flow that deletes old data, and says what takes disk space."""

from prefect import flow, get_run_logger

from pipeline import tidy as housekeeping
from pipeline.params.file import load_params


@flow(name="tidy", flow_run_name="tidy")
def tidy(
    nights: int | None = None, runs: int | None = None, cache: bool = False,
    versions: int | None = None, prepared: bool = False,
) -> None:  # fmt: skip
    """Delete old data, and say in the log what takes disk space and what was freed.

    Args:
        nights: Delete folders of nights that are older than so many days. Empty: none.
        runs: Delete MLflow runs of nights that are older than so many days. Empty: none.
        cache: Delete from DVC's cache all data that no commit uses.
        versions: Delete versions of the model in no use that are older than so many days. Empty: none.
        prepared: Delete from DVC's cache decoded pixels and features that only old commits use.

    """
    asked = housekeeping.Asked(nights, runs, versions, cache, prepared)
    housekeeping.tidy(load_params().register_.model_name, asked, get_run_logger().info)
