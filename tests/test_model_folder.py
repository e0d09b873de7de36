"""The folder that is uploaded: one .onnx with one .data or one .bin, from any ONNX."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from qnn_sd.ai_hub.content import refuse_too_large, sha256_of, zipped
from qnn_sd.ai_hub.model_folder import clean_folder
from qnn_sd.console import Console
from qnn_sd.errors import ArtifactError, BinaryError, HubServiceError

RNG = np.random.default_rng(3)
WEIGHTS = {f"w{at}": RNG.standard_normal((4, 300), np.float32) for at in range(3)}
FEED = {"x": RNG.standard_normal((1, 4), np.float32)}


def model_with(folder: Path, files: dict[str, str]) -> Path:
    """Three matrices; each tensor's values go to the file that is named for it."""
    folder.mkdir()
    nodes = [helper.make_node("MatMul", ["x", name], [f"y{name}"]) for name in WEIGHTS]
    nodes.append(helper.make_node("Sum", [f"y{name}" for name in WEIGHTS], ["y"]))
    tensors = []
    for name, values in WEIGHTS.items():
        tensor = numpy_helper.from_array(values, name)
        location = files[name]
        with (folder / location).open("ab") as file:
            file.write(b"\0" * 8)  # none begins where its file does
            offset = file.tell()
            file.write(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 300))],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString())
    (folder / "README.md").write_text("no part of it")
    return path


def result(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, FEED)[0])


@pytest.mark.parametrize(
    "files",
    [
        dict.fromkeys(WEIGHTS, "network.onnx_data"),
        dict.fromkeys(WEIGHTS, "weights.pb"),
        {name: f"tensor_{name}" for name in WEIGHTS},
        {"w0": "a.data", "w1": "b.data", "w2": "a.data"},
    ],
    ids=["onnx_data", "pb", "a file per tensor", "two files"],
)
def test_any_external_data_becomes_one_file(tmp_path: Path, files: dict[str, str]) -> None:
    source = model_with(tmp_path / "from", files)
    folder = clean_folder(source, tmp_path / "unet")
    assert sorted(each.name for each in folder.iterdir()) == ["model.data", "model.onnx"]
    assert np.array_equal(result(folder / "model.onnx"), result(source))
    assert client_takes(folder) == "ONNX"


def client_takes(folder: Path) -> str:
    """What AI Hub's own client says that a folder is."""
    from qai_hub import client

    return str(client._determine_model_type(folder).name)


def test_encodings_make_it_aimets(tmp_path: Path) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "weights.bin"))
    (tmp_path / "unet.json").write_text("{}")
    folder = clean_folder(source, tmp_path / "unet", tmp_path / "unet.json")
    assert sorted(each.name for each in folder.iterdir()) == ["model.data", "model.encodings", "model.onnx"]
    assert client_takes(folder) == "AIMET_ONNX"


def test_weights_of_a_subgraph_and_of_a_constant_come_too(tmp_path: Path) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "weights.pb"))
    model = onnx.load_model(source, load_external_data=False)
    taken = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w2"]))
    model.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(taken)
    source.write_bytes(model.SerializeToString())
    folder = clean_folder(source, tmp_path / "unet")
    assert onnx.load_model(folder / "model.onnx").graph.node[0].attribute[0].t.raw_data == WEIGHTS["w2"].tobytes()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "weights.pb").unlink(), "w0 is in weights.pb, which isn't beside it"),
        (lambda folder: (folder / "weights.pb").write_bytes(b"half"), "weights.pb ends before them"),
    ],
)
def test_a_lone_onnx_is_refused(tmp_path: Path, spoil: object, said: str) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "weights.pb"))
    assert callable(spoil)
    spoil(source.parent)
    with pytest.raises(ArtifactError, match="lacks its weights") as raised:
        clean_folder(source, tmp_path / "unet")
    assert said in raised.value.why


def test_weights_outside_the_folder_are_refused(tmp_path: Path) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "../weights.pb"))
    with pytest.raises(ArtifactError) as raised:
        clean_folder(source, tmp_path / "unet")
    assert "outside the model's folder" in raised.value.why


