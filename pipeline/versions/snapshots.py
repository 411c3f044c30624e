"""Which images a data version holds, path -> content: at a git revision, and in the working folder. Asks DVC.

Knows nothing of what differs between two of them; changes nothing but DVC's own memory of hashes.
"""

import difflib
import io
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dvc.api
import pandas as pd
from dvc.config import Config
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.output import Output
from dvc.repo import Repo
from dvc.scm import NoSCM, RevError, SCMError, resolve_rev
from dvc.ui import ui
from dvc_data.hashfile.build import IgnoreInCollectedDirError, build
from dvc_data.hashfile.tree import Tree

from pipeline.core.log import log
from pipeline.core.paths import MANIFEST, RAW
from pipeline.versions.changes import SIDE_TABLE, DataVersion
from pipeline.versions.dvc import VersionsError, require_trusted_owner

MOST = 5000  # images of an earlier version that are measured again: for distributions these are many
Measure = Callable[[Mapping[str, Path]], pd.DataFrame]  # path -> file with its content; the manifest of these


def of_revision(revision: str) -> DataVersion:
    """The version that a git revision names. Raises VersionsError, also when the list is not in the local cache."""
    with opened() as repo:
        commit = resolve(repo, revision)
        name = revision if commit.startswith(revision) else f"{revision} ({commit[:7]})"
        with repo.switch(commit):
            out = output(repo, RAW)
            if out is None:
                raise VersionsError(
                    f"{name} has no version of {RAW}: it holds no {RAW}.dvc. Choose a later revision, or make this the "
                    f"first version: `nightshift train`, or `dvc add {RAW}`; then `git add {RAW}.dvc` and commit."
                )
            tree = out.get_obj()
            if tree is None:
                raise VersionsError(_not_in_cache(repo, name, revision))
            files = _listed(tree)
            cached = SIDE_TABLE in files and Path(repo.cache.local.oid_to_path(files[SIDE_TABLE]))
            table = _text(cached) if cached else ""
    return DataVersion(name, files, table)


def of_working_folder() -> DataVersion:
    """What is in `data/raw` now, versioned or not. Raises VersionsError."""
    if not RAW.is_dir():
        raise VersionsError(
            f"{RAW} is missing. Run `dvc checkout {RAW}.dvc`; in a fresh clone, run `nightshift data pull` instead."
        )
    with opened() as repo, ui.progress(unit="file", desc=f"Reading {RAW}") as bar:
        try:
            _, _, tree = build(
                repo.cache.local, str(RAW.absolute()), repo.fs, "md5",
                ignore=repo.dvcignore, dry_run=True, callback=bar.as_callback(),
            )  # fmt: skip
        except IgnoreInCollectedDirError as error:
            raise VersionsError(
                f"{error}. Move the lines of this .dvcignore into the .dvcignore beside dvc.yaml, and delete it."
            ) from error
        files = _listed(tree)
    return DataVersion("the working folder", files, _text(RAW / SIDE_TABLE) if SIDE_TABLE in files else "")


def manifest_at(revision: str, today: pd.DataFrame, measured: Measure) -> pd.DataFrame | None:
    """The manifest of the images of a git revision; None, with the reason in the log, where it is not available.

    Where none of these images was committed, it has at most MOST of them, drawn by their content: the rows of `today`,
    the manifest of the working folder, for those that are the same now, and what `measured` finds of the others.
    """
    try:
        kept = _kept_manifest(revision)
        return kept if kept is not None else _manifest_from_cache(revision, today, measured)
    except (VersionsError, DvcException, OSError, ValueError) as error:
        log.info(
            "No earlier images to compare with (validate.baseline is %s), so drift is not checked. %s",
            revision, " ".join(str(error).split()) or type(error).__name__,
        )  # fmt: skip
        return None


def _kept_manifest(revision: str) -> pd.DataFrame | None:
    """The manifest that was committed with the images of `revision`; None where it is of others, or not here."""
    with opened() as repo:
        commit = resolve(repo, revision)
        with repo.switch(commit):
            images, manifest = output(repo, RAW), output(repo, MANIFEST)
            if images is None or manifest is None:
                return None
            of = [dep.hash_info for dep in manifest.stage.deps if dep.fs_path == images.fs_path]
            if images.hash_info not in of:  # images were committed before the stages had run
                return None
    try:
        with dvc.api.open(str(MANIFEST), rev=commit, mode="rb", config=dict(settings())) as file:
            return pd.read_parquet(io.BytesIO(file.read()))
    except (DvcException, OSError, ValueError) as error:
        log.debug("validate.baseline %s: %s", revision, error)
        return None


