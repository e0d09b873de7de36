"""What a model's UNet predicts, and how its noise ends: told by markers in files, by a config, or by the user.

A single file has no scheduler config. Models that predict v (Salimans and Ho 2022), and those whose noise ends without
any signal (zero terminal SNR, Lin et al. 2024), say so by an empty tensor, by the header's metadata, or by the noise
schedule that training left in the file. What says nothing predicts epsilon, as Stable Diffusion 1.x does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qnn_sd.errors import CheckpointError, UnsupportedModelError
from qnn_sd.export.checkpoint.parts import Layout
from qnn_sd.export.checkpoint.safetensors_file import SafetensorsFile
from qnn_sd.export.checkpoint.scheduler_config import as_the_pipeline_reads

Kind = Literal["epsilon", "v"]
# As scheduler configs call them.
_IN_CONFIGS: Mapping[str, str] = {"epsilon": "epsilon", "v": "v_prediction"}
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("epsilon", "eps", "noise"), "epsilon"),
    **dict.fromkeys(("v", "vpred", "vprediction", "velocity"), "v"),
}
# The last part of a tensor's or a metadata key's name, without what separates words.
_SAYS_V = ("vpred", "vprediction", "ssvparameterization", "vparameterization")
_SAYS_ZERO = ("ztsnr", "zsnr", "zeroterminalsnr", "sszeroterminalsnr", "rescalebetaszerosnr", "zerosnr")
_SAYS_KIND = ("predictiontype", "modelspecpredictiontype", "predictkey")
_NO = ("", "0", "false", "no", "none", "null")
_CONFIG = "scheduler_config.json"
_EDM = re.compile(r"(^|\.)edm_")
# Of a tensor alphas_cumprod: Stable Diffusion's ends at 0.0047, one of zero terminal SNR at 0.
_NO_SIGNAL = 1e-5
_LONGEST_YAML = 100_000


@dataclass(frozen=True)
class Statement:
    """What one place says.

    Attributes:
        place: in words.
        kind: what the UNet predicts; None if it isn't said.
        zero_snr: whether the noise ends without signal; None if it isn't said.
    """

    place: str
    kind: Kind | None = None
    zero_snr: bool | None = None


def markers_in(file: SafetensorsFile) -> list[str]:
    """The names of tensors that say something of the model, and hold nothing."""
    return [name for name in file.shapes if _word(name) in (*_SAYS_V, *_SAYS_ZERO) or _EDM.search(name)]


def kind_named(word: str) -> Kind | None:
    """The prediction that a word means, as configs and tools spell it; None of another word."""
    return _KINDS.get(re.sub(r"[^a-z]", "", word.lower()))


def kind_in(config: Mapping[str, Any]) -> Kind:
    """What a scheduler config says that the UNet predicts; epsilon where it says nothing."""
    return "v" if config.get("prediction_type") == _IN_CONFIGS["v"] else "epsilon"


def _word(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rsplit(".", 1)[-1].lower())


def _of_tensors(file: SafetensorsFile) -> Iterator[Statement]:
    for name in markers_in(file):
        place = f"the tensor {name} in {file.path.name}"
        if _EDM.search(name):
            raise UnsupportedModelError(
                f"{file.path} is a model in EDM's formulation, which qnn-sd doesn't build",
                why=f"It has {name}.",
                hint="Use a model that predicts epsilon or v.",
            )
        if _word(name) in _SAYS_V:
            yield Statement(place, kind="v")
        else:
            yield Statement(place, zero_snr=True)
    name = "alphas_cumprod"
    if len(file.shapes.get(name, ())) == 1 and file.shapes[name][0] > 1:
        try:
            last = float(file.read(name)[-1])
        except CheckpointError:
            return  # what training left there may be broken: nothing else reads it
        if last < _NO_SIGNAL:
            yield Statement(f"the noise schedule in {file.path.name} ({name} ends at {last:.2g})", zero_snr=True)


def _of_metadata(file: SafetensorsFile, given: Kind | None) -> Iterator[Statement]:
    for key, value in file.metadata.items():
        word, said = _word(key), value.strip().strip('"')
        place = f"{key} = {said} in the metadata of {file.path.name}"
        if word in _SAYS_KIND and said.lower() not in _NO:
            kind = kind_named(said)
            if kind is None and given is None:
                raise UnsupportedModelError(
                    f"{file.path} predicts {said!r}, which qnn-sd doesn't build",
                    why=f"Its metadata says {key}. Epsilon and v are built.",
                    hint="If it predicts one of these, say it: --prediction epsilon or --prediction v.",
                )
            yield Statement(place, kind=kind)  # one that isn't known says nothing beside the user's word
        elif word in _SAYS_V:
            yield Statement(place, kind="epsilon" if said.lower() in _NO else "v")
        elif word in _SAYS_ZERO:
            yield Statement(place, zero_snr=said.lower() not in _NO)
        elif word == "architecture" and "768-v" in said:
            yield Statement(place, kind="v")


def _of_configs(layout: Layout) -> Iterator[Statement]:
    """What stands beside the tensors: a folder's configs, or A1111's YAML for a single file."""
    if not layout.origin.is_dir():
        yield from _of_yaml(layout.origin.with_suffix(".yaml"))
        return
    for place, config in ((_CONFIG, layout.scheduler), ("the UNet's config.json", layout.parts["unet"].config)):
        kind = next((kind for kind, name in _IN_CONFIGS.items() if config.get("prediction_type") == name), None)
        # Another kind is the scheduler's to refuse.
        if kind is not None:
            yield Statement(place, kind=_KINDS[kind])
    if layout.scheduler.get("rescale_betas_zero_snr") is not None:
        yield Statement(_CONFIG, zero_snr=bool(layout.scheduler["rescale_betas_zero_snr"]))


def _of_yaml(path: Path) -> Iterator[Statement]:
    """A config of the original code, which A1111's users lay beside a file of the same name."""
    try:
        text = path.read_text("utf-8", "replace") if path.stat().st_size < _LONGEST_YAML else ""
    except OSError:
        return
    if found := re.search(r"^\s*parameterization:\s*[\"']?(v|eps)\b", text, re.MULTILINE):
        yield Statement(f"parameterization in {path.name}", kind=_KINDS[found[1]])