def placed(**changed: str) -> Callable[[onnx.TensorProto], None]:
    """Changes where a tensor is."""

    def change(tensor: onnx.TensorProto) -> None:
        for each in tensor.external_data:
            each.value = changed.get(each.key, each.value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (placed(offset="-8"), "at no place in a file: .*non-negative"),
        (placed(length="-8"), "at no place in a file: .*non-negative"),
        (placed(offset="x"), "at no place in a file: .*'x'"),
        (placed(location="network.onnx", offset="0"), "which is the model itself"),
        (placed(location="link.data"), "link.data, a link that leads outside the model's folder"),
        (placed(location="linked/weights.pb"), "linked/weights.pb, a link that leads outside"),
        (lambda tensor: tensor.dims.__setitem__(0, -4), r"w1 has the dims \[-4, 300\]"),
    ],
)
def test_places_that_are_none_are_refused(
    tmp_path: Path, change: Callable[[onnx.TensorProto], None], said: str
) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "weights.pb"))
    (tmp_path / "away").mkdir()
    for name in ("secret.txt", "away/weights.pb"):
        (tmp_path / name).write_bytes((source.parent / "weights.pb").read_bytes())
    (source.parent / "link.data").symlink_to("../secret.txt")
    (source.parent / "linked").symlink_to("../away")
    model = onnx.load_model(source, load_external_data=False)
    model.doc_string = "x" * 40_000  # so that the model itself is large enough for a tensor
    change(model.graph.initializer[1])
    source.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError) as raised:
        clean_folder(source, tmp_path / "unet")
    assert re.search(said, raised.value.why)


def test_links_of_a_download_cache_are_followed(tmp_path: Path) -> None:
    source = model_with(tmp_path / "blobs", dict.fromkeys(WEIGHTS, "weights.pb"))
    (tmp_path / "snapshot").mkdir()
    for name in ("network.onnx", "weights.pb"):
        (tmp_path / "blobs" / name).rename(tmp_path / "blobs" / f"hash-{name}")
        (tmp_path / "snapshot" / name).symlink_to(f"../blobs/hash-{name}")
    folder = clean_folder(tmp_path / "snapshot" / source.name, tmp_path / "unet")
    assert not any(each.is_symlink() for each in folder.iterdir())
    assert result(folder / "model.onnx").shape == (1, 300)


def test_an_empty_model_and_encodings_that_are_not_there(tmp_path: Path) -> None:
    source = model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "weights.pb"))
    with pytest.raises(ArtifactError, match="can't be read") as raised:
        clean_folder(source, tmp_path / "unet", tmp_path / "none.json")
    assert "encodings" in str(raised.value)
    source.write_bytes(b"")
    with pytest.raises(ArtifactError, match="no network in it"):
        clean_folder(source, tmp_path / "unet")


