"""The training flow: the stages of `dvc.yaml` through DVC, one task each, then the registry."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows import artifacts
from flows.prefect_hooks import training_completed, training_crashed, training_failed
from flows.retries import RETRIES
from pipeline.core.terminal import Said, is_of_a_command, show
from pipeline.params.file import load_params
from pipeline.register import register_current
from pipeline.registry.decision import to_markdown
from pipeline.registry.registration_result import Registration
from pipeline.storage.images_lock import working_on_images
from pipeline.versions import dvc, remote


def tell(said: Said) -> None:
    """Show what a stage says on the page of the flow run, and where a command runs it: a worker logs it anyway."""
    if is_of_a_command():
        show(said)
    if said.level:
        get_run_logger().log(said.level, said.text)


@task(task_run_name="version data", cache_policy=NO_CACHE)
def version_data() -> None:
    """Record the images as a data version."""
    dvc.add_data(tell)


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def reproduce(stage: str) -> None:
    """Run one stage, if any of its dependencies has changed."""
    dvc.reproduce(stage, tell)


# Retry every failed push: DVC's errors do not tell a dead network from a wrong key.
@task(task_run_name="push", cache_policy=NO_CACHE, **{**RETRIES, "retry_condition_fn": None})
def push() -> None:
    """Send data and outputs to the DVC remote, where there is one."""
    remote.push(lambda line: tell(remote.as_said(line)))


@task(task_run_name="register", cache_policy=NO_CACHE, **RETRIES)
def register() -> Registration:
    """Put the model before the gate and into the registry."""
    with dvc.timed("register", tell):
        return register_current(load_params(), flow_run=str(flow_run.get_id() or ""))


@task(task_run_name="publish data", cache_policy=NO_CACHE)
def publish_data() -> None:
    """Publish an artifact about the images: expectations, findings, where the reports are."""
    create_markdown_artifact(artifacts.data_markdown(), key="data")


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(registration: Registration) -> None:
    """Publish artifacts about the model on the page of this flow run."""
    model = registration.model
    create_table_artifact(artifacts.metrics_table(), key="metrics", description="Test split, with 95 % intervals")
    create_markdown_artifact(artifacts.figures_markdown(), key="figures")
    create_markdown_artifact(artifacts.model_markdown(model), key="model")
    create_markdown_artifact(to_markdown(registration.decision), key="gate")


@flow(
    name="training", flow_run_name="training",
    on_completion=[training_completed], on_failure=[training_failed], on_crashed=[training_crashed],
)  # fmt: skip
def training() -> Registration:
    """From the images in data/raw to a version in the registry. Raises Refused after publishing."""
    load_params()  # refuse a wrong parameter before anything runs
    finished: list[str] = []
    with dvc.keeping(finished):
        with working_on_images("nightshift train") as doing:
            version_data()
            try:
                for stage in dvc.stages():
                    doing(f"the stage {stage}")
                    reproduce(stage)
                    finished.append(stage)
            finally:
                publish_data()  # above all when a check on the images failed
            push()
        registration = register()
    publish(registration)
    registration.require_passed()
    return registration
