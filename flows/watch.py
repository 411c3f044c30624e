"""The flow that looks for new images, and has them checked when there are some. Trains nothing."""

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.training import publish_data, reproduce, version_data
from pipeline.storage.images_lock import working_on_images
from pipeline.versions.dvc import images_changed


@task(task_run_name="look", cache_policy=NO_CACHE)
def look() -> bool:
    """Whether there is something to check."""
    return images_changed()


@flow(name="data-watch", flow_run_name="data-watch")
def watch() -> bool:
    """Check the images in data/raw if they have changed since they were last; says whether."""
    if not look():
        get_run_logger().info("The images are those that were checked last.")
        return False
    with working_on_images("the deployment data-watch"):
        version_data()
        try:
            reproduce("validate")
        finally:
            publish_data()  # also, and above all, when they cannot be used for training
    return True
