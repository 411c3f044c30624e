"""What a tracking server answers that is not MLflow's answer is not taken for one."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient, MlflowException

from pipeline.registry import direct, direct_server, versions
from pipeline.registry.direct import Unanswered
from pipeline.registry.store import Store
from tests.fixtures.filled_store import NAMES

BODIES = {
    "page": b"<html>",
    "list": b"[]",
    "other": b"{}",
    "half": b'{"model_version": {"name": "shapes", "version": "2"}}',
    "nulls": b'{"model_version": {"name": "shapes", "version": 2, "run_id": null, "tags": null}}',
    "words": b'{"model_version": {"name": "shapes", "version": "newest"}}',
    "far": b'{"experiment": {"artifact_location": "mlflow-artifacts://far:1/x", "lifecycle_stage": "active"}}',
}


@pytest.fixture(scope="module")
def odd() -> Iterator[tuple[str, list[str | None]]]:
    """A server whose address chooses its answer, and the credentials that each request has brought."""
    told: list[str | None] = []

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(self.headers.get("Authorization"))
            kind = self.path.split("/")[1]
            body = BODIES.get(kind, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')
            self.send_response({"moved": 302, "down": 503, "refused": 401, "gone": 404}.get(kind, 200))
            if kind == "moved":
                self.send_header("Location", "/other")
            self.send_header("Content-Length", str(len(body) + (kind == "half")))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()


@pytest.mark.parametrize("kind", ["moved", "down", "refused", "page", "list", "other"])
def test_what_a_server_answers_oddly_is_mlflows_to_ask(kind: str, odd: tuple[str, list[str | None]]) -> None:
    with pytest.raises(Unanswered), direct_server.opened(f"{odd[0]}/{kind}", 5) as way:
        way.get_registered_model(NAMES[0])


def test_an_answer_that_breaks_off_is_none(odd: tuple[str, list[str | None]]) -> None:
    with pytest.raises(Unanswered, match="1 more expected"), direct_server.opened(f"{odd[0]}/half", 5) as way:
        way.get_model_version("shapes", "2")


def test_a_server_may_name_what_a_version_does_not_have(odd: tuple[str, list[str | None]]) -> None:
    with direct_server.opened(f"{odd[0]}/nulls", 5) as way:
        found = way.get_model_version("shapes", "2")
    assert (found.version, found.run_id, found.tags) == (2, "", {})


def test_an_answer_of_another_form_is_left_to_mlflow(
    odd: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(_store: Store) -> None:
        raise AssertionError("MLflow was asked")

    monkeypatch.setattr(Store, "connected", asked)
    with pytest.raises(AssertionError, match="MLflow was asked"):
        Store(f"{odd[0]}/words").ask(lambda client: versions.by_number(client, "shapes", 2))


def test_a_server_whose_files_are_elsewhere_gets_no_run(odd: tuple[str, list[str | None]]) -> None:
    run = direct.NewRun("nights", "a night", {"mlflow.user": "me"}, {}, {})
    with pytest.raises(Unanswered, match="not kept by the server"), direct_server.opened(f"{odd[0]}/far", 5) as way:
        way.record(run)


def test_what_a_server_does_not_have_is_missing(odd: tuple[str, list[str | None]]) -> None:
    with (
        pytest.raises(direct.Missing, match="RESOURCE_DOES_NOT_EXIST"),
        direct_server.opened(f"{odd[0]}/gone", 5) as way,
    ):
        way.get_registered_model(NAMES[0])


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({}, None),
        ({"TOKEN": "abc"}, "Bearer abc"),
        ({"USERNAME": "me", "PASSWORD": "ü:1", "TOKEN": "abc"}, "Basic bWU6w7w6MQ=="),
        ({"USERNAME": "me"}, None),
    ],
    ids=["nobody", "token", "password before token", "name alone"],
)
def test_who_asks_is_told_as_mlflow_tells_it(
    settings: dict[str, str], header: str | None, odd: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    with pytest.raises(direct.Missing), direct_server.opened(f"{odd[0]}/gone", 5) as way:
        way.get_registered_model(NAMES[0])
    with pytest.raises(MlflowException):
        MlflowClient(f"{odd[0]}/gone").get_registered_model(NAMES[0])
    assert odd[1][-2:] == [header, header]
