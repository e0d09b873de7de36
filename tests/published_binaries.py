"""What AI Hub Models publishes, made here: QDQ graphs with its inputs and outputs, compiled, zipped, and served.

The graphs are the demo's, or three of a few layers. Their integers are written at the boundary (uint16, latents
channel last), the VAE's scaling factor and the range 0..1 are inside, as in the published ones.
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from small_binary import BINARY, compile_small

from qnn_sd.binaries.binary_info import BinaryTensor, read_binary
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.published import messages
from qnn_sd.published.release import DEFAULT_RELEASE, MODEL_ID
from qnn_sd.published.store import PUBLIC_STORE

CHIPSET = "qualcomm-snapdragon-8gen3"
QAIRT = "2.50.0.260828221209"
FILES = {"text_encoder": "text_encoder.bin", "unet": "unet.bin", "vae_decoder": "vae.bin"}
_LAST, _FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


class _Rewritten:
    """A QDQ graph whose inputs and outputs become the published ones."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(str(path), load_external_data=False)
        self.graph = self.model.graph
        self._number = 0

    def constant(self, value: Any) -> str:
        self._number += 1
        name = f"published.{self._number}"
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _encoding(self, least: float, greatest: float) -> tuple[str, str]:
        scale = np.float32((greatest - least) / 65535)
        return self.constant(scale), self.constant(np.uint16(round(-least / scale)))

    def quantized_constant(self, value: float, at: list[onnx.NodeProto]) -> str:
        """A number as QDQ graphs have it."""
        scale, zero_point = self.constant(np.float32(value / 65535)), self.constant(np.uint16(0))
        name = self.constant(np.uint16(65535))
        at.append(helper.make_node("DequantizeLinear", [name, scale, zero_point], [f"{name}.dq"]))
        return f"{name}.dq"

    def requantized(self, value: str, least: float, greatest: float, at: list[onnx.NodeProto]) -> str:
        encoding = self._encoding(least, greatest)
        integers = f"{value}.to{self._number}"
        at.append(helper.make_node("QuantizeLinear", [value, *encoding], [f"{integers}.q"]))
        at.append(helper.make_node("DequantizeLinear", [f"{integers}.q", *encoding], [integers]))
        return integers

    def take(self, own: str, published: str, dims: list[int], *, scaling: float = 1.0) -> None:
        """An input of integers in place of one of float values, whose own encoding holds unless it is scaled."""
        first = next(node for node in self.graph.node if own in node.input)
        at: list[onnx.NodeProto] = []
        encoding = list(first.input[1:3])
        if scaling != 1:
            scale = next(each for each in self.graph.initializer if each.name == encoding[0])
            encoding[0] = self.constant(np.float32(numpy_helper.to_array(scale) * scaling))
        at.append(helper.make_node("DequantizeLinear", [published, *encoding], [f"{own}.values"]))
        value = f"{own}.values"
        if len(dims) == 4:
            at.append(helper.make_node("Transpose", [value], [f"{own}.first"], perm=_FIRST))
            value = f"{own}.first"
        elif own == "timestep":
            at.append(helper.make_node("Reshape", [value, self.constant(np.array([1]))], [f"{own}.flat"]))
            value = f"{own}.flat"
        if value != f"{own}.values":
            # A move has its operand's encoding.
            at.append(helper.make_node("QuantizeLinear", [value, *encoding], [f"{value}.q"]))
            at.append(helper.make_node("DequantizeLinear", [f"{value}.q", *encoding], [f"{value}.dq"]))
            value = f"{value}.dq"
        if scaling != 1:
            factor = self.quantized_constant(1 / scaling, at)
            at.append(helper.make_node("Mul", [value, factor], [f"{own}.unscaled"]))
            value = f"{own}.unscaled"
        first.input[0] = value
        for number, node in enumerate(at):
            self.graph.node.insert(number, node)
        self._declare(self.graph.input, own, published, dims, TensorProto.UINT16)

    def give(self, own: str, published: str, dims: list[int], *, is_image: bool = False) -> None:
        """An output of integers in place of one of float values."""
        last = next(node for node in self.graph.node if own in node.output)
        at: list[onnx.NodeProto] = []
        encoding, value = list(last.input[1:3]), own
        if is_image:
            half = self.quantized_constant(0.5, at)
            at.append(helper.make_node("Mul", [value, half], [f"{own}.halved"]))
            value = self.requantized(f"{own}.halved", -1, 1, at)
            at.append(helper.make_node("Add", [value, half], [f"{own}.raised"]))
            value = self.requantized(f"{own}.raised", 0, 1, at)
            encoding = list(at[-1].input[1:3])
        if len(dims) == 4:
            at.append(helper.make_node("Transpose", [value], [f"{own}.last"], perm=_LAST))
            value = f"{own}.last"
        at.append(helper.make_node("QuantizeLinear", [value, *encoding], [published]))
        self.graph.node.extend(at)
        self._declare(self.graph.output, own, published, dims, TensorProto.UINT16)

    def rename_input(self, own: str, published: str) -> None:
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                if name == own:
                    node.input[place] = published
        dims = next(_dims(each) for each in self.graph.input if each.name == own)
        self._declare(self.graph.input, own, published, dims, TensorProto.INT32)

    @staticmethod
    def _declare(declared: Any, own: str, published: str, dims: list[int], kind: int) -> None:
        place = [each.name for each in declared].index(own)
        declared[place].CopyFrom(helper.make_tensor_value_info(published, kind, dims))


