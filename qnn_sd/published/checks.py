"""Holds the binaries of a published zip against what they are to be: which network, its contract, SoC and QAIRT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qnn_sd.binaries.binary_info import HTP_BACKEND, BinaryGraph, BinaryInfo, BinaryTensor
from qnn_sd.binaries.found import find_binaries
from qnn_sd.binaries.loading import emulator_qairt, loading_on, refuse_newer_qairt, roads_to, soc_title
from qnn_sd.binaries.network import network_of
from qnn_sd.config import DeviceProfile
from qnn_sd.errors import BinaryError, TargetError
from qnn_sd.in_words import shown
from qnn_sd.published.archive import StatedFile, StatedTensor
from qnn_sd.published.contract import CONTRACTS, TensorContract
from qnn_sd.published.release import PublishedAsset
from qnn_sd.toolchain import loads, version

_HINT = "Choose another --release, or build it: qnn-sd compile --model sd15."


@dataclass(frozen=True)
class CheckedBinary:
    """A binary that keeps the contract.

    Attributes:
        component: ours that it is.
        path: its file.
        info: what it says of itself.
        graph: its only one.
    """

    component: str
    path: Path
    info: BinaryInfo
    graph: BinaryGraph


def refuse_too_new(asset: PublishedAsset) -> None:
    """Refuses, before a download of a gigabyte, what the manifest says is of a newer QAIRT than the emulator here.

    Raises:
        TargetError: it is.
    """
    try:
        compiled = ".".join(map(str, version(asset.qairt)))
    except ValueError:
        return
    emulator = emulator_qairt()
    if emulator is not None and not loads(emulator, compiled):
        raise TargetError(
            f"{asset.file_name} was compiled by QAIRT {compiled}, newer than the emulator's {emulator}",
            why="A runtime loads what its own release or an older one compiled. The manifest says so; nothing was "
            "downloaded.",
            hint=f"Choose an older --release. {roads_to(compiled, emulator)}",
        )


def check_binaries(paths: Mapping[str, Path], profile: DeviceProfile) -> tuple[dict[str, CheckedBinary], list[str]]:
    """The binaries by component, and what is to be warned of.

    Args:
        paths: by file name.
        profile: of the SoC that they are to be for.

    Raises:
        BinaryError: one is something else, of another network than its name says, or with other inputs or outputs;
            one is missing; they don't fit together.
        TargetError: one is for an HTP that the SoC's can't load, for another backend, or of a newer QAIRT than here.
    """
    found: dict[str, CheckedBinary] = {}
    remarks: list[str] = []
    for name, path in sorted(paths.items()):
        each = _checked(name, path)
        if each.component in found:
            raise _misfit(f"{name} and {found[each.component].path.name} are both a {each.component}", "")
        found[each.component] = each
        remarks += _for_soc(name, each.info, profile)
        refuse_newer_qairt(name, each.info)
    missing = [name for name in CONTRACTS if name not in found]
    if missing:
        raise _misfit(f"{' and '.join(missing)} is missing", f"There are {', '.join(sorted(paths))}.")
    _fit_together(found)
    return {name: found[name] for name in CONTRACTS}, remarks


def _checked(name: str, path: Path) -> CheckedBinary:
    [binary, *more] = find_binaries(path).binaries
    info = binary.info
    assert info is not None, "a file that can't be read is refused"
    if more or len(info.graphs) != 1:
        raise _misfit(f"{name} holds several graphs or binaries", "Published ones hold one.")
    [graph] = info.graphs
    component = network_of(graph) or "none of a diffusion model"
    if component not in CONTRACTS:
        raise _misfit(f"{name} is no part of Stable Diffusion 1.5", f"By its inputs and outputs it is {component}.")
    named = next((each for each, contract in CONTRACTS.items() if path.stem in contract.files), None)
    if named not in (None, component):
        raise _misfit(
            f"{name} is not what its name says", f"By its inputs and outputs it is a {component}: files were swapped."
        )
    contract = CONTRACTS[component]
    _keeps(name, "inputs", contract.inputs, graph.inputs)
    _keeps(name, "outputs", contract.outputs, graph.outputs)
    return CheckedBinary(component, path, info, graph)


def _keeps(name: str, what: str, contract: Sequence[TensorContract], tensors: Sequence[BinaryTensor]) -> None:
    expected, own = sorted(each.published for each in contract), sorted(each.name for each in tensors)
    if expected != own:
        raise _misfit(f"{name} has other {what}", f"It has {shown(', '.join(own))} instead of {', '.join(expected)}.")
    by_name = {each.name: each for each in tensors}
    for each in contract:
        tensor = by_name[each.published]
        if each.channels is not None and each.channels not in (tensor.dims[1::2] if len(tensor.dims) == 4 else ()):
            dims = "x".join(map(str, tensor.dims))
            raise _misfit(f"{name} has other {what}", f"{tensor.name} is {dims}, without {each.channels} channels.")
        scale = tensor.encoding.scale if tensor.encoding else None
        if tensor.dtype.startswith(("ufixed", "sfixed")) and scale is None:
            raise _misfit(f"{name} can't be fed", f"{tensor.name} is {tensor.dtype} without one scale.")


def _for_soc(name: str, info: BinaryInfo, profile: DeviceProfile) -> Iterator[str]:
    if info.backend != HTP_BACKEND:
        raise TargetError(
            f"{name} was compiled for QNN's backend {info.backend}, not for the HTP",
            why="Other backends aren't run here.",
            hint=_HINT,
        )
    loading = loading_on(info, profile)
    if loading.loads in ("no", "unknown"):
        raise TargetError(
            f"{name} isn't for {profile.soc}",
            why=f"It was compiled for {soc_title(info.soc_model)}. {loading.why}",
            hint=_HINT,
        )
    if loading.loads == "likely":
        yield f"{name} was compiled for {soc_title(info.soc_model)}, not for {profile.soc}: {loading.why}"


def _fit_together(found: Mapping[str, CheckedBinary]) -> None:
    """Raises where what one network gives isn't what another takes."""
    text = _dims(found["text_encoder"].graph.outputs, "text_embedding")
    takes = _dims(found["unet"].graph.inputs, "text_emb")
    latent, decoded = (_dims(found[name].graph.inputs, "latent") for name in ("unet", "vae_decoder"))
    if text != takes or latent != decoded:
        raise _misfit(
            "The binaries don't fit together",
            f"text_embedding is {text}, text_emb {takes}; latent is {latent} in the UNet, {decoded} in the VAE.",
        )


