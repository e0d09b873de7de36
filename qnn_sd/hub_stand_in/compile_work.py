"""Compile and link jobs: done by the local compiler."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto
from qai_hub import public_api_pb2 as api

from qnn_sd.binaries.binary_info import read_binary
from qnn_sd.binaries.raw_node import write_raw_model
from qnn_sd.compile import CONTEXT_FILE, DLC_FILE, Children, SharedJob, compile_component, compile_shared, write_dlc
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import CompileError, QuantizeError
from qnn_sd.hub_stand_in.job_options import JobOptions, only_file
from qnn_sd.hub_stand_in.refusals import JobFailed
from qnn_sd.hub_stand_in.sources import Source
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.pipeline.stages.compile_stage import DEFAULT_VTCM_MB
from qnn_sd.quantize import quantize_component

# What a compile job makes, by its target runtime.
TARGETS = {
    "qnn_context_binary": api.MODEL_TYPE_QNN_CONTEXT_BINARY,
    "qnn_dlc": api.MODEL_TYPE_QNN_DLC,
    "precompiled_qnn_onnx": api.MODEL_TYPE_ONNX,
}


@dataclass(frozen=True)
class CompileRequest:
    """What is to be compiled.

    Attributes:
        source: the model's files.
        profile: of the device's SoC.
        options: of the job.
        scratch: existing empty folder for the work.
        children: that the compiler's processes are among.
    """

    source: Source
    profile: DeviceProfile
    options: JobOptions
    scratch: Path
    children: Children


def compile_model(request: CompileRequest) -> tuple[Path, list[str]]:
    """Compiles a model.

    Returns:
        The file that is the target model, in the scratch folder, and lines for the log.

    Raises:
        JobFailed: the model, the options or the compiler's answer are the reason.
    """
    runtime = request.options.target_runtime
    if runtime not in TARGETS:
        raise JobFailed(api.JOB_FAILURE_TYPE_UNSUPPORTED, f"The stand-in doesn't compile for the runtime {runtime}.")
    if request.source.onnx is None:
        return _wrapped(request), ["wrapped the context binary into an EPContext model"]
    _refuse_other_names(request.source.onnx, request.options)
    qdq, lines = staged(request)
    made = _folder(request, "made")
    try:
        if runtime == "qnn_dlc":
            write_dlc(qdq, request.profile.soc_model, request.profile.htp_arch, made)
            return made / DLC_FILE, [*lines, "written as a DLC"]
        profile = request.profile
        level = request.options.level() or profile.optimization_mode
        metadata = compile_component(
            qdq,
            profile.soc_model,
            profile.htp_arch,
            level,
            made,
            report=lines.append,
            vtcm_mb=_vtcm_mb(request),
            children=request.children,
        )
    except CompileError as error:
        raise JobFailed(api.JOB_FAILURE_TYPE_QNN_TOOL_ERROR, error.what, error.why) from error
    lines.append(f"compiled at level {metadata['optimization_mode']}: {metadata['context_binary_bytes']} bytes")
    binary = only_file(made, ".bin")
    return (_zipped(made / CONTEXT_FILE, binary) if runtime == "precompiled_qnn_onnx" else binary), lines


def check_specs(path: Path, specs: api.NamedTensorTypeList) -> None:
    """Holds the inputs that a job was told of against the graph's; the local compiler makes no others.

    Raises:
        JobFailed: they have other names or shapes.
    """
    told = {each.name: list(each.tensor_type.shape) for each in specs.types}
    inputs = onnx.load(str(path), load_external_data=False).graph.input
    own = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in inputs}
    if told and told != own:
        raise JobFailed(api.JOB_FAILURE_TYPE_INVALID_INPUTS, f"The model's inputs are {own}; input_specs has {told}.")


def _refuse_other_names(path: Path, options: JobOptions) -> None:
    """The local compiler keeps the graph's names: only those can be asked for."""
    asked = options.values.get("--output_names")
    own = ",".join(each.name for each in onnx.load(str(path), load_external_data=False).graph.output)
    if asked is not None and asked != own:
        raise JobFailed(
            api.JOB_FAILURE_TYPE_UNSUPPORTED, f"The stand-in keeps the outputs' names, {own}: --output_names {asked}."
        )