def context_model(folder: Path, *nodes: dict[str, object], files: tuple[str, ...] = ("one.bin",)) -> Path:
    folder.mkdir()
    made = []
    for at, attributes in enumerate(nodes):
        node = helper.make_node("EPContext", ["x"], [f"y{at}"], name=f"part{at}", domain="com.microsoft")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        made.append(node)
    value = helper.make_tensor_value_info
    outputs = [value(f"y{at}", TensorProto.FLOAT, (1,)) for at in range(len(nodes))]
    graph = helper.make_graph(made, "g", [value("x", TensorProto.FLOAT, (1,))], outputs)
    (folder / "model_ctx.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    for name in files:
        (folder / name).write_bytes(name.encode())
    return folder / "model_ctx.onnx"


ONE = {"main_context": 1, "embed_mode": 0, "ep_cache_context": "one.bin"}


def test_a_context_model_brings_its_binary(tmp_path: Path) -> None:
    source = context_model(tmp_path / "from", ONE, {"main_context": 0, "embed_mode": 0}, files=("one.bin", "other.bin"))
    folder = clean_folder(source, tmp_path / "unet")
    assert {each.name: each.read_bytes() for each in folder.iterdir() if each.suffix != ".onnx"} == {
        "model.bin": b"one.bin"
    }
    node = onnx.load_model(folder / "model.onnx").graph.node[0]
    assert {each.name: each.s for each in node.attribute}["ep_cache_context"] == b"model.bin"
    assert client_takes(folder) == "ONNX"


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((ONE, {**ONE, "ep_cache_context": "two.bin"}), "2 EPContext nodes refer to 2 binaries"),
        ((ONE, {**ONE, "ep_cache_context": "gone.bin"}), "part1 refers to gone.bin, which isn't beside it"),
        (({**ONE, "ep_cache_context": "../one.bin"},), "outside the model's folder"),
        (({"embed_mode": 1, "ep_cache_context": "blob"}, {"main_context": 0}), "part1 has no ep_cache_context"),
        (({"embed_mode": 1, "ep_cache_context": "blob"}, {"embed_mode": 1}), "part1 has no ep_cache_context"),
    ],
)
def test_a_context_model_that_resolves_to_no_single_binary_is_refused(
    tmp_path: Path, nodes: tuple[dict[str, object], ...], said: str
) -> None:
    source = context_model(tmp_path / "from", *nodes, files=("one.bin", "two.bin"))
    with pytest.raises(BinaryError) as raised:
        clean_folder(source, tmp_path / "unet")
    assert said in raised.value.why


def test_a_binary_that_is_named_in_two_ways_is_one(tmp_path: Path) -> None:
    folder = clean_folder(
        context_model(tmp_path / "from", ONE, {**ONE, "ep_cache_context": "./one.bin"}), tmp_path / "unet"
    )
    assert (folder / "model.bin").read_bytes() == b"one.bin"


def test_a_binary_behind_a_link_is_not_taken(tmp_path: Path) -> None:
    source = context_model(tmp_path / "from", ONE, files=())
    (tmp_path / "secret.txt").write_text("secret")
    (source.parent / "one.bin").symlink_to("../secret.txt")
    with pytest.raises(BinaryError) as raised:
        clean_folder(source, tmp_path / "unet")
    assert "refers to one.bin, a link that leads outside" in raised.value.why


def test_the_same_content_has_the_same_hash_and_bytes(tmp_path: Path) -> None:
    folders = []
    for at in range(2):
        source = model_with(tmp_path / f"from{at}", {name: f"tensor_{name}" for name in WEIGHTS})
        (tmp_path / str(at)).mkdir()
        folders.append(clean_folder(source, tmp_path / str(at) / "unet"))
    first, second = (sha256_of(each, "unet", Console(quiet=True)) for each in folders)
    assert first == second
    one, other = (zipped(each, each.parent).read_bytes() for each in folders)
    assert one == other
    (folders[1] / "model.data").write_bytes(b"other")
    assert sha256_of(folders[1], "unet", Console(quiet=True)) != first


def test_the_zip_is_as_the_client_makes_it(tmp_path: Path) -> None:
    from qai_hub.util.zipped_model import unzip_model

    folder = clean_folder(model_with(tmp_path / "from", dict.fromkeys(WEIGHTS, "a.bin")), tmp_path / "unet")
    archive = zipped(folder, tmp_path)
    (tmp_path / "out").mkdir()
    unpacked = Path(unzip_model(str(archive), str(tmp_path / "out")))
    assert unpacked.name == "unet"
    assert np.array_equal(result(unpacked / "model.onnx"), result(folder / "model.onnx"))
    assert client_takes(archive) == "ONNX"


def test_what_is_too_large_is_measured_before_it_is_sent(tmp_path: Path) -> None:
    for name, size in (("small", 10), ("unet", 10_000_000_001)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # sparse
    with pytest.raises(HubServiceError, match=r"unet is too large for AI Hub: 10 GB") as raised:
        refuse_too_large({name: tmp_path / name for name in ("small", "unet")})
    assert "largest of 2" in raised.value.why
