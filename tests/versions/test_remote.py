"""Versions travel through a folder or a real S3 server, byte for byte; what fails says what to do and harms nothing."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from pipeline.versions import remote, snapshots
from pipeline.versions.dvc import VersionsError
from pipeline.versions.remote import Remote
from tests.fixtures.in_process import QUICK
from tests.fixtures.project import NIGHTSHIFT, dvc, nightshift, run

STORAGE = Remote("storage", "s3://images/nightshift")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server on this machine, with one bucket, `images`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server)
        s3fs.S3FileSystem(endpoint_url=address, key="test", secret="test").mkdir("images")  # noqa: S106
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers; at most half a minute."""
    for _ in range(300):
        assert server.poll() is None, "the S3 server ended"
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{address} does not answer")


@pytest.fixture(autouse=True)
def quick_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC is a fork of a process that has it already."""
    monkeypatch.setattr(sys, "executable", QUICK)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted by the server, in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def add_remote(project: Path, url: str, endpoint: str = "") -> None:
    """What `dvc remote add --default` writes, and a commit, so that a clone has it."""
    lines = ["[core]", "remote = storage", "analytics = false", "['remote \"storage\"']", f"url = {url}"]
    (project / ".dvc/config").write_text(
        "\n".join([*lines, *([f"endpointurl = {endpoint}"] if endpoint else [])]) + "\n"
    )
    run("git", "commit", "--quiet", "--all", "--message", "a remote", cwd=project)


def clone(project: Path, name: str = "clone") -> Path:
    """A fresh clone: git's files, no image and no cache."""
    run("git", "clone", "--quiet", str(project), str(project.parent / name), cwd=project)
    return project.parent / name


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` that git does not hold."""
    files = [*(folder / "data/raw").rglob("*"), folder / "data/splits.json"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def test_a_fresh_clone_pulls_the_same_bytes_from_a_folder(
    data_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_remote(data_project, str(tmp_path / "remote"))
    said = nightshift("data", "push", cwd=data_project).stdout
    assert "files pushed" in said
    there = clone(data_project)
    monkeypatch.chdir(there)
    heard: list[str] = []
    remote.pull(heard.append)
    assert contents(there) == contents(data_project)
    assert "Fetching: 0/8 files" in heard, "progress is visible"
    assert not [line for line in heard if "B/s" in line], "and no bar for every file"


def test_a_fresh_clone_pulls_the_same_bytes_from_s3(
    data_project: Path, s3: str, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_remote(data_project, "s3://images/clone", s3)
    assert remote.push(lambda line: None)
    there = clone(data_project)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
        dvc("remote", "modify", "--local", "storage", name.removeprefix("AWS_").lower(), "test", cwd=there)
    nightshift("data", "pull", cwd=there)
    assert contents(there) == contents(data_project)
    shutil.rmtree(there / ".dvc/cache")
    shutil.rmtree(there / "data/raw")
    dvc("pull", cwd=there)
    assert contents(there) == contents(data_project), "DVC's own command does the same"
    assert "secret" not in run("git", "status", "--porcelain", cwd=there).stdout


def test_an_earlier_revision_is_fetched_without_touching_the_folder(
    data_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`first` is older than the remote: DVC alone would look for the remote in that revision's configuration."""
    add_remote(data_project, str(tmp_path / "remote"))
    run("git", "checkout", "--quiet", "first", "--", "data/raw.dvc", "dvc.lock", cwd=data_project)
    assert remote.push(lambda line: None)
    run("git", "checkout", "--quiet", "HEAD", "--", ".", cwd=data_project)
    there = clone(data_project)
    monkeypatch.chdir(there)
    with pytest.raises(VersionsError, match="nightshift data pull --rev first"):
        snapshots.of_revision("first")
    nightshift("data", "pull", "--rev", "first", cwd=there)
    assert contents(there) == {}
    assert len(snapshots.of_revision("first").files) == 6
    run("git", "checkout", "--quiet", "first", "--", "data/raw.dvc", "dvc.lock", "params.yaml", cwd=there)
    dvc("checkout", cwd=there)
    assert (there / "data/raw/cat/2.jpg").read_text() == "the bytes of cat/2.jpg"


def test_local_changes_are_never_overwritten_silently(data_project: Path, tmp_path: Path) -> None:
    add_remote(data_project, str(tmp_path / "remote"))  # the version itself is in the cache
    mine = data_project / "data/raw/cat/2.jpg"
    mine.write_text("my own work")
    with pytest.raises(VersionsError, match="(?s)left alone. Keep them: `dvc add data/raw`.*pull --force.*cat/2.jpg"):
        remote.pull(lambda line: None)
    assert mine.read_text() == "my own work"
    remote.pull(lambda line: None, force=True)
    assert mine.read_text() == "a better photograph"


def test_data_that_nobody_pushed_are_said_and_even_force_leaves_the_folder_alone(
    data_project: Path, tmp_path: Path
) -> None:
    add_remote(data_project, str(tmp_path / "remote"))
    shutil.rmtree(data_project / ".dvc/cache")
    here = contents(data_project)
    with pytest.raises(
        VersionsError,
        match="2 files, or lists of files, .* neither in the local cache nor in the remote storage .*data push",
    ):
        remote.pull(lambda line: None, force=True)
    assert contents(data_project) == here


@pytest.mark.parametrize("command", ["pull", "push"])
def test_without_a_remote_the_command_says_how_to_name_one(two_versions: Path, command: str) -> None:
    done = nightshift("data", command, cwd=two_versions, check=False)
    assert done.returncode == 1
    assert "no default DVC remote. Add a folder or a bucket: `dvc remote add --default" in done.stderr


