"""The flow that takes one picture of each camera now. All day and night, `nightshift up` collects without Prefect."""

from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from flows.prefect_hooks import REFUSED
from pipeline.collect.signs import Told
from pipeline.collect.start import CollectError, jobs
from pipeline.collect.supervise import Failed, take_one_each
from pipeline.night.classified import classified
from pipeline.notices.by_label import classify_and_tell
from pipeline.params.file import load_params
from pipeline.storage.output_lock import InUse


@flow(name="collect", flow_run_name="collect")
def collect(source: str | None = None) -> list[str] | State[object]:
    """Take one picture of each camera in params.yaml, and all clips that are new; returns the files.

    With collect.classify the champion answers each.

    Args:
        source: One source of collect.sources. Empty: all.

    """
    params = load_params()
    new, failed, rules = list[str](), list[str](), params.collect
    photos = Path(rules.photos)
    try:
        for job, event in take_one_each(jobs(rules, source), partial(classified, photos)):
            match event:
                case Told(kept=kept) if kept:
                    new.append(f"{job.source.name}/{kept.path}")
                case Failed(error):
                    failed.append(f"{job.source.name}: {error}")
    except InUse as refused:  # nothing has failed: a collector is at work
        return Cancelled(name=REFUSED, message=str(refused))
    files = [str(photos / path) for path in new]
    get_run_logger().info("Pictures: %s", ", ".join(files) or "none")
    if rules.classify and new:
        for row in classify_and_tell(photos, new, params):
            get_run_logger().info("%s: %s %s", row["path"], row["label"] or row["error"], row["status"])
    if failed:
        raise CollectError("\n".join(failed))
    return files
