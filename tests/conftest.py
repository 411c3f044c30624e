"""Tiny real files and small rules that many tests share."""

import gc
import os
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from pipeline.params.data import Images
from pipeline.params.file import Params, load_params
from tests.fixtures import forked
from tests.fixtures.left_behind import begin_session, left_behind
from tests.fixtures.project import REPOSITORY, copy_of

pytest_plugins = [
    "tests.fixtures.stores",
    "tests.fixtures.filled_store",
    "tests.fixtures.prefect_server",
    "tests.fixtures.undisturbed",
    "tests.fixtures.web",
]

# No example is timed: on a busy machine a right answer may take its time. `--hypothesis-profile=many` for a long look.
settings.register_profile("few", deadline=None, max_examples=25)
settings.register_profile("many", deadline=None, max_examples=1000)
settings.load_profile("few")

# TensorFlow, MLflow and Prefect are millions of objects, most of them made by imports, and none of them is garbage.
gc.set_threshold(200_000, 5, 20)

MANY = 100  # modules that were imported meanwhile: a library, and not some of our own
LONGEST = 20.0  # seconds that a test may take; a longer one says so with the mark `slow`
AND_BUSY = 0.5  # and this share of them its processes computed: a test that only had to wait its turn was not slow
TIMES = pytest.StashKey[tuple[float, float]]()
OURS = pytest.StashKey[bool]()  # whether this process has begun the session


def pytest_configure(config: pytest.Config) -> None:
    """Mark this session's processes, to see at its end whether one is left."""
    config.stash[OURS] = begin_session()
    os.environ["NIGHTSHIFT_TESTS_PYTHON"] = sys.executable  # for fixtures/quick/python


