"""The flow that learns from what people have judged: enough of it is imported, then trained on. It decides nothing.

The gate and `register.promote` decide whether nights use the new model.
"""

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.prefect_hooks import import_failed
from flows.training import tell, training
from pipeline.sources.judged import bring_in, plan_judged
from pipeline.sources.judged_words import plan_lines
from pipeline.sources.news import count_news

NEW = 50  # images with a new judgement


@task(task_run_name="count", cache_policy=NO_CACHE)
def count_new() -> int:
    """How many images have a judgement that the last training did not learn."""
    return count_news(plan_judged())


@task(task_run_name="import labels", cache_policy=NO_CACHE, on_failure=[import_failed])
def import_labels() -> None:
    """Bring the judged images into data/raw."""
    plan = plan_judged()
    for line in plan_lines(plan):
        get_run_logger().info(line)
    if not plan.is_empty:
        bring_in(plan, tell)


@flow(name="learn", flow_run_name="learn")
def learn(new: int = NEW) -> bool:
    """Import what people have judged and train, once enough of it is new; says whether. Raises Refused as `training`.

    Args:
        new: From how many images on, with a judgement that the last training has not learnt.

    """
    found = count_new()
    if found < new:
        get_run_logger().info(
            f"{found} images have a judgement that the last training has not learnt, of {new} that start one."
        )
        return False
    import_labels()
    training()
    return True