def statements_of(files: Iterable[SafetensorsFile], given: Kind | None = None) -> list[Statement]:
    """What files say of their model.

    Args:
        files: with its tensors.
        given: what the user says.

    Raises:
        UnsupportedModelError: something that isn't built.
    """
    return [each for file in files for each in (*_of_tensors(file), *_of_metadata(file, given))]


def settled_scheduler(
    layout: Layout, given: Kind | None, say: Callable[[str], None] = lambda _line: None
) -> Mapping[str, Any]:
    """A checkpoint's scheduler config, with what its files and the user say of its prediction.

    Args:
        layout: the checkpoint.
        given: what the user says; it counts more than all else.
        say: is told what was found.

    Raises:
        CheckpointError: the files contradict each other.
        UnsupportedModelError: they say something that isn't built.
    """
    files = [file for file in layout.sources if file.path in layout.parts["unet"].files.values()]
    statements = [*statements_of(files, given), *_of_configs(layout)]
    kind = _kind(statements, given, layout.origin)
    told = [each for each in statements if each.kind is not None]
    if given is not None and told and told[0].kind != given:
        say(f"--prediction {given} counts, though {told[0].place} says {told[0].kind}")
    config = as_the_pipeline_reads(layout.scheduler, say) if layout.origin.is_dir() else layout.scheduler
    changed: dict[str, Any] = {}
    found: list[str] = []
    if config.get("prediction_type", "epsilon") != _IN_CONFIGS[kind]:
        changed["prediction_type"] = _IN_CONFIGS[kind]
        found += [f"predicts {kind}, by {each.place}" for each in told[:1] if given is None]
    zero = _zero_snr(statements, kind, given, layout.origin)
    if zero is not None and not config.get("rescale_betas_zero_snr"):
        # The paper's two halves: a schedule that ends in noise, and steps that begin there.
        changed |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        found.append(f"is of zero terminal SNR, by {zero.place}")
    for line in found:
        say(f"{layout.origin.name} {line}")
    return {**config, **changed} if config else config


def _kind(statements: Iterable[Statement], given: Kind | None, path: Path) -> Kind:
    by_kind = {each.kind: each for each in statements if each.kind is not None}
    if given is None and len(by_kind) > 1:
        raise CheckpointError(
            f"{path} says of itself that it predicts epsilon, and that it predicts v",
            why=f"Epsilon: {by_kind['epsilon'].place}. V: {by_kind['v'].place}.",
            hint="Say which it is, as its author does: --prediction epsilon or --prediction v.",
        )
    return given or ("v" if "v" in by_kind else "epsilon")


def _zero_snr(statements: Iterable[Statement], kind: Kind, given: Kind | None, path: Path) -> Statement | None:
    """The place that says zero terminal SNR; None if none does.

    Raises:
        CheckpointError: another place denies it, or nobody says what the UNet predicts.
    """
    said = {each.zero_snr: each for each in statements if each.zero_snr is not None}
    zero = said.get(True)
    if zero is None or zero.place == _CONFIG:
        return zero
    if False in said:
        raise CheckpointError(
            f"{path} says of itself that it is of zero terminal SNR, and that it isn't",
            why=f"It is: {zero.place}. It isn't: {said[False].place}.",
            hint="Get the model as its author published it.",
        )
    if kind == "epsilon" and given is None:
        raise CheckpointError(
            f"{path} is of zero terminal SNR, and would predict epsilon",
            why=f"The former by {zero.place}. Such models predict v: of noise alone, epsilon tells nothing.",
            hint="Say what it predicts, as its author does: --prediction v, or --prediction epsilon.",
        )
    return zero
