"""``qnn-sd cost`` as a user types it: real compiles of small graphs, and what is refused before any."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from cli_here import CliHere
from conftest import CHECKPOINT, Cli, json_document
from graphs import small_graph

from qnn_sd.cli.cost_graphs import given_graph
from qnn_sd.cli.cost_measure import Costs, measure_costs
from qnn_sd.cli.cost_plot import svg
from qnn_sd.cli.cost_report import FAR_FROM_SILICON, figure
from qnn_sd.cli.cost_scale import ESTIMATED_SOC, Scaling, scaling_for
from qnn_sd.compile.blocks import QdqGraph
from qnn_sd.compile.cost import Chip, measure
from qnn_sd.config import load_model, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import CompileError, SettingError
from qnn_sd.export.graph import Graph
from qnn_sd.onnx_files import DATA_FILE, MODEL_FILE
from qnn_sd.pipeline import BuildPipeline
from qnn_sd.quantize import quantize_with_stand_ins

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which nothing is calibrated, whatever other tests built in theirs."""
    return tmp_path_factory.mktemp("own") / "cache"


@pytest.fixture
def cli(own: Path, tmp_path: Path) -> Cli:
    """The command, in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Cli(own, folder)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float graph of three blocks: ``first``, ``relu``, ``second``."""
    folder = tmp_path_factory.mktemp("floats")
    with Graph("test", folder) as g:
        small_graph(g)
    return folder


@pytest.fixture
def graph(floats: Path, tmp_path: Path) -> Path:
    """The same as a QDQ graph, which a test may damage."""
    folder = tmp_path / "small"
    folder.mkdir()
    quantize_with_stand_ins(floats, folder)
    return folder