def test_training_without_a_remote_pushes_nothing(data_project: Path) -> None:
    assert remote.push() is False


def test_settings_that_dvc_cannot_read_are_a_persons_to_correct(data_project: Path) -> None:
    (data_project / ".dvc/config").write_text("[core\n")
    for reading in (remote.push, remote.pull, snapshots.of_working_folder):
        with pytest.raises(VersionsError, match=r"DVC does not take its settings: .*\[core.* Correct .dvc/config"):
            reading()


def test_a_project_without_a_version_has_nothing_to_pull(data_project: Path, tmp_path: Path) -> None:
    add_remote(data_project, str(tmp_path / "remote"))
    (data_project / "data/raw.dvc").unlink()
    (data_project / "dvc.lock").unlink()
    with pytest.raises(VersionsError, match="nothing to pull: data/raw.dvc.*git pull"):
        remote.pull()


def test_a_missing_bucket_is_named(data_project: Path, s3: str, credentials: None) -> None:
    add_remote(data_project, "s3://absent/nightshift", s3)
    with pytest.raises(
        VersionsError, match=r"The bucket of the remote storage \(s3://absent/nightshift\) does not exist"
    ):
        remote.push(lambda line: None)


def test_wrong_credentials_are_said(data_project: Path, s3: str, credentials: None) -> None:
    add_remote(data_project, "s3://images/nightshift", s3)
    allow_without_key(s3, "0")
    try:
        with pytest.raises(VersionsError, match="refuses these credentials. Check AWS_ACCESS_KEY_ID"):
            remote.push(lambda line: None)
    finally:
        allow_without_key(s3, "inf")


def allow_without_key(s3: str, requests: str) -> None:
    """How many requests the server takes before it asks for a key that it knows."""
    address, header = f"{s3}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(address, requests.encode(), header), timeout=10).close()


def test_a_server_that_does_not_answer_is_named(
    data_project: Path, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    add_remote(data_project, "s3://images/nightshift", "http://127.0.0.1:9")
    with pytest.raises(
        VersionsError, match=r"The remote storage \(s3://images/nightshift\) does not answer.*endpointurl"
    ):
        remote.push(lambda line: None)


def test_s3_without_its_package_says_what_to_install(
    data_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without" / "dvc_s3").mkdir(parents=True)
    (tmp_path / "without/dvc_s3/__init__.py").write_text("raise ModuleNotFoundError(name=__name__)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    monkeypatch.setattr(sys, "executable", str(NIGHTSHIFT.with_name("python")))  # which imports it afresh
    add_remote(data_project, "s3://images/nightshift")
    with pytest.raises(VersionsError, match=r"needs one more package: `pip install 'nightshift\[s3\]'`"):
        remote.push(lambda line: None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(
            "ERROR: failed to connect to s3 (images/files/md5) - Unable to locate credentials\nERROR: failed to pull",
            "There are no credentials for the remote storage", id="no credentials",
        ),
        pytest.param(
            "ERROR: unexpected error - Forbidden: An error occurred (403) when calling the HeadObject operation",
            "refuses these credentials", id="refused",
        ),
        pytest.param(
            "ERROR: failed to connect to s3 (images) - Could not connect to the endpoint URL: \"http://127.0.0.1:9/x\"\n"
            "ERROR: failed to pull data from the cloud - 403 files failed to download",
            "does not answer", id="no answer, and a number that means nothing",
        ),
        pytest.param(
            "ERROR: unexpected error - [Errno 20] Not a directory: '/mnt/a/files'", "cannot be used", id="no folder"
        ),
        pytest.param("ERROR: unexpected error - No module named 's3fs'", "pip install 'nightshift[s3]'", id="no s3fs"),
    ],
)  # fmt: skip
def test_what_dvc_says_is_put_into_words_to_act_on(said: str, words: str) -> None:
    meaning, its_own, *_ = remote.explain(said, STORAGE).splitlines()
    assert words in meaning
    assert its_own == f"DVC says: {said.splitlines()[0]}"


def test_a_failure_that_is_not_known_is_left_in_dvcs_words() -> None:
    assert remote.explain("ERROR: something new", STORAGE) == ""


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(
            "  0%|          |Fetching from storage                 3/7 [00:00<?,     ?file/s]",
            "Fetching: 3/7 files", id="the whole transfer",
        ),
        pytest.param(
            " 40%|████      |Pushing to storage             1.20k/20.0k [00:10<00:20, 120file/s]",
            "Pushing: 1.20k/20.0k files", id="thousands",
        ),
        pytest.param("  0%|     |data/dvc/files/md5/5f/0be0.00/3.00 [00:00<?,        ?B/s]", None, id="one file"),
        pytest.param("Collecting          |9.00 [00:00, 9.03entry/s]", None, id="looking"),
        pytest.param("0% |          |0/? [00:00<?,    ?files/s]", None, id="a bar without a name"),
        pytest.param("!", None, id="a bar begins"),
        pytest.param("md5: e8b60601ccc73dfa53a3e9e8e0347f4f", None, id="a missing hash"),
        pytest.param("7 files fetched and 6 files added", "7 files fetched and 6 files added", id="the result"),
        pytest.param("A       data/raw/", "A       data/raw/", id="what changed"),
    ],
)  # fmt: skip
def test_progress_is_one_line_for_the_whole_transfer(line: str, shown: str | None) -> None:
    assert remote.progress(line) == shown