def _vtcm_mb(request: CompileRequest) -> int | None:
    """As asked for, else as a local build takes it: told only where the chip has less than the default."""
    asked = request.options.vtcm_mb()
    least = request.profile.vtcm_mb
    return asked or (least if least < DEFAULT_VTCM_MB else None)


def _folder(request: CompileRequest, name: str) -> Path:
    folder = request.scratch / name
    folder.mkdir()
    return folder


def staged(request: CompileRequest) -> tuple[Path, list[str]]:
    """The folder of the QDQ graph, as the local compiler takes it, and lines for the log.

    Raises:
        JobFailed: it has 64-bit inputs that nobody allowed to be 32, or its encodings don't fit.
    """
    source = request.source
    lines: list[str] = []
    assert source.onnx is not None, "it is a graph"
    folder = source.onnx.parent
    if source.onnx.name != MODEL_FILE:
        source.onnx.rename(folder / MODEL_FILE)
    if narrowed := _narrow_inputs(folder / MODEL_FILE, "--truncate_64bit_io" in request.options.flags):
        lines.append(f"64-bit inputs as int32: {', '.join(narrowed)}")
    if source.encodings is not None:
        quantized = _folder(request, "quantized")
        try:
            quantize_component(folder, (), quantized, encodings=source.encodings)
        except QuantizeError as error:
            raise JobFailed(api.JOB_FAILURE_TYPE_QNN_TOOL_ERROR, error.what, error.why) from error
        return quantized, [*lines, f"quantized by {source.encodings.name}"]
    return folder, lines


def _narrow_inputs(path: Path, is_allowed: bool) -> list[str]:
    """Gives 64-bit inputs 32 bits, and returns their names."""
    model = onnx.load(str(path), load_external_data=False)
    tensors = (each.type.tensor_type for each in model.graph.input)
    wide = [each for each in tensors if each.elem_type == TensorProto.INT64]
    if not wide:
        return []
    if not is_allowed:
        raise JobFailed(
            api.JOB_FAILURE_TYPE_INVALID_ARGUMENT,
            "Tensor type INT64 is not supported for inputs and outputs. Must use --truncate_64bit_io.",
        )
    for each in wide:
        each.elem_type = TensorProto.INT32
    onnx.save(model, str(path))
    return [each.name for each in model.graph.input if each.type.tensor_type in wide]


def _wrapped(request: CompileRequest) -> Path:
    """A context binary with an EPContext model that refers to it, zipped."""
    assert request.source.binary is not None, "a source without a graph is a binary"
    made = _folder(request, "made")
    graphs = read_binary(request.source.binary).graphs
    if len(graphs) != 1:
        raise JobFailed(api.JOB_FAILURE_TYPE_UNSUPPORTED, f"The binary holds {len(graphs)} graphs, not one.")
    shutil.copyfile(request.source.binary, made / "model.bin")
    write_raw_model(graphs[0], "model.bin", made / "model.onnx")
    return _zipped(made / "model.onnx", made / "model.bin")


def _zipped(model: Path, binary: Path) -> Path:
    path = model.parent / "model.onnx.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for each in (model, binary):
            archive.write(each, f"model.onnx/{each.name}")
    return path


def link_models(sources: dict[str, Path], profile: DeviceProfile, scratch: Path, children: Children) -> Path:
    """One context binary of several QDQ graphs: what linking their DLCs is to give.

    The local tools have no linker of DLCs, so it is simulated: the graphs that the DLCs were made of are compiled
    together.

    Args:
        sources: folder of each graph's QDQ model, by name.
        profile: of the device's SoC.
        scratch: existing folder for the work.
        children: that the compiler's processes are among.

    Raises:
        JobFailed: the compiler refuses them.
    """
    made = scratch / "linked"
    made.mkdir()
    numbers = profile.soc_model, profile.htp_arch, profile.optimization_mode
    try:
        if len(sources) == 1:
            compile_component(next(iter(sources.values())), *numbers, made, children=children)
        else:
            compile_shared(SharedJob(sources, *numbers), made, children=children)
    except CompileError as error:
        raise JobFailed(api.JOB_FAILURE_TYPE_QNN_TOOL_ERROR, error.what, error.why) from error
    return only_file(made, ".bin")
