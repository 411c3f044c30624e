"""Weights from the cache, the web or a file: what is missing or damaged is named, and nothing is guessed."""

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from pipeline.backbones import weights
from pipeline.backbones.weights import Published, WeightsError, is_pretrained, load_weights, published_weights
from pipeline.params.file import Params

CONTENT = b"the weights of a network" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras/models"


@pytest.fixture
def server() -> Iterator[str]:
    """A web server's address: /whole.h5 is all there, /half.h5 breaks off, all else is not found."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in ("/whole.h5", "/half.h5"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT if self.path == "/whole.h5" else CONTENT[: len(CONTENT) // 2])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.mark.parametrize("digest", [DIGEST, hashlib.md5(CONTENT).hexdigest(), None], ids=["sha256", "md5", "none"])  # noqa: S324
def test_a_published_file_is_downloaded_once_and_kept_in_keras_cache(
    server: str, cache: Path, digest: str | None
) -> None:
    published = Published(f"{server}/whole.h5", digest)
    assert published_weights(published) == cache / "whole.h5"
    assert (cache / "whole.h5").read_bytes() == CONTENT
    assert published_weights(replace(published, url="http://127.0.0.1:9/whole.h5")) == cache / "whole.h5"


@pytest.mark.parametrize(
    ("path", "digest", "said"),
    [
        pytest.param("half.h5", None, r"ended after 12,000 of 24,000 bytes", id="broken off"),
        pytest.param("none.h5", None, r"404", id="not found"),
        pytest.param("whole.h5", "0" * 32, r"its md5 is [0-9a-f]{32}, not 0{32}", id="another file"),
    ],
)
def test_a_failed_download_leaves_nothing_and_says_which_file_goes_where(
    server: str, cache: Path, path: str, digest: str | None, said: str
) -> None:
    with pytest.raises(WeightsError, match=said) as caught:
        published_weights(Published(f"{server}/{path}", digest))
    text = str(caught.value)
    assert all(part in text for part in (f"{server}/{path}", str(cache / path), "model.weights", "none"))
    assert list(cache.iterdir()) == []


def refusing() -> str:
    """An address where no one listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_without_a_network_the_error_comes_at_once(cache: Path) -> None:
    start = time.monotonic()
    with pytest.raises(WeightsError, match=f"cannot be downloaded .*copy it to {cache / 'net.h5'}"):
        published_weights(Published(f"{refusing()}/net.h5", None))
    assert time.monotonic() - start < 5


def test_a_server_that_never_answers_is_given_up(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(WeightsError, match="timed out"):
        published_weights(Published(f"http://127.0.0.1:{silent.getsockname()[1]}/net.h5", None))


def test_a_damaged_file_in_the_cache_is_named_and_kept(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "net.h5").write_bytes(b"half")
    with pytest.raises(WeightsError, match=rf"{cache / 'net.h5'}: it is not the file that was published.* Delete it"):
        published_weights(Published(f"{refusing()}/net.h5", DIGEST))
    assert (cache / "net.h5").read_bytes() == b"half"


def network(filters: int = 4, nested: bool = False) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    block = keras.Sequential([layers.Conv2D(filters, 3, name="inner")], name="block")
    x = block(inputs) if nested else layers.Conv2D(filters, 3, name="inner")(inputs)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name="small")


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5", "w.keras"])
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_every_weight_comes_from_the_file_whatever_its_format(tmp_path: Path, name: str, nested: bool) -> None:
    source, other = network(nested=nested), network(nested=nested)
    (source.save_weights if name == "w.weights.h5" else source.save)(tmp_path / name)
    load_weights(other, tmp_path / name)
    assert all(np.array_equal(a, b) for a, b in zip(source.get_weights(), other.get_weights(), strict=True))


def whole(folder: Path) -> Path:
    network().save_weights(folder / "w.weights.h5")
    return folder / "w.weights.h5"


def cut(folder: Path) -> Path:
    file = whole(folder)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def a_page(folder: Path) -> Path:
    (folder / "w.h5").write_text("<html>Sign in to the network</html>")
    return folder / "w.h5"


def wider(folder: Path) -> Path:
    network(filters=5).save_weights(folder / "w.weights.h5")
    return folder / "w.weights.h5"


def not_a_number(folder: Path) -> Path:
    source = network()
    source.set_weights([weight * np.nan for weight in source.get_weights()])
    source.save_weights(folder / "w.weights.h5")
    return folder / "w.weights.h5"


def without_its_inner_part(folder: Path) -> Path:
    network(nested=True).save_weights(folder / "w.weights.h5")
    with h5py.File(folder / "w.weights.h5", "a") as file:
        del file["layers/sequential/layers"]
    return folder / "w.weights.h5"


@pytest.mark.parametrize("damage", [cut, a_page, wider, not_a_number, without_its_inner_part])
def test_a_file_that_does_not_give_every_weight_is_refused_by_its_name(
    tmp_path: Path, damage: Callable[[Path], Path]
) -> None:
    file = damage(tmp_path)
    with pytest.raises(WeightsError, match=f"{file} does not hold the weights of small"):
        load_weights(network(nested=damage is without_its_inner_part), file)


def test_a_file_that_is_not_there_is_named_with_the_folder_it_was_looked_for_in(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"model\.weights: there is no file gone\.h5 in {Path.cwd()}"):
        load_weights(network(), Path("gone.h5"))


@pytest.mark.parametrize(
    ("backbone", "weights", "pretrained"),
    [("efficientnet_lite0", "package", True), ("efficientnet_lite0", "none", False), ("cnn", "none", False)],
)
def test_only_a_backbone_with_weights_is_pretrained(
    defaults: Params, backbone: str, weights: str, pretrained: bool
) -> None:
    assert is_pretrained(type(defaults.model)(backbone=backbone, weights=weights)) is pretrained