def _dims(info: onnx.ValueInfoProto) -> list[int]:
    return [each.dim_value for each in info.type.tensor_type.shape.dim]


def published_graph(component: str, qdq: Path, folder: Path, scaling: float) -> Path:
    """Writes a component's QDQ graph with the published inputs and outputs; returns its folder."""
    folder.mkdir(parents=True)
    graph = _Rewritten(qdq / MODEL_FILE)
    dims = {each.name: _dims(each) for each in (*graph.graph.input, *graph.graph.output)}

    def last(name: str) -> list[int]:
        return [dims[name][axis] for axis in _LAST]

    if component == "text_encoder":
        graph.rename_input("input_ids", "tokens")
        graph.give("last_hidden_state", "text_embedding", dims["last_hidden_state"])
    elif component == "unet":
        graph.take("sample", "latent", last("sample"))
        graph.take("encoder_hidden_states", "text_emb", dims["encoder_hidden_states"])
        graph.take("timestep", "timestep_", [1, 1])
        for node in graph.graph.node:
            for place, name in enumerate(node.input):
                if name == "timestep_":
                    node.input[place] = "timestep"
        next(each for each in graph.graph.input if each.name == "timestep_").name = "timestep"
        graph.give("noise_pred", "output_latent", last("noise_pred"))
    else:
        own_input, published = "latent", "latent_"
        graph.take(own_input, published, last("latent"), scaling=scaling)
        for node in graph.graph.node:
            for place, name in enumerate(node.input):
                if name == published:
                    node.input[place] = own_input
        next(each for each in graph.graph.input if each.name == published).name = own_input
        graph.give("sample", "image", last("sample"), is_image=True)
    onnx.save(graph.model, str(folder / MODEL_FILE))
    for weights in qdq.glob("*.bin"):
        (folder / weights.name).write_bytes(weights.read_bytes())
    return folder


def compile_published(component: str, qdq: Path, folder: Path, scaling: float) -> Path:
    """Compiles it for Snapdragon 8 Gen 3; returns the raw binary."""
    graph = published_graph(component, qdq, folder / f"{component}-graph", scaling)
    return compile_small(graph, folder / component) / BINARY


def metadata_of(binaries: Mapping[str, Path]) -> dict[str, Any]:
    """``metadata.json`` by file name, as AI Hub Models writes it from what AI Hub says of a compiled model."""

    def stated(tensor: BinaryTensor) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "shape": tensor.dims,
            "dtype": tensor.dtype.replace("ufixed", "uint"),
            "io_type": "tensor",
        }
        if tensor.encoding is not None and tensor.encoding.offset is not None:
            entry["quantization_parameters"] = {"scale": tensor.encoding.scale, "zero_point": -tensor.encoding.offset}
        return entry

    files = {}
    for name, path in binaries.items():
        [graph] = read_binary(path).graphs
        files[name] = {
            "inputs": {each.name: stated(each) for each in graph.inputs},
            "outputs": {each.name: stated(each) for each in graph.outputs},
        }
    return {
        "model_id": MODEL_ID,
        "model_name": "Stable-Diffusion-v1.5",
        "runtime": "qnn_context_binary",
        "precision": "w8a16",
        "tool_versions": {"qairt": QAIRT},
        "model_files": files,
        "chipset_attributes": {"name": CHIPSET, "htp_version": 75, "soc_model": 57},
    }