@pytest.fixture(scope="module")
def told(own: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The document and the image of the demo's text encoder, block by block."""
    folder = tmp_path_factory.mktemp("told")
    document = Cli(own, folder).json("cost", "--component", "text_encoder", "--plot", "blocks.svg")
    return document, folder / "blocks.svg"


def moved(line: Any) -> int:
    return int(line["traffic"]["read_bytes"] + line["traffic"]["written_bytes"])


def test_the_whole_its_blocks_and_their_sum(told: tuple[Any, Path], own: Path) -> None:
    document, _ = told
    assert (document["soc"], document["compiled_for"], document["scaled"]) == (ESTIMATED_SOC, ESTIMATED_SOC, False)
    assert document["about_estimates"] == FAR_FROM_SILICON
    found = document["components"]["text_encoder"]
    assert found["graph"] == "stand-ins"
    assert not (own / "calibrate").exists()
    whole, parts, total = found["whole"], found["parts"], found["sum"]
    assert list(parts) == list(QdqGraph(Path(found["folder"])).grouped())
    assert len(parts) >= 4
    for line in (whole, *parts.values(), total):
        assert 0 < line["estimate"]["lower_ms"] <= line["estimate"]["ms"] <= line["estimate"]["upper_ms"]
        assert line["macs_per_cycle"] == pytest.approx(line["macs"] / line["cycles"], abs=1e-3)
        assert 0 < line["traffic_bound_bytes"] <= moved(line)
    for place in ("ms", "lower_ms", "upper_ms"):
        assert total["estimate"][place] == pytest.approx(sum(each["estimate"][place] for each in parts.values()))
    for name in ("macs", "cycles", "traffic_bound_bytes", "uncosted_op_count"):
        assert total[name] == sum(each[name] for each in parts.values())
    # All of its work is in some block, and each block moves its own ends.
    assert total["macs"] == whole["macs"] > 0
    assert moved(total) == sum(map(moved, parts.values())) > moved(whole)


def test_the_image_has_a_pair_of_bars_for_each_block_in_the_graphs_order(told: tuple[Any, Path]) -> None:
    document, path = told
    parts = document["components"]["text_encoder"]["parts"]
    root = ElementTree.parse(path).getroot()
    titles = [each.text for each in root.iterfind(f"{SVG}g/{SVG}title")]
    assert titles == list(parts)
    for kind, sizes in (
        ("time", [each["estimate"]["ms"] for each in parts.values()]),
        ("traffic", [moved(each) for each in parts.values()]),
    ):
        bars = [each for each in root.iterfind(f"{SVG}rect") if each.get("class") == kind]
        widths = [float(each.get("width", "")) for each in bars]
        assert len(widths) == len(parts)
        assert np.array(widths) / max(widths) == pytest.approx(np.array(sizes) / max(sizes), abs=0.01)
    words = "".join(root.itertext())
    assert "docs/htp-forms.md" in words
    assert "estimate, ms" in words
    width, height = (float(root.get(side, "")) for side in ("width", "height"))
    for each in root.iter(f"{SVG}rect"):
        assert float(each.get("x", "")) + float(each.get("width", "")) <= width
        assert float(each.get("y", "")) + float(each.get("height", "")) <= height


@pytest.fixture
def measured(graph: Path) -> Costs:
    """What the small graph costs on each of its blocks, scaled to another SoC."""
    scaling = scaling_for(load_profile("sm8650"), scale=True)
    parts = given_graph(graph, "").parts(by_level=False)
    return measure_costs(
        given_graph(graph, ""),
        scaling,
        "unet",
        Console(quiet=True),
        parts=parts,
        by_level=False,
        whole=False,
        bound=False,
    )


def test_names_in_the_image_are_text_whatever_they_are(measured: Costs) -> None:
    names = ['</text><script>"&amp;', "bell \x07", "l" + "ong" * 40]
    image = svg([replace(measured, parts=dict(zip(names, measured.parts.values(), strict=True)))], "block")
    root = ElementTree.fromstring(image)
    titles = [each.text for each in root.iterfind(f"{SVG}g/{SVG}title")]
    assert titles == [names[0], "bell \N{REPLACEMENT CHARACTER}", names[2]]
    assert not list(root.iter(f"{SVG}script"))
    assert "scaled from qcs9075" in image
    shown = [each.text or "" for each in root.iterfind(f"{SVG}g/{SVG}text")]
    assert shown[2] == f"…{names[2][-35:]}"
    assert max(map(len, shown)) <= 36


def test_people_see_the_dearest_first_and_that_it_is_an_estimate(told: tuple[Any, Path], cli: Cli) -> None:
    done = cli("cost", "--component", "text_encoder")
    assert done.returncode == 0, done.stderr
    assert "text_encoder: the exported graph with stand-in encodings" in done.stderr
    assert "measuring text_encoder" in done.stderr
    title, heads, *rows = done.stdout.splitlines()
    assert title == "text_encoder, qcs9075; the exported graph with stand-in encodings"
    assert heads.split()[:4] == ["estimate,", "ms", "lower", "upper"]
    blocks = told[0]["components"]["text_encoder"]["parts"]
    names = sorted(blocks, key=lambda name: -blocks[name]["estimate"]["ms"])
    assert [row.split()[0] for row in rows[: len(blocks) + 2]] == ["whole", *names, "sum"]
    assert f"sum of {len(blocks)} blocks" in done.stdout
    whole = told[0]["components"]["text_encoder"]["whole"]["estimate"]
    assert rows[0].split()[1:4] == [figure(whole[place]) for place in ("ms", "lower_ms", "upper_ms")]
    assert done.stdout.count(FAR_FROM_SILICON) == 1
    assert done.stdout.count("A part compiled alone moves its own ends") == 1


def test_a_scaled_estimate_is_the_other_socs_times_the_published_ratio(cli: Cli) -> None:
    """Nobody published the VAE encoder's time: it takes the decoder's ratio, and says so."""
    asked = ("cost", "--component", "vae_encoder", "--only", "quant_conv")
    own = cli.json(*asked)["components"]["vae_encoder"]
    document = cli.json(*asked, "--soc", "sm8650", "--scale")
    assert (document["soc"], document["compiled_for"], document["scaled"]) == ("sm8650", "qcs9075", True)
    scaled = document["components"]["vae_encoder"]
    profiles = [load_profile(soc).published_ms for soc in ("sm8650", "qcs9075")]
    assert profiles[0] is not None
    assert profiles[1] is not None
    ratio = profiles[0].vae_decoder / profiles[1].vae_decoder
    assert scaled["scale"] == {"soc": "qcs9075", "ratio": ratio, "component": "vae_decoder"}
    there, here = own["parts"]["quant_conv"], scaled["parts"]["quant_conv"]
    for place in ("ms", "lower_ms", "upper_ms"):
        assert here["estimate"][place] == pytest.approx(there["estimate"][place] * ratio, abs=2e-6)
        assert here["estimate"][place] < 0.9 * there["estimate"][place]
    for name in ("traffic", "traffic_bound_bytes", "macs", "cycles"):
        assert here[name] == there[name]
    assert own["scale"] is None
    # For the SoC that has an estimate of its own, there is nothing to scale.
    assert cli.json(*asked, "--scale")["components"]["vae_encoder"] == own


def test_people_see_whose_estimate_was_scaled(cli: Cli, graph: Path) -> None:
    arguments = ("cost", "--graph", str(graph), "--component", "unet", "--by", "whole", "--soc", "sm8550", "--scale")
    done = cli(*arguments)
    assert done.returncode == 0, done.stderr
    assert "unet, sm8550, estimate scaled from qcs9075 by 108/102.1 (published ms of SD 1.5's unet)" in done.stdout
    assert "estimate (scaled), ms" in done.stdout
    assert "traffic, its bound and MAC/cycle are those of the build for qcs9075" in done.stdout


def test_a_profile_without_published_times_cannot_be_scaled() -> None:
    bare = load_profile("sm8650").model_copy(update={"published_ms": None})
    with pytest.raises(SettingError, match=r"can't be scaled from qcs9075 to sm8650") as refused:
        scaling_for(bare, scale=True)
    assert "sm8650 has no published_ms" in refused.value.why
    assert "[published_ms]" in refused.value.hint


def test_the_compile_options_are_those_of_the_soc_that_was_asked_for() -> None:
    asked = load_profile("sm8650").model_copy(update={"optimization_mode": 1})
    chip, base = scaling_for(asked, scale=True).chip, load_profile("qcs9075")
    assert chip == Chip(base.soc_model, base.htp_arch, base.vtcm_mb, 1)


# What profiles say is held against the compiler's table by their checks; here the table against the compiler.
@pytest.mark.parametrize("soc", ["qcs9075", "sa8775p", "sm8650"])
def test_profiles_say_whether_the_compiler_has_an_estimate(soc: str, graph: Path) -> None:
    profile = load_profile(soc)
    found = measure(graph, Chip(profile.soc_model, profile.htp_arch, profile.vtcm_mb)).estimate
    assert (found is not None) == profile.estimates == (soc in ("qcs9075", "sa8775p"))


def test_a_profile_that_lies_about_its_estimate_is_an_error(graph: Path) -> None:
    """Or a compiler that is too old for one: no figure is made up."""
    lying = load_profile("sm8650").model_copy(update={"estimates": True})
    subject = given_graph(graph, "")
    with pytest.raises(CompileError, match="gave no time estimate for sm8650, the whole small") as refused:
        measure_costs(
            subject,
            Scaling(lying, lying),
            "",
            Console(quiet=True),
            parts=[],
            by_level=False,
            whole=True,
            bound=False,
        )
    assert "onnxruntime-qnn" in refused.value.why


@pytest.mark.parametrize(
    ("code", "arguments", "messages"),
    [
        (
            3,
            ("--soc", "sm8650"),
            ("no time estimate for sm8650", "qcs9075, sa8775p alone", "add --scale"),
        ),
        (4, ("--soc", "sm8660"), ("No SoC of that number has a profile",)),
        (3, ("--by", "whole", "--only", "conv_in"), ("--only has no meaning with --by whole",)),
        (3, ("--by", "whole", "--plot", "a.svg"), ("--plot has no meaning with --by whole",)),
        (3, ("--only", "conv_in", "--bound"), ("--bound has no meaning with --only",)),
        (3, ("--graph", "x", "--model", "sd15"), ("--model has no meaning with --graph",)),
        (3, ("--graph", "x", "--encodings", "y"), ("--encodings has no meaning with --graph",)),
        (3, ("--graph", "x", "--component", "unet", "--component", "vae_decoder"), ("A graph is one component",)),
        (3, ("--graph", "x", "--soc", "sm8650", "--scale"), ("whose published times", "--component unet")),
        (3, ("--graph", "missing"), ("There is no graph in missing", "It is no folder")),
        (3, ("--graph", "."), ("There is no graph in .", "It has no model.onnx")),
        (30, ("--plot", "a.png"), ("Give a name ending in .svg",)),
        (30, ("--plot", "missing/a.svg"), ("No such file or directory",)),
        (2, ("--by", "layer"), ("--by layer is not possible",)),
    ],
)
def test_bad_input_is_refused_before_anything_is_built(
    code: int, arguments: tuple[str, ...], messages: tuple[str, ...], cli_here: CliHere, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    said = cli_here.refused(code, "cost", *arguments, environment={"QNN_SD_CACHE": str(cache)})
    for message in messages:
        assert message in said
    assert not cache.exists()


@pytest.mark.parametrize(("by", "name", "meant"), [("block", "secund", "second"), ("level", "firsd", "first")])
def test_a_block_that_is_not_there_is_refused_before_any_compile(
    by: str, name: str, meant: str, cli_here: CliHere, graph: Path
) -> None:
    said = cli_here.refused(3, "cost", "--graph", str(graph), "--by", by, "--only", "first", "--only", name)
    assert f"No {by} is called '{name}'" in said
    assert f"Did you mean {meant}? Known: first, relu, second." in said
    assert "measuring" not in said


def test_only_measures_what_is_named(cli: Cli, graph: Path) -> None:
    document = cli.json("cost", "--graph", str(graph), "--only", "second")
    found = document["components"]["small"]
    assert (found["graph"], found["folder"]) == ("given", str(graph))
    assert list(found["parts"]) == ["second"]
    assert found["whole"] is None
    assert found["sum"] is None
    assert document["model"] is document["size"] is None


def damage_model(graph: Path) -> None:
    os.truncate(graph / MODEL_FILE, (graph / MODEL_FILE).stat().st_size - 100)


def empty_model(graph: Path) -> None:
    os.truncate(graph / MODEL_FILE, 0)


def take_quantization(graph: Path) -> None:
    model = onnx.load(graph / MODEL_FILE)
    kept = [node for node in model.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, graph / MODEL_FILE)


def cut_weights(graph: Path) -> None:
    model = onnx.load(graph / MODEL_FILE)
    onnx.save(model, graph / MODEL_FILE, save_as_external_data=True, location=DATA_FILE, size_threshold=0)
    os.truncate(graph / DATA_FILE, 10)


def lose_weights(graph: Path) -> None:
    cut_weights(graph)
    (graph / DATA_FILE).unlink()


def free_the_batch(graph: Path) -> None:
    model = onnx.load(graph / MODEL_FILE)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, graph / MODEL_FILE)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_model, "It is truncated, or no ONNX model"),
        (empty_model, "is empty"),
        (take_quantization, "is not quantized"),
        (cut_weights, "It has 10 bytes, the graph reads"),
        (lose_weights, f"are missing in {DATA_FILE}"),
        (free_the_batch, "The shape of x isn't known"),
    ],
)
def test_a_graph_that_cannot_be_measured_is_refused(damage: Any, message: str, cli_here: CliHere, graph: Path) -> None:
    damage(graph)
    said = cli_here.refused(3, "cost", "--graph", str(graph))
    assert message in said
    assert "next:" in said
    assert "measuring" not in said