def _manifest_from_cache(revision: str, today: pd.DataFrame, measured: Measure) -> pd.DataFrame:
    before = of_revision(revision).files
    drawn = sorted((path for path in before if "/" in path), key=lambda path: (before[path], path))[:MOST]
    with opened() as repo:
        here = output(repo, RAW)
        now = _listed(tree) if here and (tree := here.get_obj()) else {}
        others = {
            path: Path(repo.cache.local.oid_to_path(before[path])) for path in drawn if now.get(path) != before[path]
        }
        if not all(file.is_file() for file in others.values()):
            raise VersionsError(_not_in_cache(repo, revision, revision))
    same = today[today["path"].isin(set(drawn) - set(others))]
    return pd.concat([same, measured(others)], ignore_index=True) if others else same


def settings() -> Config:
    """The project's settings of DVC, with this user's and this machine's. Raises VersionsError."""
    try:
        return Config.from_cwd()
    except DvcException as error:
        raise VersionsError(
            f"DVC does not take its settings: {' '.join(str(error).split()).rstrip('.')}. Correct .dvc/config (or "
            ".dvc/config.local), or restore the committed one: `git checkout HEAD -- .dvc/config`. Then run the same "
            "command again."
        ) from error


@contextmanager
def opened() -> Iterator[Repo]:
    """The DVC repository here, in a git repository that has commits. Raises VersionsError, also for what DVC says."""
    require_trusted_owner()
    try:
        repo = Repo(config=settings())  # today's remotes for every revision; DVC would take each one's own
    except NotDvcRepoError:
        raise VersionsError(
            f"{Path.cwd()} is not in a DVC repository. Change to the folder of your Nightshift project (the one with "
            "dvc.yaml), or make a new one: `nightshift init FOLDER`."
        ) from None
    except SCMError:
        raise VersionsError(_no_git()) from None
    with repo:
        if isinstance(repo.scm, NoSCM):
            raise VersionsError(_no_git())
        if repo.scm.no_commits:
            raise VersionsError("This git repository has no commit yet: there is no version to compare. Commit first.")
        try:
            yield repo
        except DvcException as error:
            raise VersionsError(
                f"DVC cannot read this project's versions: {error}. Correct the file that it names, or restore the "
                "committed one: `git checkout HEAD -- FILE`. Then run the same command again."
            ) from error


def _no_git() -> str:
    return (
        f"{Path.cwd()} is not in a git repository, so there are no versions to compare. `git init`, then commit "
        f"{RAW}.dvc; or change to the folder of your Nightshift project."
    )


def resolve(repo: Repo, revision: str) -> str:
    """The commit that `revision` names: 40 digits. Raises VersionsError that names what it may have meant."""
    try:
        return str(resolve_rev(repo.scm, revision))
    except RevError:
        listed = subprocess.run(
            ["git", "for-each-ref", "--format=%(refname:short)", "refs/tags", "refs/heads", "refs/remotes"],
            capture_output=True, text=True, check=False, cwd=repo.root_dir,
        )  # fmt: skip
        names = listed.stdout.split()
        close = difflib.get_close_matches(revision, names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"tags and branches: {', '.join(names[:10])}."
        raise VersionsError(
            f"{revision!r} is not a revision of this git repository; {hint} `git log --oneline` lists the commits."
        ) from None


def output(repo: Repo, path: Path) -> Output | None:
    """DVC's entry of `path`, with the hash of its content, in the revision that `repo` is switched to."""
    project = Path(os.path.realpath(".")).relative_to(os.path.realpath(Repo.find_root()))
    key = (project / path).parts
    return next((out for out in repo.index.outs if out.index_key == ("repo", key) and out.hash_info), None)


def _listed(tree: object) -> dict[str, str]:
    if not isinstance(tree, Tree):
        raise VersionsError(f"{RAW} is a single file in this version, not a folder of images. Choose another revision.")
    return {"/".join(key): str(content.value) for key, _, content in tree if content}


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _not_in_cache(repo: Repo, name: str, revision: str) -> str:
    remote = repo.config["core"].get("remote")
    if not remote:
        return (
            f"The images of {name} were never on this machine, and this project has no remote to fetch them from. If "
            "they are not yours (a clone comes with its author's versions), make yours the first to compare with: "
            f"`nightshift data check`, then `git add {RAW}.dvc dvc.lock` and commit. If a folder or bucket has them: "
            "`dvc remote add --default storage <folder or s3://bucket/folder>`, then `nightshift data pull --rev "
            f"{revision}`."
        )
    return (
        f"The images of {name} are not in the local cache. Fetch them from the remote {remote} "
        f"({repo.config['remote'].get(remote, {}).get('url', '')}): `nightshift data pull --rev {revision}`."
    )
