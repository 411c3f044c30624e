"""Where MLflow shows a model: its sidebar has "Models" only after a click, but the address always works."""

import re
from urllib.parse import quote

from flows.services.configuration import ADDRESSES
from pipeline.registry.store import Store

OF_MLFLOW_UI = "http://127.0.0.1:5000"  # where `mlflow ui` listens


def model_page(name: str, version: int | None = None) -> str:
    """The address of a registered model's page, or of a version's, where a server shows it; else empty."""
    store = Store.of_project()
    if store.is_server:
        return address_of(re.sub(r"//[^/]*@", "//", store.address), name, version)  # no user, no password
    if ADDRESSES.is_file():
        from flows.services import processes

        if (running := processes.addresses()) and processes.is_up():
            return address_of(running.mlflow, name, version)
    return ""


def address_of(server: str, name: str, version: int | None = None) -> str:
    """The same at a server."""
    of_version = "" if version is None else f"/versions/{version}"
    return f"{server.rstrip('/')}/#/models/{quote(name, safe='')}{of_version}"
