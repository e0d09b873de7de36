"""Checkpoints by hub id: from huggingface_hub's cache, and from a hub on loopback that notes what is asked of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from conftest import CHECKPOINT, Cli

from qnn_sd.errors import CheckpointError
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.export.checkpoint.hub import is_hub_id

COMMIT = "0123456789abcdef0123456789abcdef01234567"
QUICK = ("run", "a red circle", "--target", "cpu", "--steps", "1", "--seed", "3")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apart from the other tests', who look for the demo's one artifact of a name."""
    return tmp_path_factory.mktemp("cache")


class Hub(BaseHTTPRequestHandler):
    """Serves one model from a folder in the hub's protocol."""

    root: Path
    asked: list[str]

    def _file(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "path": path.relative_to(self.root).as_posix(), "size": len(content), "oid": blob}

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        files = sorted(file for file in self.root.rglob("*") if file.is_file())
        if path.startswith("/api/models/gated/"):
            self._answer(403, b"{}", X_Error_Code="GatedRepo")
        elif not path.startswith(("/api/models/owner/tiny/", "/owner/tiny/resolve/")):
            self._answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif "/revision/" in path:
            siblings = [{"rfilename": file.relative_to(self.root).as_posix()} for file in files]
            self._answer(200, json.dumps({"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}).encode())
        elif "/tree/" in path:
            self._answer(200, json.dumps([self._file(file) for file in files]).encode())
        else:
            name = path.removeprefix(f"/owner/tiny/resolve/{COMMIT}/")
            self.asked.append(name)
            file = self.root / name
            self._answer(200, file.read_bytes(), ETag=f'"{self._file(file)["oid"]}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """Address, folder and requests of a hub with the demo checkpoint, and much beside it."""
    root = tmp_path_factory.mktemp("hub") / "tiny"
    shutil.copytree(CHECKPOINT, root)
    for name in ("v1-5-pruned.ckpt", "unet/diffusion_pytorch_model.bin", "safety_checker/model.safetensors"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"not wanted")
    asked: list[str] = []
    handler = type("Handler", (Hub,), {"root": root, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root, asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def online(hub: tuple[str, Path, list[str]], cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command with that hub, and an empty cache of huggingface_hub."""
    home = str(tmp_path_factory.mktemp("home"))
    cli.environment |= {"HF_HOME": home, "HF_ENDPOINT": hub[0], "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return cli


def test_a_hub_id_is_downloaded_once_and_only_what_is_needed(online: Cli, hub: tuple[str, Path, list[str]]) -> None:
    asked = hub[2]
    online.json(*QUICK, "--checkpoint", "owner/tiny")
    wanted = {
        "model_index.json",
        "scheduler/scheduler_config.json",
        *(f"{part}/config.json" for part in ("unet", "vae", "text_encoder")),
        *(f"{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae")),
        "text_encoder/model.safetensors",
        *(f"tokenizer/{path.name}" for path in (CHECKPOINT / "tokenizer").iterdir()),
    }
    assert set(asked) == wanted
    asked.clear()
    # The cache is enough, with the network gone.
    online.environment["HF_HUB_OFFLINE"] = "1"
    online.json(*QUICK, "--checkpoint", "owner/tiny")
    assert asked == []


def test_half_precision_is_fetched_where_it_is_all_there_is(online: Cli, hub: tuple[str, Path, list[str]]) -> None:
    _, root, asked = hub
    weights = root / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".fp16.safetensors"))
    online.json(*QUICK, "--checkpoint", "owner/tiny")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in asked
    assert not any(name.endswith(".bin") for name in asked)


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        ("owner/unknown", {}, "owner/unknown isn't on the hub"),
        ("gated/model", {}, "asks for its terms to be accepted"),
        ("owner/tiny", {"HF_HUB_OFFLINE": "1"}, "owner/tiny can't be had from the hub"),
        ("owner/tiny", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "owner/tiny can't be had from the hub"),
    ],
)
def test_what_cannot_be_had_is_told(name: str, environment: dict[str, str], message: str, online: Cli) -> None:
    said = online.refused(10, *QUICK, "--checkpoint", name, environment=environment)
    assert message in said
    assert "next:" in said


def test_a_model_config_may_name_a_hub_id(online: Cli) -> None:
    said = online.refused(10, *QUICK, "--model", "sd15")
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5 isn't on the hub" in said


@pytest.mark.parametrize("text", ["owner/name", "stable-diffusion-v1-5/stable-diffusion-v1-5", "o/n.1_2-3"])
def test_hub_ids_are_recognised(text: str) -> None:
    assert is_hub_id(text)


@pytest.mark.parametrize(
    "text",
    ["name", "./a", "../a", "/a/b", "~/a", "a/b/c", "a/b.safetensors", "a/b.ckpt", "a/", "/a", "", "a b/c", "ä/b"],
)
def test_paths_are_never_taken_for_hub_ids(text: str) -> None:
    assert not is_hub_id(text)
    if text:
        with pytest.raises(CheckpointError, match="is missing"):
            open_checkpoint(Sources(f"{text}-missing" if not text.endswith((".safetensors", ".ckpt", "/")) else text))


def test_an_existing_path_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CHECKPOINT, "owner/tiny")
    assert open_checkpoint(Sources("owner/tiny")).tokenizer.origin == Path("owner/tiny/tokenizer")