def zipped(members: Mapping[str, bytes], folder: str) -> bytes:
    """A zip with everything in one folder, as ``shutil.make_archive`` makes it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{folder}/{name}" if folder else name, content)
    return written.getvalue()


def published_zip(binaries: Mapping[str, bytes], metadata: Mapping[str, Any], chipset: str = CHIPSET) -> bytes:
    """The zip of an asset."""
    return zipped(
        {**binaries, "metadata.json": json.dumps(metadata).encode()}, asset_name(chipset).removesuffix(".zip")
    )


def asset_name(chipset: str = CHIPSET) -> str:
    return f"{MODEL_ID}-qnn_context_binary-w8a16-{chipset.replace('-', '_')}.zip"


class Release:
    """A store with one release, and what it was asked.

    Attributes:
        files: by path.
        cut_after: bytes of an answer's body after which the connection is closed, or None.
        asked: path, Range and If-Range of each request, in order.
    """

    def __init__(self, version: str = DEFAULT_RELEASE) -> None:
        self.url, self.version = "", version
        self.files: dict[str, bytes] = {}
        self.cut_after: int | None = None
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.publish({})

    def publish(self, zips: Mapping[str, bytes], qairt: str = QAIRT) -> None:
        """Replaces the release's zips, by chipset; the manifests name them at the public store's address."""
        folder = f"qai-hub-models/models/{MODEL_ID}/releases/v{self.version}"
        assets = messages.ReleaseAssets(aihm_version=self.version, model_id=MODEL_ID)
        # Of another runtime, which must not be taken.
        assets.assets.add(
            precision=messages.W8A16, runtime=5, chipset=CHIPSET, download_url=f"{PUBLIC_STORE}/other.zip"
        )
        self.files = {}
        for chipset, content in zips.items():
            path = f"{folder}/{asset_name(chipset)}"
            self.files[f"/{path}"] = content
            entry = assets.assets.add(
                precision=messages.W8A16,
                runtime=messages.QNN_CONTEXT_BINARY,
                chipset=chipset,
                download_url=f"{PUBLIC_STORE}/{path}",
            )
            entry.tool_versions.qairt = qairt
        manifest = messages.ReleaseManifest(version=self.version)
        manifest.models.add(id="mobilenet_v2", display_name="MobileNet-v2")
        model = manifest.models.add(id=MODEL_ID, display_name="Stable-Diffusion-v1.5")
        model.manifest_urls.release_assets = f"{PUBLIC_STORE}/{folder}/release_assets.pb"
        self.files[f"/{folder}/release_assets.pb"] = assets.SerializeToString()
        self.files[f"/qai-hub-models/releases/v{self.version}/manifest.pb"] = manifest.SerializeToString()

    def asked_for_zips(self) -> list[tuple[str | None, str | None]]:
        """Range and If-Range of each request for a zip."""
        return [(span, tag) for path, span, tag in self.asked if path.endswith(".zip")]


class _Handler(BaseHTTPRequestHandler):
    release: Release

    def do_GET(self) -> None:
        path, span, tag = urlparse(self.path).path, self.headers.get("Range"), self.headers.get("If-Range")
        self.release.asked.append((path, span, tag))
        body = self.release.files.get(path)
        if body is None:
            # As S3 answers those who may not list a folder.
            self.send_error(403)
            return
        own_tag = f'"{len(body):x}-{sum(body[:4096]):x}"'
        match = re.fullmatch(r"bytes=(\d+)-", span or "") if tag in (None, own_tag) else None
        start = int(match[1]) if match else 0
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("ETag", own_tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.release.cut_after
        self.wfile.write(body[start:] if cut is None else body[start : start + cut])

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serve() -> Iterator[Release]:
    """A store on loopback, with an empty release."""
    release = Release()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"release": release}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    release.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield release
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