def _dims(tensors: Sequence[BinaryTensor], name: str) -> list[int]:
    return next(each.dims for each in tensors if each.name == name)


def contradicted(stated: StatedFile, checked: CheckedBinary) -> Iterator[str]:
    """What ``metadata.json`` says otherwise than the binary, in words: the binary's own holds."""
    for told, tensors in ((stated.inputs, checked.graph.inputs), (stated.outputs, checked.graph.outputs)):
        for tensor in tensors:
            if tensor.name in told and (difference := _difference(told[tensor.name], tensor)):
                place = f"{tensor.name} of {checked.path.name}"
                yield f"metadata.json says of {place}: {difference}; the binary's own holds"


def _difference(stated: StatedTensor, tensor: BinaryTensor) -> str | None:
    own, said = tensor.encoding, stated.quantization_parameters
    if stated.shape and list(stated.shape) != tensor.dims:
        return f"shape {list(stated.shape)} instead of {tensor.dims}"
    if own is None or said is None or own.scale is None or own.offset is None:
        return None
    if abs(said.scale - own.scale) > 1e-4 * own.scale or said.zero_point != -own.offset:
        return f"scale {said.scale:g}, zero point {said.zero_point} instead of {own.scale:g}, {-own.offset}"
    return None


def _misfit(what: str, why: str) -> BinaryError:
    return BinaryError(f"The published files aren't as expected: {what}", why=why, hint=_HINT)
