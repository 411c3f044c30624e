"""An MLflow tracking server, asked by its REST interface without MLflow's client.

One attempt for each request: whatever goes wrong is MLflow's to try again and to put into words. Where a proxy, a
certificate, a redirect or a way to log in asks for more than a name and a password or a token, MLflow is asked.
"""

import base64
import json
import os
import shutil
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, Never
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener, getproxies

from pipeline.registry.direct import (
    CREDENTIALS,
    INSECURE,
    TIMEOUT,
    Direct,
    FoundRun,
    Missing,
    Model,
    NewRun,
    Unanswered,
    Version,
    require_no_passwords,
)

API, FILES = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts"
PROXIED = "mlflow-artifacts"  # the scheme of files that the server passes on
NO_EXPERIMENT = "RESOURCE_DOES_NOT_EXIST"
MOST_VERSIONS = 10_000  # as MLflow's client asks for


class _NoRedirect(HTTPRedirectHandler):
    """A password goes to no other server."""

    def redirect_request(self, *_: Any) -> None:
        return None


@contextmanager
def opened(address: str, timeout: int) -> Iterator["Server"]:
    """The server at `address`. Raises Unanswered where it takes more than this module knows to reach it."""
    require_no_passwords()
    parts = urlsplit(address)
    others = [name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)]
    if parts.username or parts.query or (others and parts.scheme == "https"):
        raise Unanswered("the address or the environment asks for more than a plain connection")
    if getproxies() and not _is_here(parts.hostname):
        raise Unanswered("a proxy may be in between")
    yield Server(address.rstrip("/"), float(os.environ.get(TIMEOUT) or timeout))


def _is_here(host: str | None) -> bool:
    return host in ("127.0.0.1", "localhost", "::1")  # `core.surroundings` lets no proxy be asked for these


