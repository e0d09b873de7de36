"""Checkpoints by hub id: from huggingface_hub's cache, and from a hub on loopback that notes what is asked of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from conftest import CHECKPOINT, Cli
from PIL import Image
from safetensors.numpy import load_file, save_file

from qnn_sd.errors import CheckpointError, SettingError
from qnn_sd.export.checkpoint import Sources, open_checkpoint, parse_embedding, parse_lora
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


def adapters_of(root: Path) -> None:
    """A LoRA and an embedding at the top of a model on the hub, under the names that diffusers gives them."""
    module = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    [path] = (root / "unet").glob("*.safetensors")
    rows, columns = load_file(path)[f"{module.removeprefix('unet.')}.weight"].shape
    tensors = {f"{module}.lora_A.weight": np.ones((2, columns)), f"{module}.lora_B.weight": np.ones((rows, 2))}
    save_file(
        {name: each.astype(np.float32) for name, each in tensors.items()}, root / "pytorch_lora_weights.safetensors"
    )
    save_file({"<ink>": np.ones(96, np.float32)}, root / "learned_embeds.safetensors")


def test_loras_and_embeddings_are_fetched_too(online: Cli, hub: tuple[str, Path, list[str]]) -> None:
    _, root, asked = hub
    adapters_of(root)
    online.json(*QUICK, "--lora", "owner/tiny:0.5", "--embedding", "ink=owner/tiny", "-o", "first.png")
    assert set(asked) == {"pytorch_lora_weights.safetensors", "learned_embeds.safetensors"}
    made = json.loads(Image.open(online.folder / "first.png").text["qnn-sd"])
    [lora], [embedding] = made["loras"], made["embeddings"]
    assert (lora["name"], lora["kind"], lora["scale"]) == ("owner/tiny", "hub", 0.5)
    assert (embedding["name"], embedding["file"], embedding["kind"]) == ("ink", "owner/tiny", "hub")
    # Found again by their ids, with the network gone.
    again = online("run", "--like", "first.png", "-o", "again.png", environment={"HF_HUB_OFFLINE": "1"})
    assert again.returncode == 0, again.stderr
    assert "again.png has the same pixels as first.png" in again.stderr


class StandIn:
    """What huggingface_hub would bring, from a folder: as many files as are asked for."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache, self.asked = root, cache, []

    def fetch(self, name: str, patterns: Sequence[str], _download: bool = True) -> Path:
        assert name == "owner/tiny"
        self.asked += patterns
        for file in self.root.rglob("*"):
            inside = file.relative_to(self.root).as_posix()
            if file.is_file() and any(fnmatch(inside, each) for each in patterns):
                (self.cache / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, self.cache / inside)
        return self.cache

    def names(self, _name: str) -> list[str]:
        return sorted(path.name for path in self.root.glob("*.safetensors"))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(tmp_path / "root", tmp_path / "cache")
    shutil.copytree(CHECKPOINT, made.root)
    made.cache.mkdir()
    monkeypatch.setattr("qnn_sd.export.checkpoint.hub._fetch", made.fetch)
    monkeypatch.setattr("qnn_sd.export.checkpoint.hub._names_on_hub", made.names)
    return made


def test_variants_are_fetched_where_they_are_all_there_is(stand_in: StandIn) -> None:
    weights = stand_in.root / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.non_ema.safetensors"))
    opened = open_checkpoint(Sources("owner/tiny"))
    assert opened.files("unet")["unet/diffusion_pytorch_model.non_ema.safetensors"].is_relative_to(stand_in.cache)


@pytest.mark.parametrize("part", ["checkpoint", "vae", "text_encoder"])
def test_a_file_on_the_hub_is_fetched_alone(part: str, stand_in: StandIn) -> None:
    folders = ("unet", "vae", "text_encoder") if part == "checkpoint" else (part,)
    tensors = {
        f"{each}.{name}": tensor
        for each in folders
        for path in (stand_in.root / each).glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }
    save_file(tensors, stand_in.root / "dream.safetensors")
    sources = {"checkpoint": CHECKPOINT, part: "owner/tiny/dream.safetensors"}
    opened = open_checkpoint(Sources(**sources))  # type: ignore[arg-type]
    name = "unet" if part == "checkpoint" else part
    assert opened.files(name) == {f"{name}/dream.safetensors": stand_in.cache / "dream.safetensors"}
    assert [path.name for path in stand_in.cache.rglob("*") if path.is_file()] == ["dream.safetensors"]
    made = getattr(opened.identity(), part)
    assert (made.name, made.kind) == ("owner/tiny/dream.safetensors", "hub")
    with pytest.raises(CheckpointError, match=r"owner/tiny has no nightmare\.safetensors"):
        open_checkpoint(Sources(**{**sources, part: "owner/tiny/nightmare.safetensors"}))  # type: ignore[arg-type]