def test_a_graph_that_the_htp_refuses_is_an_error_that_names_the_node_and_the_block(cli: Cli, graph: Path) -> None:
    model = onnx.load(graph / MODEL_FILE)
    [relu] = [node for node in model.graph.node if node.op_type == "Relu"]
    relu.op_type = "Erf"
    onnx.save(model, graph / MODEL_FILE)
    for arguments, what in ((("--by", "whole"), "the whole small"), (("--only", "relu"), "relu of small")):
        said = cli.refused(14, "cost", "--graph", str(graph), *arguments, "--json")
        assert "The QNN compiler refused" in said
        assert f", {what}." in said
        assert "name: relu, type: Erf" in said


def test_a_bound_counts_ops_without_a_cost(cli: Cli, tmp_path: Path) -> None:
    """Sines, of which the compiler knows no cost."""
    source, folder = tmp_path / "float", tmp_path / "waves"
    source.mkdir()
    folder.mkdir()
    with Graph("test", source) as g:
        x = g.input("x", (1, 8, 64, 64))
        for number in range(2):
            x = g.node("Sigmoid", [x], x.shape, f"block{number}.squash")
            x = g.node("Sin", [x], x.shape, f"block{number}.wave_{number}")
        g.output(x, "y")
    quantize_with_stand_ins(source, folder)
    arguments = ("cost", "--graph", str(folder), "--by", "whole")
    found = cli.json(*arguments, "--bound")["components"]["waves"]
    assert [each["op"] for each in found["uncosted_ops"]] == ["Sin", "Sin"]
    assert found["whole"]["uncosted_op_count"] == 2
    assert found["bound"]["ms"] > found["whole"]["estimate"]["ms"]
    assert found["bound"]["uncosted_ops"] == []
    done = cli(*arguments, "--bound")
    assert "count as nothing: 2 x Sin (wave)." in done.stdout
    assert "Bound of the estimate" in done.stdout
    assert cli.json(*arguments)["components"]["waves"]["bound"] is None


