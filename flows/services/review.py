"""The start page with the reviews, as the service `review` of `nightshift up`. Asks MLflow and Prefect over HTTP.

It loads neither of them, so that it starts in a second.
"""

import base64
import os
from collections.abc import Mapping
from datetime import datetime

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.mlflow_pages import address_of
from flows.services.configuration import START, Addresses
from flows.services.prefect import NIGHTS
from flows.services.processes import addresses
from flows.services.readiness import lacking
from flows.train_apart import TRAIN
from pipeline.core.pages import Link
from pipeline.core.text import named, shown
from pipeline.params.file import load_params
from pipeline.registry.succession import CHAMPION
from pipeline.review.address import LOOPBACK, hosts, last_address
from pipeline.review.front import HEALTH, make_front
from pipeline.review.guard import Guard
from pipeline.review.start import Card, Elsewhere
from pipeline.review.training_process import Trainer

PATIENCE = 3.0  # seconds for each question: the page is there also when a server is not
SILENT = Card("unknown", "MLflow's server does not answer")  # then nobody can say what a night would find there


def main() -> None:
    """Serve until the supervisor ends it."""
    import uvicorn

    where = addresses()
    if where is None:
        raise SystemExit("`nightshift up` starts this service.")
    address = last_address(START)
    guarded = Guard(make_front(lambda: elsewhere(where), trainer=Trainer(TRAIN)), address.token, hosts(address.port))
    uvicorn.run(
        _with_health(guarded), host=LOOPBACK, port=address.port, access_log=False, log_level="warning",
        timeout_graceful_shutdown=2,
    )  # fmt: skip


def _with_health(app: ASGIApp) -> ASGIApp:
    """The same, which says to everybody that it is there."""

    async def found(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == HEALTH:
            await PlainTextResponse("OK")(scope, receive, send)
        else:
            await app(scope, receive, send)

    return found


def elsewhere(where: Addresses) -> Elsewhere:
    """What MLflow and Prefect say now."""
    model = load_params().register_.model_name
    pages = (Link("Models (MLflow)", address_of(where.mlflow, model)), Link("Runs (Prefect)", where.prefect))
    found = champion(where.mlflow, model)
    wrong = not_ready(where.prefect, model) if found != SILENT else ()
    return Elsewhere(coming_night(where.prefect), found, pages, wrong)


def champion(mlflow: str, model: str) -> Card:
    """The version that nights use."""
    asked = {"name": model, "alias": CHAMPION}
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    try:
        answer = httpx.get(
            f"{mlflow}/api/2.0/mlflow/registered-models/alias", params=asked, auth=auth, timeout=PATIENCE
        )
        if answer.status_code in (400, 404):  # no such model, or no such alias
            return Card("none", "`nightshift train` makes a first one", address_of(mlflow, model))
        found = answer.raise_for_status().json()["model_version"]
        since = datetime.fromtimestamp(int(found["creation_timestamp"]) / 1000).astimezone()
        version = int(found["version"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return SILENT
    return Card(f"version {version}", f"{shown(model)}, of {since:%d %B %Y}", address_of(mlflow, model, version))


def coming_night(prefect: str) -> Card:
    """The next run of a deployment that classifies."""
    asked = {
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "deployments": {"name": {"any_": list(NIGHTS)}},
    }
    try:
        answer = httpx.post(f"{prefect}/api/flow_runs/filter", json=asked, headers=_key(), timeout=PATIENCE)
        runs = answer.raise_for_status().json()
        if not runs:
            return Card("none planned", "the schedules are in prefect.yaml", f"{prefect}/deployments")
        when = datetime.fromisoformat(runs[0]["expected_start_time"]).astimezone()
        sources = _sources(runs[0].get("parameters") or {})
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return Card("unknown", "Prefect's server does not answer")
    return Card(f"{when:%a %H:%M}", f"{when:%d %B %Y}, over {named(sources)}", f"{prefect}/runs")


def not_ready(prefect: str, model: str) -> tuple[str, ...]:
    """Why scheduled deployments would fail, as `nightshift status` says it. model: the usual one's name."""
    try:
        answer = httpx.post(f"{prefect}/api/deployments/filter", json={}, headers=_key(), timeout=PATIENCE)
        known = answer.raise_for_status().json()
        active = [one for one in known if not one["paused"] and any(each["active"] for each in one["schedules"])]
        return tuple(line for one in active for line in lacking(one["name"], one["parameters"], model))
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return ()  # the card of the next night says that nobody answers


def _sources(parameters: Mapping[str, object]) -> list[str]:
    several = parameters.get("inputs")
    inputs = [one for one in several if isinstance(one, dict)] if isinstance(several, list) else [parameters]
    return [str(one.get("source") or "photos") for one in inputs]


def _key() -> dict[str, str]:
    """What Prefect's server asks for, where one elsewhere does."""
    if pair := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    key = os.environ.get("PREFECT_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


if __name__ == "__main__":
    main()
