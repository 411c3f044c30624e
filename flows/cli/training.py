"""The commands that make a model: train, tune."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.guard import end_together
from flows.cli.interrupt import interruptible
from flows.cli.prefect_server import WithPrefect, is_a_flow, require, with_server

if TYPE_CHECKING:
    from pipeline.params.file import Params
    from pipeline.registry.registration_result import Registration

app = typer.Typer()


@app.command()
def train(prefect: WithPrefect = None) -> None:
    """Check the images, train a model, evaluate it and register it in MLflow; the gate decides whether it may be used.

    Stages whose inputs have not changed are skipped.
    """
    from flows.show_models import print_registration
    from pipeline.notices import messages, when_a_run_ends
    from pipeline.registry.registration_result import Refused

    flow = is_a_flow(prefect)
    try:
        with interruptible(lambda: f"What was kept: {messages.TRAINING_KEPT} {messages.AGAIN}"):
            if flow:
                with with_server(messages.of_failed_training, _require_possible):
                    from flows.training import training

                    registration = training()
            else:
                require(messages.of_failed_training, _require_possible)
                registration = when_a_run_ends.training(_train_plainly)
    except Refused as refused:
        print_registration(refused.registration)
        raise
    print_registration(registration)


def _require_possible() -> None:
    """Raise NightshiftError for what can be seen at once: before a server is started, or a large library imported."""
    from pipeline.params.file import load_params
    from pipeline.registry.store import Store
    from pipeline.versions import dvc

    load_params()
    dvc.require_images()
    dvc.stages()
    Store.of_project().require_answer()


def _train_plainly() -> "Registration":
    from pipeline.params.file import load_params
    from pipeline.register import register_current
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc, remote

    end_together()  # DVC runs each stage as a process
    finished: list[str] = []
    with dvc.keeping(finished):
        with working_on_images("nightshift train") as doing:
            dvc.add_data()
            for stage in dvc.stages():
                doing(f"the stage {stage}")
                dvc.reproduce(stage)
                finished.append(stage)
            remote.push(remote.show)
        with dvc.timed("register"):
            return register_current(load_params())


@app.command()
def tune(
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of trials.", show_default="tune.trials in params.yaml")
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="Whole trainings, not only heads on the frozen backbone: slow.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write/--no-write", help="Write the best values into params.yaml, if they are better.")
    ] = True,
    auto: Annotated[
        bool, typer.Option("--auto", help="Choose network, image size, head, fine-tuning and augmentation instead.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Of --auto.", show_default="tune.minutes in params.yaml")
    ] = None,
    take: Annotated[
        int | None, typer.Option(min=0, help="Write the values of this trial of --auto into params.yaml; try nothing.")
    ] = None,
) -> None:
    """Search the ranges in params.yaml for better parameters, using the validation images.

    To resume an interrupted search, run the same command again. All trials are in MLflow; those of --auto are also in
    reports/auto.html.
    """
    from pipeline.params.file import load_params

    ranges, automatic = trials is not None or fine_tune, auto or minutes is not None
    if (take is not None) + ranges + automatic > 1:
        raise typer.BadParameter(
            "--trials and --fine-tune belong to the search of ranges, --minutes to --auto; --take stands alone."
        )
    if minutes is not None and not auto:
        raise typer.BadParameter("--minutes belongs to --auto: nightshift tune --auto --minutes 60.")
    params = load_params()
    if take is not None:
        _take(params, take)
    elif auto:
        _tune_automatically(params, minutes or params.tune.minutes, write)
    else:
        _tune_ranges(params, trials or params.tune.trials, fine_tune or params.tune.fine_tune, write)


def _tune_ranges(params: "Params", trials: int, fine_tune: bool, write: bool) -> None:
    from flows.show_search import print_found
    from pipeline.search import run as searching
    from pipeline.search.study import check, plan
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc

    check(params, fine_tune)  # before minutes are spent
    dvc.require_images()
    with working_on_images("nightshift tune"):
        dvc.add_data()
        dvc.reproduce_up_to("embed")
    found = searching.run_search(plan(params, fine_tune), trials)
    print_found(found, searching.write_winner(found) if write else None)


def _tune_automatically(params: "Params", minutes: float, write: bool) -> None:
    from flows.show_auto import lines_of
    from pipeline.search.auto import run_auto
    from pipeline.search.written import write_values
    from pipeline.storage.images_lock import working_on_images
    from pipeline.versions import dvc

    dvc.require_images()
    with working_on_images("nightshift tune --auto"):
        dvc.add_data()
        dvc.reproduce_up_to("preprocess")
    found = run_auto(params, minutes)
    changed = write_values(params, found.values_of(found.winner)) if write else None
    for line in lines_of(found, changed):
        print(line)  # noqa: T201


def _take(params: "Params", number: int) -> None:
    from flows.show_auto import lines_of_change
    from pipeline.search.auto import take

    for line in lines_of_change(take(params, number)):
        print(line)  # noqa: T201
