"""``qnn-sd inspect``: what a file is, what is in a context binary, where it would load."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from cli_here import CliHere
from onnx import TensorProto, helper

from qnn_sd import qnn_structs as qnn
from qnn_sd.artifact import sha256_of_file
from qnn_sd.binaries import read_child
from qnn_sd.binaries.binary_info import BinaryGraph, BinaryInfo, BinaryTensor, TensorEncoding
from qnn_sd.binaries.contradictions import contradictions
from qnn_sd.binaries.epcontext import read_epcontext
from qnn_sd.binaries.file_kind import file_kind
from qnn_sd.binaries.found import find_binaries
from qnn_sd.binaries.loading import emulator_qairt, loading_on, qairt_of
from qnn_sd.binaries.network import network_of
from qnn_sd.config import load_profile
from qnn_sd.errors import BinaryError
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.toolchain import loads

DATA = Path(__file__).parent / "data"
NEWER, OLDER = DATA / "qairt-2.51.bin", DATA / "qairt-2.48.bin"
# The set of QAIRT 2.51 loads it.
newer_than_installed = pytest.mark.skipif(
    loads(emulator_qairt() or "99.0.0", "2.51.0"), reason="the installed emulator loads a binary of QAIRT 2.51"
)


def _tensor(name: str, dims: list[int], dtype: str = "float32", encoding: TensorEncoding | None = None) -> BinaryTensor:
    layout = read_child._layout(dims)
    return BinaryTensor.model_validate(
        {"name": name, "dtype": dtype, "dims": dims, "encoding": encoding, "layout": layout, "version": 1}
    )


def _graph(inputs: list[BinaryTensor], outputs: list[BinaryTensor], name: str = "g", vtcm: int = 4) -> BinaryGraph:
    return BinaryGraph(
        name=name,
        inputs=inputs,
        outputs=outputs,
        updateable=0,
        vtcm_bytes=vtcm << 20,
        spill_fill_bytes=0,
        optimization_level=3,
        version=3,
    )


def _info(arch: int | None = 75, soc: int | None = 57, graphs: list[BinaryGraph] | None = None) -> BinaryInfo:
    return BinaryInfo(
        backend=6,
        build_id="v2.50.40.260831140417",
        soc_model=soc,
        htp_arch=arch,
        core_api="2.39.0",
        backend_api="5.50.0",
        context_version="4.0.5",
        graphs=graphs or [_graph([_tensor("x", [1, 3, 6, 6])], [_tensor("y", [1, 4, 6, 6])])],
        version=3,
    )


# What a file is


def _zip(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"content")

    return write


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 883000000\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, 164) + bytes(40)
SAFETENSORS = struct.pack("<Q", 40) + b'{"__metadata__":{"format":"pt"}}'.ljust(80)
OTHER_FILES = {
    "empty": (_bytes(b""), "It is empty"),
    "text": (_bytes(b"see the release page\n"), "It is text, which begins 'see the release page'"),
    "json": (_bytes(b'{"error": "Unauthorized"}'), "It is JSON text"),
    "page": (_bytes(b"\n<!DOCTYPE html><html><head>login</head></html>"), "It is a web page"),
    "lfs": (_bytes(LFS), "It is a Git LFS pointer to 883,000,000 bytes"),
    "library": (_bytes(ELF), "It is a shared library or program for Hexagon (a skel)"),
    "checkpoint": (_bytes(SAFETENSORS), "It is a .safetensors checkpoint"),
    "gguf": (_bytes(b"GGUF\x03\0\0\0" + bytes(60)), "It is a GGUF model"),
    "gzip": (_bytes(b"\x1f\x8b\x08\0" + bytes(60)), "It is a gzip archive"),
    "tflite": (_bytes(b"\x1c\0\0\0TFL3" + bytes(60)), "It is a TFLite model"),
    "dlc": (_zip("dlc.metadata2.3.0", "model", "model.params"), "It is a DLC, a model that isn't compiled"),
    "torch": (_zip("archive/data.pkl", "archive/data/0"), "It is a PyTorch checkpoint"),
    "bundle": (_zip("tiny/bundle.json", "tiny/unet/htp/model_ctx_qnn.bin"), "It is a zipped bundle"),
    "zip": (_zip("unet.bin"), "It is a zip archive with unet.bin"),
    "broken zip": (_bytes(b"PK\x03\x04" + bytes(100)), "It begins as a zip archive"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_file_that_is_something_else_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    write, what = OTHER_FILES[name]
    path = tmp_path / "unet.bin"
    write(path)
    with pytest.raises(BinaryError) as caught:
        file_kind(path)
    assert what in caught.value.why
    assert caught.value.hint


@pytest.mark.parametrize("path", [NEWER, OLDER], ids=lambda each: each.stem)
def test_another_length_than_the_header_says_is_seen_without_the_library(path: Path, tmp_path: Path) -> None:
    content, copy = path.read_bytes(), tmp_path / "unet.bin"
    copy.write_bytes(content)
    assert file_kind(copy).is_certain
    for changed, what, why in (
        (content[:-1], "is truncated", f"{len(content) - 1:,} of the {len(content):,} bytes"),
        (content[:4096], "is truncated", f"4,096 of the {len(content):,} bytes"),
        (content + b"\n", "is damaged", f"{len(content) + 1:,} bytes where its header says {len(content):,}"),
    ):
        copy.write_bytes(changed)
        with pytest.raises(BinaryError, match=what) as caught:
            file_kind(copy)
        assert why in caught.value.why


def test_what_looks_like_a_binary_and_is_none_is_left_to_the_library(reading_cli: CliHere) -> None:
    damaged = bytearray(NEWER.read_bytes())
    damaged[600:800] = bytes(200)
    (reading_cli.folder / "damaged.bin").write_bytes(damaged)
    (reading_cli.folder / "noise.bin").write_bytes(bytes(range(256)) * 200)
    for name in ("damaged.bin", "noise.bin"):
        said = reading_cli.refused(19, "inspect", name)
        assert f"{name} can't be read as a context binary" in said


# Structures


def test_each_version_of_the_description_is_read() -> None:
    dims = (ctypes.c_uint32 * 2)(77, 768)
    pairs = (qnn.ScaleOffset * 768)(*[(0.5, -3)] * 768)
    tensors = (qnn.Tensor * 2)()
    for number, (version, name) in enumerate(((1, b"first"), (2, b"second"))):
        body = tensors[number].body
        tensors[number].version, body.name, body.rank, body.dims = version, name, 2, dims
        body.data_type, body.quantization.definition = 0x0308, 1
    tensors[0].body.quantization.of.scale_offset = qnn.ScaleOffset(0.25, 2)
    tensors[1].body.quantization.kind = 1
    tensors[1].body.quantization.of.axis = qnn.AxisScaleOffset(1, 768, pairs)
    graphs = (qnn.Graph * 1)()
    graphs[0].version, graphs[0].body.name = 1, b"unet"
    graphs[0].body.input_count, graphs[0].body.inputs = 2, tensors
    hardware = qnn.HtpHardware(1, 0, 4096)
    binary = qnn.Binary(version=2)
    binary.of.v2.build_id, binary.of.v2.graph_count, binary.of.v2.graphs = b"v2.20.0.240223", 1, graphs
    binary.of.v2.hardware = ctypes.addressof(hardware)
    binary.of.v2.hardware_size = ctypes.sizeof(hardware)
    info = BinaryInfo.model_validate(read_child._binary(binary))
    assert (info.build_id, info.soc_model, info.htp_arch) == ("v2.20.0.240223", None, None)
    [graph] = info.graphs
    assert (graph.name, graph.spill_fill_bytes, graph.vtcm_bytes, graph.updateable) == ("unet", 4096, None, 0)
    first, second = graph.inputs
    assert (first.dtype, first.dims) == ("sfixed8", [77, 768])
    assert first.encoding == TensorEncoding(
        kind="scale_offset", bits=8, scale=0.25, offset=2, least=0.25 * -126, greatest=0.25 * 129
    )
    assert second.encoding == TensorEncoding(kind="axis_scale_offset", bits=8, axis=1, count=768)


def test_a_description_that_can_t_be_is_refused() -> None:
    binary = qnn.Binary(version=3)
    binary.of.v3.graph_count = 1 << 30
    with pytest.raises(read_child._DamagedError, match="1,073,741,824 graphs"):
        read_child._binary(binary)
    binary.version = 9
    with pytest.raises(read_child._DamagedError, match="version 9"):
        read_child._binary(binary)


@pytest.mark.parametrize(
    ("path", "build", "context"),
    [(NEWER, "v2.51.0.260929181845", "4.0.6"), (OLDER, "v2.48.40.260702151143", "4.0.4")],
    ids=["newer", "older"],
)
def test_a_binary_of_another_qairt_is_read(path: Path, build: str, context: str) -> None:
    [binary] = find_binaries(path).binaries
    info = binary.info
    assert info is not None
    assert (info.build_id, info.context_version, info.soc_model, info.htp_arch) == (build, context, 57, 75)
    [graph] = info.graphs
    assert [(each.name, each.dims, each.dtype) for each in (*graph.inputs, *graph.outputs)] == [
        ("x", [1, 3, 6, 6], "float32"),
        ("y", [1, 4, 6, 6], "float32"),
    ]
    assert (graph.vtcm_bytes, graph.optimization_level) == (4 << 20, 3)
    assert qairt_of(info) == ".".join(build[1:].split(".")[:3])


# Networks


NETWORKS = {
    "text_encoder": ([("ids", [1, 77])], [("hidden", [1, 77, 768])]),
    "unet": ([("a", [1, 4, 64, 64]), ("b", [1]), ("c", [1, 77, 768])], [("d", [1, 4, 64, 64])]),
    # Qualcomm's have the channels last.
    "unet, channels last": ([("a", [1, 64, 64, 4]), ("b", [1, 1]), ("c", [1, 77, 1024])], [("d", [1, 64, 64, 4])]),
    "vae_decoder": ([("z", [1, 4, 64, 64])], [("image", [1, 3, 512, 512])]),
    "vae_decoder, channels last": ([("z", [1, 64, 96, 4])], [("image", [1, 512, 768, 3])]),
    "vae_encoder": ([("image", [1, 3, 512, 512])], [("moments", [1, 8, 64, 64])]),
    "upscaler": ([("image", [1, 3, 128, 128])], [("large", [1, 3, 512, 512])]),
    "controlnet": (
        [("a", [1, 4, 64, 64]), ("b", [1]), ("c", [1, 77, 768]), ("edges", [1, 3, 512, 512])],
        [(f"r{number}", [1, 320, 64, 64]) for number in range(13)],
    ),
    "None": ([("x", [1, 3, 224, 224])], [("classes", [1, 1000])]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_known_by_its_inputs_and_outputs(name: str) -> None:
    inputs, outputs = ([_tensor(*each) for each in tensors] for tensors in NETWORKS[name])
    assert str(network_of(_graph(inputs, outputs))) == name.partition(",")[0]


# EPContext models


def _epcontext(folder: Path, *nodes: dict[str, object]) -> Path:
    made = [
        helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", source="QNN", **{"name": "g", **node})
        for node in nodes
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    path = folder / "model.onnx"
    onnx.save(helper.make_model(helper.make_graph(made, "g", [x], [y])), str(path))
    return path


def _named(file: str, **more: object) -> dict[str, object]:
    return {"main_context": 1, "embed_mode": 0, "ep_cache_context": file, **more}


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ([_named("gone.bin")], "node g refers to gone.bin, which isn't beside it"),
        ([_named("../other.bin")], "node g refers to ../other.bin, outside the model's folder"),
        ([_named("C:\\models\\unet.bin")], "outside the model's folder"),
        ([_named("/etc/passwd")], "node g refers to /etc/passwd, outside the model's folder"),
        ([{"main_context": 0}], "has no ep_cache_context, and no other node has one that it could share"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(nodes: list[dict[str, object]], problem: str, tmp_path: Path) -> None:
    model = read_epcontext(_epcontext(tmp_path, *nodes))
    assert [problem in each for each in model.problems] == [True]
    assert model.files == {}


def test_a_node_without_a_binary_takes_the_main_one_s(tmp_path: Path) -> None:
    (tmp_path / "unet.bin").write_bytes(b"binary")
    path = _epcontext(tmp_path, _named("unet.bin", name="a"), {"main_context": 0, "name": "b"})
    model = read_epcontext(path)
    assert model.problems == ()
    assert [node.name for node in model.files[tmp_path / "unet.bin"]] == ["a", "b"]
    graphs = [_graph([_tensor("x", [1])], [_tensor("y", [1])], name) for name in ("a", "c")]
    [said] = contradictions(model.nodes, [], None, _info(graphs=graphs))
    assert said == "node b has no graph of its name in the binary, which has 2"


def test_a_graph_that_is_not_compiled_is_told_from_a_binary(tmp_path: Path) -> None:
    path = _epcontext(tmp_path)
    with pytest.raises(BinaryError, match="no context binary") as caught:
        read_epcontext(path)
    assert "none of them EPContext" in caught.value.why


# Where it would load


@pytest.mark.parametrize(
    ("arch", "soc_model", "vtcm", "profile", "verdict", "why"),
    [
        (75, 57, 8, "sm8650", "yes", ""),
        (73, 43, 8, "sm8650", "likely", "slower"),
        (75, 57, 4, "sm8550", "no", "newer than the chip's v73"),
        (69, 36, 4, "sm8550", "no", "refuses binaries for one before v73"),
        (73, 66, 8, "sm8550", "likely", "of another chip: QCS8550 (soc_model 66)"),
        (73, 43, 16, "sm8550", "no", "It asks for 16 MB of VTCM, the chip has 8"),
        (None, None, 4, "sm8550", "unknown", "doesn't say"),
    ],
)
def test_the_rules_of_loading(
    arch: int | None, soc_model: int | None, vtcm: int, profile: str, verdict: str, why: str
) -> None:
    graphs = [_graph([_tensor("x", [1])], [_tensor("y", [1])], vtcm=vtcm)]
    found = loading_on(_info(arch, soc_model, graphs), load_profile(profile))
    assert found.loads == verdict
    assert why in found.why


# The command


@newer_than_installed
def test_a_binary_of_a_newer_qairt_names_both_versions_and_both_roads(reading_cli: CliHere) -> None:
    shown = reading_cli("inspect", str(NEWER))
    assert shown.returncode == 0
    assert "compiled by QAIRT v2.51.0.260929181845 for SM8650 (soc_model 57), HTP v75" in shown.stdout
    assert "refuses it" in shown.stdout
    assert "pip install --no-deps onnxruntime==1.31.1 onnxruntime-qnn==2.7.0" in shown.stderr
    assert "AI Hub (--qairt_version 2." in shown.stderr
    document = reading_cli.json("inspect", str(NEWER))
    emulator = document["runtimes"][0]
    assert (emulator["runtime"], emulator["loads"]) == ("emulator", False)


def test_a_folder_is_looked_through_and_its_truncated_file_named(reading_cli: CliHere) -> None:
    folder = reading_cli.folder / "download"
    folder.mkdir()
    shutil.copy(OLDER, folder / "unet.bin")
    (folder / "text_encoder.bin").write_bytes(OLDER.read_bytes()[:-5])
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "readme.txt").write_text("read me")
    done = reading_cli("inspect", "download", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["error"]["code"] == 19
    assert [Path(each["file"]).name for each in document["binaries"]] == ["unet.bin"]
    assert [each.partition(" ")[0] for each in document["problems"]] == ["text_encoder.bin"]
    assert [each.partition(" ")[0] for each in document["other_files"]] == ["weights.bin"]


def test_a_bundle_is_inspected_and_swapped_networks_are_named(pipeline: BuildPipeline, reading_cli: CliHere) -> None:
    made = pipeline.bundle(load_profile("sm8650"), TEXT_TO_IMAGE_COMPONENTS).folder
    document = reading_cli.json("inspect", str(made))
    assert document["kind"] == "bundle"
    assert [(each["component"], each["networks"]) for each in document["binaries"]] == [
        (name, [name]) for name in TEXT_TO_IMAGE_COMPONENTS
    ]
    assert document["bytes"] == sum(each["bytes"] for each in document["binaries"])
    assert all(each["verification"]["binary_against_qdq"]["all_db"] > 50 for each in document["binaries"])
    verdicts = {each["soc"]: each["loads"] for each in document["binaries"][0]["loads"]}
    assert (verdicts["sm8650"], verdicts["sm8550"]) == ("yes", "no")

    copy = reading_cli.folder / "swapped"
    shutil.copytree(made, copy)
    one, other = copy / "text_encoder" / "htp", copy / "vae_decoder" / "htp"
    one.rename(copy / "aside")
    other.rename(one)
    (copy / "aside").rename(other)
    _sign(copy)
    said = reading_cli("inspect", "swapped").stderr
    assert "text_encoder: by its inputs and outputs it is a vae_decoder, not a text_encoder: files were swapped" in said
    assert "vae_decoder: by its inputs and outputs it is a text_encoder, not a vae_decoder: files were swapped" in said
    assert "Something is wrong with swapped" in reading_cli.refused(19, "verify", "swapped")


def _sign(folder: Path) -> None:
    """Writes the manifest anew: what is wrong must be seen by what is in the files, not by their hashes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        path = folder / name
        manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_node_that_names_or_holds_an_onnx_model_is_a_fault(reading_cli: CliHere) -> None:
    """Not a sound file without graphs: nothing is run then, and nothing may be said of it."""
    folder = reading_cli.folder / "given"
    folder.mkdir()
    model = _epcontext(folder, _named("it.bin"))
    shutil.copy(model, folder / "it.bin")
    [problem] = find_binaries(model).all_problems
    assert problem == "it.bin, which a node names, is an ONNX model, not a context binary"
    for command in ("inspect", "verify"):
        assert reading_cli(command, str(model)).returncode == 19
    embedding = folder / "embedding"
    embedding.mkdir()
    content = (folder / "it.bin").read_bytes()
    embedded = _epcontext(embedding, {**_named("it.bin"), "embed_mode": 1, "ep_cache_context": content})
    assert reading_cli("inspect", str(embedded)).returncode == 19


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BinaryError, match="no regular file"):
        find_binaries(tmp_path / "pipe")


def test_an_archive_with_more_socs_than_there_are_is_not_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "many.bin"
    _zip(*(f"htp.cache.{number}.0" for number in range(500)))(path)
    with pytest.raises(BinaryError, match="claims to hold binaries for 500 SoCs"):
        find_binaries(path)