def test_nodes_without_a_name_are_called_by_their_output(cli: Cli, tmp_path: Path) -> None:
    """The compiler would call them Sin5 and Sin11: no type and no bound would be known of them."""
    source, folder = tmp_path / "float", tmp_path / "nameless"
    source.mkdir()
    folder.mkdir()
    with Graph("test", source) as g:
        x = g.node("Sin", [g.input("x", (1, 8, 64, 64))], (1, 8, 64, 64), "first")
        g.output(g.node("Sin", [x], x.shape, "second"), "y")
    quantize_with_stand_ins(source, folder)
    model = onnx.load(folder / MODEL_FILE)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, folder / MODEL_FILE)
    before = (folder / MODEL_FILE).read_bytes()
    document = cli.json("cost", "--graph", str(folder), "--bound")["components"]["nameless"]
    made = {node.output[0] for node in model.graph.node if node.op_type == "Sin"}
    assert {(each["name"], each["op"]) for each in document["uncosted_ops"]} == {(name, "Sin") for name in made}
    assert document["bound"]["uncosted_ops"] == []
    assert document["bound"]["ms"] > document["whole"]["estimate"]["ms"]
    assert document["folder"] == str(folder)
    assert (folder / MODEL_FILE).read_bytes() == before
    assert "count as nothing: 2 x Sin" in cli("cost", "--graph", str(folder), "--by", "whole").stdout