def processor_seconds() -> float:
    """What this process and the processes that it has waited for have computed so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Take the time of the test itself, without its fixtures."""
    began, computed = time.monotonic(), processor_seconds()
    try:
        yield
    finally:
        item.stash[TIMES] = time.monotonic() - began, processor_seconds() - computed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that takes too long, and does not say so, fails."""
    report = yield
    seconds, computed = item.stash.get(TIMES, (0.0, 0.0))
    too_long = seconds > LONGEST and computed > LONGEST * AND_BUSY and not item.get_closest_marker("slow")
    if report.when == "call" and report.passed and too_long and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"{seconds:.0f} s, {computed:.0f} s of them computing: make it faster, or mark it `slow`."
    return report


@pytest.hookimpl(trylast=True)  # when the workers have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail when something that the tests have started still runs: it would run for ever."""
    if session.config.stash.get(OURS, None):
        forked.end_parents()
        if found := left_behind():
            session.config.get_terminal_writer().line("\n\nStarted by the tests, and still running:")
            for line in found:
                session.config.get_terminal_writer().line(f"  {line}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


SERVERS = {"s3", "bucket", "prefect_api", "up", "site"}  # fixtures
# They share `nightshift up`, so one worker has them all, the last after the others: it changes the champion.
OF_UP = [f"tests/flows/services/test_{name}.py" for name in ("processes", "worker", "pages")]
OF_SITE = [
    "tests/flows/services/test_production.py",
    "tests/flows/services/test_shipped_defaults.py",
]  # and these its site
TOGETHER = {file: files[0] for files in (OF_UP, OF_SITE) for file in files}


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: half of the time a test waits for a server or a process."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file's tests stay on one worker, which makes their fixtures once."""

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs servers or the trained project; and an order in which no worker waits for another.

    The first to need the trained project trains it: meanwhile the next worker has a long test that does not need it.
    Files with long tests come first, so that none is left at the end when the others are done.
    """
    for item in items:
        if SERVERS & set(needs(item)):
            item.add_marker(pytest.mark.services)
        if "trained" in needs(item):
            item.add_marker(pytest.mark.project)
    first = next((item for item in items if "trained" in needs(item)), None)

    def turn(item: pytest.Item) -> tuple[bool, bool, bool, int]:
        short, file = item.get_closest_marker("slow") is None, item.nodeid.partition("::")[0]
        of_up = OF_UP.index(file) if file in OF_UP else 0
        return item is not first, short, not short and "trained" in needs(item), of_up

    items.sort(key=turn)


def needs(item: pytest.Item) -> list[str]:
    """The fixtures of a test, and theirs."""
    return list(getattr(item, "fixturenames", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    """The process that classifies is kept for the next night as long as the environment is the same."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.fixture(scope="session")
def modules_seen() -> list[int]:
    """How many modules were there when the garbage collector was last told to look over them."""
    return [0]


@pytest.fixture(autouse=True, scope="module")
def libraries_are_no_garbage(modules_seen: list[int]) -> None:
    """Looking through them at each collection took a third of the tests' time."""
    if len(sys.modules) > modules_seen[0] + MANY:
        modules_seen[0] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def store_of_this_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks another's MLflow store: MLflow keeps the last address it used, also in the environment."""
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def rules() -> Images:
    """Small pictures, larger than none of the limits."""
    return Images(width=32, height=24, fit="stretch", max_megapixels=1)


@pytest.fixture(scope="session")
def defaults() -> Params:
    """The parameters as they are shipped."""
    return load_params(REPOSITORY / "params.yaml")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as `nightshift train` leaves it; tests may add to it, and leave its model and images as they are."""
    from tests.fixtures.project import new_project, train_here

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # all workers share one project: the first to come trains it
        shared = shared.parent
    project, done = shared / "trained", shared / "trained.done"
    with FileLock(shared / "trained.lock"):
        if not done.exists():
            train_here(new_project(project))
            copy_of(project, shared / "untouched")
            done.touch()
    return project


@pytest.fixture(scope="session")
def untouched(trained: Path) -> Path:
    """A copy of the trained project that no test works in, so that it can be copied at any time."""
    return trained.with_name("untouched")


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The trained project's parameters, after a change to its folder."""
    monkeypatch.chdir(trained)
    return load_params()


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Ten images of shapes: four shards of at most three."""
    from tests.fixtures.project import draw_shape

    for number in range(10):
        draw_shape(tmp_path / "night" / f"{number}.png", ("circle", "square")[number % 2], seed=number)
    return tmp_path / "night"


@pytest.fixture
def project(untouched: Path, tmp_path: Path) -> Path:
    """A copy of the trained project, for a test to change as it likes; its MLflow store is its own too."""
    return copy_of(untouched, tmp_path / "project")


@pytest.fixture(scope="session")
def three_versions(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version 1 is champion, version 2 as good and the challenger, version 3 worse and refused."""
    from tests.fixtures.project import change_bias, change_contract, change_params, stage

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    project, done = shared / "three_versions", shared / "three_versions.done"
    with FileLock(shared / "three_versions.lock"):
        if not done.exists():
            copy_of(untouched, project)
            limits = {"max_log_loss": 1e6, "min_accuracy": 0.0, "min_balanced_accuracy": 0.0}
            change_params(project, {"register": {"gate": {**limits, "max_expected_calibration_error": 1.0}}})
            change_contract(project, code_commit="the next one")
            stage("register", cwd=project)
            change_bias(project, [1e6, 0.0])  # says circle, whatever it sees
            worse = stage("register", cwd=project, check=False)
            (project / "refused.log").write_text(f"{worse.returncode}\n{worse.stdout}\n{worse.stderr}")
            done.touch()
    return project


@pytest.fixture
def registry_project(three_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for a test to change, as the current folder."""
    copy = copy_of(three_versions, tmp_path / "project")
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two shapes and the parameters; no git, no DVC, nothing has run."""
    from tests.fixtures.project import CLASSES, change_params, draw_shape

    folder = tmp_path_factory.mktemp("shapes")
    shutil.copy(REPOSITORY / "params.yaml", folder)
    change_params(folder, {"images": {"width": 64, "height": 64}})
    for label in CLASSES:
        for number in range(22):
            draw_shape(folder / "data" / "raw" / label / f"{number:03d}.png", label, seed=1000 * len(label) + number)
    return folder


@pytest.fixture
def data(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shapes' folder as the working folder; its images."""
    shutil.copytree(shapes, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return Path("data/raw")


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two data versions, without a model; tests leave it as it is."""
    from tests.fixtures.project import new_data_project

    return new_data_project(tmp_path_factory.mktemp("versions") / "project")


@pytest.fixture
def data_project(two_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for a test to change, as the current folder."""
    copy = tmp_path / "data_project"
    shutil.copytree(two_versions, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy
