"""The flow that deletes what is old, and says what takes room."""

from prefect import flow, get_run_logger

from pipeline import tidy as housekeeping
from pipeline.params.file import load_params


@flow(name="tidy", flow_run_name="tidy")
def tidy(nights: int | None = None, runs: int | None = None, cache: bool = False) -> None:
    """Delete folders of nights and their MLflow runs that are older than so many days; cache: data no commit names."""
    housekeeping.tidy(load_params().register_.model_name, nights, runs, cache, get_run_logger().info)