def test_an_embedding_on_the_hub_is_called_as_its_file(stand_in: StandIn) -> None:
    for name in ("learned_embeds", "neon"):
        save_file({"emb_params": np.ones((1, 96), np.float32)}, stand_in.root / f"{name}.safetensors")
        opened = open_checkpoint(Sources(CHECKPOINT, embeddings=((None, f"owner/tiny/{name}.safetensors"),)))
        assert opened.embedding_names == (name,)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("https://huggingface.co/owner/name", "owner/name"),
        ("https://hf.co/owner/name/tree/main", "owner/name"),
        ("https://huggingface.co/owner/name/blob/main/x.safetensors", "owner/name/x.safetensors"),
        ("https://huggingface.co/owner/name/resolve/main/a/x.safetensors?download=true", "owner/name/a/x.safetensors"),
        ("hf://owner/name", "owner/name"),
        ("huggingface.co/owner/name", "owner/name"),
        ("owner/name/", "owner/name"),
        ("owner/name@main", "owner/name"),
        ("https://civitai.com/models/1234", None),
    ],
)
def test_an_address_is_told_from_a_path(typed: str, hint: str | None) -> None:
    for option, parse in (("--lora", parse_lora), ("--embedding", parse_embedding)):
        with pytest.raises(CheckpointError) as caught:
            parse(typed)
        assert typed in caught.value.what
        assert (f"Type {option} {hint}" if hint else "Download the .safetensors") in caught.value.hint
        if hint:
            assert caught.value.hint.split()[2].rstrip(".") == hint


def test_a_scale_is_a_loras_alone(tmp_path: Path) -> None:
    path = tmp_path / "cat.safetensors"
    path.touch()
    assert parse_lora(f"{path}:0.5") == (path, 0.5)
    with pytest.raises(SettingError, match="has a scale") as caught:
        parse_embedding(f"dog={path}:0.5")
    assert "(NAME:0.5) in the prompt" in caught.value.hint


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_network_apart_may_be_a_whole_checkpoints(part: str, alone: bool, stand_in: StandIn) -> None:
    if alone:
        for path in (stand_in.root / part).iterdir():
            path.rename(stand_in.root / path.name)
    opened = open_checkpoint(Sources(CHECKPOINT, **{part: "owner/tiny"}))
    assert all(path.is_relative_to(stand_in.cache) for path in opened.files(part).values())
    identity = opened.identity()
    source = identity.vae if part == "vae" else identity.text_encoder
    assert source is not None
    assert (source.name, source.kind) == ("owner/tiny", "hub")


def test_a_lora_of_another_name_is_the_only_one_or_is_named(stand_in: StandIn) -> None:
    adapters_of(stand_in.root)
    (stand_in.root / "learned_embeds.safetensors").unlink()
    (stand_in.root / "pytorch_lora_weights.safetensors").rename(stand_in.root / "ink.safetensors")
    opened = open_checkpoint(Sources(CHECKPOINT, loras=(("owner/tiny", 1.0),)))
    assert opened.files("unet")["lora/0"] == stand_in.cache / "ink.safetensors"
    shutil.copy(stand_in.root / "ink.safetensors", stand_in.root / "oil.safetensors")
    shutil.rmtree(stand_in.cache)
    stand_in.cache.mkdir()
    with pytest.raises(CheckpointError, match="owner/tiny has several") as caught:
        open_checkpoint(Sources(CHECKPOINT, loras=(("owner/tiny", 1.0),)))
    assert caught.value.hint == "Say which: --lora owner/tiny/ink.safetensors."
    [made] = open_checkpoint(Sources(CHECKPOINT, loras=(("owner/tiny/oil.safetensors", 1.0),))).identity().loras
    assert (made.name, made.kind) == ("owner/tiny/oil.safetensors", "hub")
    with pytest.raises(CheckpointError, match=r"owner/tiny has no gouache\.safetensors"):
        open_checkpoint(Sources(CHECKPOINT, embeddings=((None, "owner/tiny/gouache.safetensors"),)))
