"""The flow that deletes old data, and says what takes disk space."""

from prefect import flow, get_run_logger

from pipeline import tidy as housekeeping
from pipeline.params.file import load_params


@flow(name="tidy", flow_run_name="tidy")
def tidy(nights: int | None = None, runs: int | None = None, cache: bool = False) -> None:
    """Delete old data, and say in the log what takes disk space.

    Args:
        nights: Delete folders of nights that are older than so many days. Empty: none.
        runs: Delete MLflow runs of nights that are older than so many days. Empty: none.
        cache: Delete from DVC's cache all data that no commit uses.

    """
    housekeeping.tidy(load_params().register_.model_name, nights, runs, cache, get_run_logger().info)