def test_the_graph_that_users_get_is_taken_where_it_is_quantized(cli: Cli, own: Path, tmp_path: Path) -> None:
    """By the options that name it: other encodings are another graph, and that isn't there."""
    given = tmp_path / "encodings"
    aside = tmp_path / "aside"
    given.mkdir()
    aside.mkdir()
    cache = tmp_path / "cache"
    environment = {"QNN_SD_CACHE": str(cache)}
    pipeline = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), cache=cache, encodings=None)
    quantize_with_stand_ins(pipeline.export("vae_encoder").folder, aside)
    shutil.copy(aside / "encodings.json", given / "vae_encoder.json")
    made = BuildPipeline(load_model("tiny-sd"), Console(quiet=True), cache=cache, encodings=given).quantize(
        "vae_encoder"
    )
    arguments = ("cost", "--component", "vae_encoder", "--only", "quant_conv")
    done = cli(*arguments, "--encodings", str(given), "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    assert "vae_encoder: the quantized graph of the cache" in done.stderr
    found = json_document(done.stdout)["components"]["vae_encoder"]
    assert (found["graph"], found["folder"]) == ("quantized", str(made.folder))
    other = cli(*arguments, "--json", environment=environment)
    assert json_document(other.stdout)["components"]["vae_encoder"]["graph"] == "stand-ins"
    os.truncate(made.file(DATA_FILE), 100)
    said = cli.refused(12, *arguments, "--encodings", str(given), environment=environment)
    assert f"{DATA_FILE} is damaged" in said


def test_a_checkpoint_without_a_tokenizer_has_a_cost(cli: Cli, tmp_path: Path) -> None:
    """Nothing is calibrated, so nothing is tokenized; that no quantized graph can be known is said."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, checkpoint)
    shutil.rmtree(checkpoint / "tokenizer")
    arguments = ("--component", "vae_encoder", "--component", "unet", "--only", "quant_conv")
    done = cli("cost", "--checkpoint", str(checkpoint), *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document = json_document(done.stdout)["components"]
    assert {name: each["graph"] for name, each in document.items()} == {"vae_encoder": "stand-ins"}
    assert done.stderr.count("warning: no quantized graph is looked for: ") == 1
    assert "tokenizer" in done.stderr


def test_a_dry_run_compiles_nothing(cli: Cli, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    done = cli("cost", "--dry-run", "--json", environment={"QNN_SD_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr
    stages = json_document(done.stdout)["stages"]
    assert {(each["stage"], each["cached"]) for each in stages} == {("export", False)}
    assert len(stages) == 4
    assert not cache.exists()


def test_a_dry_run_checks_names_where_the_graph_is_there(cli: Cli, own: Path, tmp_path: Path) -> None:
    arguments = ("cost", "--component", "vae_encoder", "--dry-run", "--only")
    empty = {"QNN_SD_CACHE": str(tmp_path / "cache")}
    done = cli(*arguments, "quant_conf", environment=empty)
    assert done.returncode == 0
    assert "warning: names after --only can't be checked before the graphs are exported: vae_encoder" in done.stderr
    cli.json("export", "--component", "vae_encoder")
    said = cli.refused(3, *arguments, "quant_conf")
    assert "Did you mean quant_conv?" in said
    done = cli(*arguments, "quant_conv")
    assert (done.returncode, done.stderr.count("warning")) == (0, 0)


def test_a_plot_goes_where_a_link_leads(cli: Cli, graph: Path, tmp_path: Path) -> None:
    plots, link = tmp_path / "plots", cli.folder / "plot.svg"
    plots.mkdir()
    link.symlink_to(plots / "real.svg")
    cli.json("cost", "--graph", str(graph), "--only", "first", "--plot", "plot.svg")
    assert link.is_symlink()
    assert [path.name for path in plots.iterdir()] == ["real.svg"]
    assert "<svg" in link.read_text("utf-8")


def test_figures_have_three_digits() -> None:
    values = {0.0: "0", 0.0004: "0.000", 0.0046: "0.005", 0.33: "0.330", 1.7: "1.70", 102.1: "102", 5489.2: "5,489"}
    assert {value: figure(value) for value in values} == values