class Server(Direct):
    """A tracking server that is asked directly."""

    def __init__(self, address: str, timeout: float) -> None:
        """address: without a slash at its end; timeout: seconds, of one request."""
        self._address, self._timeout = address, timeout
        secure = [HTTPSHandler(context=_context())] if address.startswith("https") else []
        self._opener = build_opener(ProxyHandler({}), *secure, _NoRedirect())
        user, password, token = (os.environ.get(name) for name in CREDENTIALS)
        self._headers = {"User-Agent": "nightshift"}
        if user and password:  # as MLflow's client: a name and a password before a token
            self._headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        elif token:
            self._headers["Authorization"] = f"Bearer {token}"

    def _send(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        headers = self._headers | ({"Content-Type": kind} if body is not None else {})
        asked = Request(f"{self._address}{path}", body, headers, method=method)  # noqa: S310 - http or https
        try:
            with self._opener.open(asked, timeout=self._timeout) as answer:
                return bytes(answer.read())  # with a limit it would not say that the connection broke off
        except HTTPError as error:
            _refuse(error)
        except (OSError, HTTPException, ValueError) as error:
            raise Unanswered(f"{path}: {error}") from error

    def _get(self, what: str, **asked: str | int) -> "_Answer":
        return _object(self._send("GET", f"{API}{what}?{urlencode(asked)}"))

    def _post(self, what: str, **said: object) -> "_Answer":
        return _object(self._send("POST", f"{API}{what}", json.dumps(said).encode()))

    def get_registered_model(self, name: str) -> Model:
        """The model as a whole."""
        found = self._get("registered-models/get", name=name)["registered_model"]
        aliases = {one["alias"]: int(one["version"]) for one in found.get("aliases", ())}
        return Model(aliases, _pairs(found.get("tags", ())), found.get("description", ""))

    def get_model_version_by_alias(self, name: str, alias: str) -> Version:
        """The version that has the alias."""
        return _version(self._get("registered-models/alias", name=name, alias=alias)["model_version"])

    def get_model_version(self, name: str, version: str) -> Version:
        """The version of this number."""
        return _version(self._get("model-versions/get", name=name, version=version)["model_version"])

    def versions_of(self, name: str) -> list[Version]:
        """All versions, in any order, without their aliases."""
        found = self._get("model-versions/search", filter=f"name='{name}'", max_results=MOST_VERSIONS)
        return [_version(one) for one in found.get("model_versions", ())]

    def runs_before(self, experiment: str, end: int, most: int) -> list[FoundRun] | None:
        """The newest `most` finished runs begun before `end`, in ms, the newest first; None: no such experiment."""
        try:
            known = self._get("experiments/get-by-name", experiment_name=experiment)["experiment"]
        except Missing as error:
            if error.error_code == NO_EXPERIMENT:
                return None
            raise Unanswered(str(error)) from error
        found = self._post(
            "runs/search", experiment_ids=[known["experiment_id"]], max_results=most,
            filter=f"attributes.status = 'FINISHED' and attributes.start_time < {end}",
            order_by=["attributes.start_time DESC"],
        )  # fmt: skip
        return [_run(one) for one in found.get("runs", ())]

    def fetch_folder(self, name: str, version: int, folder: str, into: Path) -> None:
        """Copy a folder among the files of a version into the new folder `into`."""
        try:
            place = self._get("model-versions/get-download-uri", name=name, version=version)["artifact_uri"]
            files = list(self._files_in(f"{_within(place)}/{folder}"))
            if not files:
                raise Unanswered(f"{name} version {version} has no files in {folder}")
            for path, inner in files:
                file = into / inner
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self._send("GET", f"{FILES}/{quote(path)}"))
        except (Missing, OSError, Unanswered) as error:
            shutil.rmtree(into, ignore_errors=True)
            raise Unanswered(str(error)) from error

    def _files_in(self, root: str, inner: str = "") -> Iterator[tuple[str, str]]:
        """Each file below a folder of the server: its whole path there, and that below `root`."""
        folder = f"{root}/{inner}".rstrip("/")
        for one in _object(self._send("GET", f"{FILES}?{urlencode({'path': folder})}")).get("files", ()):
            name = str(one["path"])  # the last part of it
            if not name or PurePosixPath(name).name != name or name in (".", "..") or "\\" in name:
                raise Unanswered(f"{name!r} is not the name of a file")
            below = f"{inner}/{name}".lstrip("/")
            if one.get("is_dir"):
                yield from self._files_in(root, below)
            else:
                yield f"{root}/{below}", below

    def text_of(self, run_id: str, path: str) -> str | None:
        """A text among the files of a run; None: the run has no such file."""
        place = f"{_within(self._get('runs/get', run_id=run_id)['run']['info']['artifact_uri'])}/{path}"
        folder, _, name = place.rpartition("/")
        if name not in [found for _, found in self._files_in(folder)]:
            return None
        try:
            return self._send("GET", f"{FILES}/{quote(place)}").decode()
        except UnicodeDecodeError as error:
            raise Unanswered(str(error)) from error

    def record(self, run: NewRun) -> None:
        """Record a finished run whole; one that the server refuses halfway stays, marked as failed."""
        try:
            known = self._get("experiments/get-by-name", experiment_name=run.experiment)["experiment"]
        except Missing as error:
            raise Unanswered(str(error)) from error
        _within(known["artifact_location"])  # the run's files will be below it
        if known["lifecycle_stage"] != "active":
            raise Unanswered(f"the experiment {run.experiment} is deleted")
        begun = self._post(
            "runs/create", experiment_id=known["experiment_id"], user_id=run.tags["mlflow.user"], run_name=run.name,
            start_time=_now(), tags=_listed(run.tags),
        )["run"]["info"]  # fmt: skip
        try:
            self._fill(begun["run_id"], _within(begun["artifact_uri"]), run)
            self._end(begun["run_id"], "FINISHED")
        except BaseException:  # a person's Ctrl-C, too
            with suppress(Unanswered, Missing):
                self._end(begun["run_id"], "FAILED")
            raise

    def _fill(self, run_id: str, place: str, run: NewRun) -> None:
        if run.model_id:
            self._post("runs/log-inputs", run_id=run_id, models=[{"model_id": run.model_id}])
        now = _now()
        metrics = [{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in run.metrics.items()]
        self._post("runs/log-batch", run_id=run_id, params=_listed(run.params), metrics=metrics)
        for name, content in run.files.items():
            kind = "text/html" if name.endswith(".html") else "text/plain"
            self._send("PUT", f"{FILES}/{quote(f'{place}/{name}')}", content, kind)

    def _end(self, run_id: str, status: str) -> None:
        self._post("runs/update", run_id=run_id, status=status, end_time=_now())


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if os.environ.get(INSECURE, "").lower() in ("true", "1"):  # a person asks for it, as of MLflow
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _now() -> int:
    return int(time.time() * 1000)


def _refuse(error: HTTPError) -> Never:
    """Raise Missing where the server says that something does not exist, else Unanswered."""
    try:
        code = _object(error.read(100_000)).get("error_code", "")
    except (OSError, HTTPException, Unanswered):
        code = ""
    if error.code in (400, 404) and code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
        raise Missing(code) from error
    raise Unanswered(f"the server answered {error.code} {code}") from error


class _Answer(dict[str, Any]):
    """An object of a server's answer. One without what we look for comes from another program or version."""

    def __missing__(self, key: str) -> Never:
        raise Unanswered(f"the server's answer has no {key}")


def _given(pairs: list[tuple[str, Any]]) -> _Answer:
    """An object without its nulls, which say no more than what is left out."""
    return _Answer((key, value) for key, value in pairs if value is not None)


def _object(data: bytes) -> _Answer:
    try:
        found = json.loads(data, object_pairs_hook=_given)
    except ValueError as error:
        raise Unanswered("the server's answer is not JSON") from error
    if not isinstance(found, _Answer):
        raise Unanswered("the server's answer is not an object")
    return found


def _within(address: str) -> str:
    """The path of files that the server passes on. Raises Unanswered for files that it does not."""
    parts = urlsplit(address)
    if parts.scheme != PROXIED or parts.netloc:
        raise Unanswered(f"{parts.scheme or 'a path'}: the files are not kept by the server")
    return parts.path.strip("/")


def _listed(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def _pairs(found: Any) -> dict[str, str]:
    return {str(one["key"]): str(one.get("value", "")) for one in found}


def _version(found: Mapping[str, Any]) -> Version:
    return Version(
        str(found["name"]), int(found["version"]), found.get("run_id", ""), tuple(found.get("aliases", ())),
        found.get("description", ""), _pairs(found.get("tags", ())), found.get("source", ""),
        found.get("model_id", ""), int(found.get("creation_timestamp", 0)),
    )  # fmt: skip


def _run(found: Mapping[str, Any]) -> FoundRun:
    data = found.get("data", {})
    metrics = {str(one["key"]): float(one["value"]) for one in data.get("metrics", ())}
    return FoundRun(str(found["info"].get("run_name", "")), _pairs(data.get("tags", ())), metrics)
