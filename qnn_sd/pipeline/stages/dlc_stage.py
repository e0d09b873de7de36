"""QDQ ONNX → DLC, and the folder of all components' DLCs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from qnn_sd import qnn_provider
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.compile import DLC_FILE, write_dlc
from qnn_sd.config import DeviceProfile
from qnn_sd.onnx_files import load_structure
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.compile_stage import CACHE_KEY_SOURCES as COMPILE_SOURCES
from qnn_sd.toolchain import load_toolchains
from qnn_sd.verification import ComponentVerification

CACHE_KEY_SOURCES = COMPILE_SOURCES
README = "README.md"
_TOOLS = "qnn-net-run, snpe-net-run and a phone: none of them is part of the wheel of onnxruntime-qnn"


def build_dlc(context: BuildContext, component: str, qdq: Artifact, profile: DeviceProfile) -> Artifact:
    """A component's DLC, for the HTP of a SoC; nothing is known of it until it is verified.

    Raises:
        CompileError: QNN refused the graph, crashed, or would need several files for it.
    """
    settings = {**profile.model_dump(include={"soc_model", "htp_arch"}), "format": "dlc"}
    recipe = Recipe(
        "compile",
        f"{context.model.name}.{component}.{profile.soc}.dlc",
        {"qdq": qdq.key},
        settings,
        {**tool_versions(CACHE_KEY_SOURCES), **qnn_provider.versions()},
        context.work(component, detail=f"{profile.soc}, DLC"),
    )
    build = partial(_write, qdq, profile)
    return context.store.get_or_build(recipe, component, build)


def _write(qdq: Artifact, profile: DeviceProfile, folder: Path) -> dict[str, Any]:
    return write_dlc(qdq.folder, profile.soc_model, profile.htp_arch, folder)


def collect_dlcs(
    context: BuildContext,
    profile: DeviceProfile,
    graphs: Mapping[str, tuple[Artifact, Artifact]],
    verified: Mapping[str, ComponentVerification] | None,
    not_run: str | None,
) -> Artifact:
    """A folder with ``<component>.dlc``, and a README that says how they are run and what was verified of them.

    Args:
        context: of the build.
        profile: whose HTP they are for.
        graphs: QDQ graph and DLC, by component.
        verified: what was measured of each; None if verifying was switched off.
        not_run: why no DLC was run here; None if they were.
    """
    states = verification_in_words(verified, not_run)
    inputs = {name: dlc.key for name, (_qdq, dlc) in graphs.items()}
    recipe = Recipe(
        "bundle",
        f"{context.model.name}.{profile.soc}.dlc",
        inputs,
        {"verification": states},
        tool_versions(("pipeline/stages/dlc_stage.py",)),
        context.work(None, "binary", of=list(graphs)),
    )

    def build(folder: Path) -> dict[str, Any]:
        for name, (_qdq, dlc) in graphs.items():
            shutil.copyfile(dlc.file(DLC_FILE), folder / f"{name}.dlc")
        (folder / README).write_text(_readme(context, profile, graphs, states), "utf-8")
        return {"verification": states}

    return context.store.get_or_build(recipe, "all", build)


def verification_in_words(verified: Mapping[str, ComponentVerification] | None, not_run: str | None) -> list[str]:
    """What was verified of DLCs, and what wasn't: a line each, the latter begin with "unverified"."""
    if verified is None:
        return ["unverified: everything (--no-verify)"]
    lines = []
    for name, each in verified.items():
        floats = f"QDQ graph against float {each.qdq_against_float.text} dB"
        found = each.binary_against_qdq
        dlc = f", DLC on the HTP emulator against the QDQ graph {found.text} dB" if found else ""
        lines.append(f"{name}: {floats}{dlc}")
    if not_run:
        lines.append(f"unverified: the DLCs themselves; {not_run}")
    return [*lines, f"unverified: {_TOOLS}"]


def _readme(
    context: BuildContext,
    profile: DeviceProfile,
    graphs: Mapping[str, tuple[Artifact, Artifact]],
    states: list[str],
) -> str:
    size = f"{context.model.width}x{context.model.height}"
    first = next(iter(graphs))
    tables = [line for name, (qdq, _dlc) in graphs.items() for line in _tensors(name, qdq)]
    return "\n".join(
        [
            f"# DLCs of {context.model.name}, {size}, for {profile.title}",
            "",
            "Each file is one quantized graph. It isn't compiled yet: the tools of a QAIRT SDK that is as new as the",
            f"compiler's, {_compiler()}, do that on the phone.",
            "",
            "## Run one",
            "",
            "`inputs.txt` has a line for each call with each input's raw file: little endian, in the table's shape and",
            "type.",
            "",
            "```",
            " ".join(f"{each}:={each}.raw" for each, _shape, _kind in _values(graphs[first][0], "input")),
            "```",
            "",
            "```sh",
            f"qnn-net-run --backend libQnnHtp.so --dlc_path {first}.dlc --input_list inputs.txt",
            f"snpe-net-run --container {first}.dlc --input_list inputs.txt --use_dsp",
            "```",
            "",
            "| component | | tensor | shape | type |",
            "|---|---|---|---|---|",
            *tables,
            "",
            "## Verified",
            "",
            *(f"- {line}" for line in states),
            "",
        ]
    )


def _tensors(component: str, qdq: Artifact) -> list[str]:
    return [
        f"| {component} | {side} | `{name}` | {shape} | {kind} |"
        for side in ("input", "output")
        for name, shape, kind in _values(qdq, side)
    ]


def _values(qdq: Artifact, side: str) -> list[tuple[str, str, str]]:
    """Name, shape and type of a graph's inputs or outputs."""
    found = []
    for value in getattr(load_structure(qdq.folder).graph, side):
        tensor = value.type.tensor_type
        shape = ", ".join(str(each.dim_value) for each in tensor.shape.dim)
        found.append((value.name, shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name))
    return found


def _compiler() -> str:
    """The compiler's release, such as ``QAIRT 2.50.40 (onnxruntime-qnn 2.6.0)``."""
    versions = qnn_provider.versions()
    known, plugin = load_toolchains().of(versions), f"onnxruntime-qnn {versions['onnxruntime-qnn']}"
    return plugin if known is None else f"QAIRT {known.qairt} ({plugin})"
