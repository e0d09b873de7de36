"""``qnn-sd verify FILE|FOLDER``: anybody's context binary on the emulator, with what there is to compare it with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.binaries.against import reference_of
from qnn_sd.binaries.binary_info import HTP_BACKEND
from qnn_sd.binaries.found import Found, FoundBinary, find_binaries, qdq_beside
from qnn_sd.binaries.loading import loading_on, refuse_newer_qairt, soc_title
from qnn_sd.binaries.network import network_of
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.documents import ErrorDetail, VerifyBinaryDocument
from qnn_sd.cli.documents.verify_binary import VerifiedGraph
from qnn_sd.cli.help import CHECKS, option
from qnn_sd.cli.inspect import fault
from qnn_sd.cli.kept_inputs import KeptInputs, kept_inputs
from qnn_sd.cli.options import Command, refuse_typed
from qnn_sd.cli.verify_binary_report import show_verified, what_it_shows
from qnn_sd.cli.verify_binary_runs import require_verified, verify_with_kept, verify_with_random
from qnn_sd.config import DeviceProfile, find_profile
from qnn_sd.console import Console
from qnn_sd.errors import BinaryError, SettingError, TargetError, UsageError, VerificationError
from qnn_sd.in_words import shown

MEANINGFUL = frozenset({"source", "against", "soc", "cache", "as_json", "quiet", "debug"})


@dataclass(frozen=True)
class Asked:
    """What was typed.

    Attributes:
        source: the file or folder.
        against: a graph to compare with, or None.
        soc: profile of a SoC that it must be for; None for whichever it says.
        cache: None for the user's.
    """

    source: Path
    against: Path | None
    soc: DeviceProfile | None
    cache: Path | None


def verify_foreign(
    source: Path | None, against: Path | None, profile: DeviceProfile, cache: Path | None, console: Console
) -> None:
    """Verifies what was named, as ``verify_source``.

    Args:
        source: the file or folder.
        against: a graph to compare with.
        profile: of ``--soc``, which means something where it was typed.
        cache: None for the user's.
        console: where it is shown.

    Raises:
        SettingError: --against without a file, or an option that says what is built.
        UsageError: a SoC in the place of the file.
    """
    if source is None:
        raise SettingError(
            "--against has no meaning without a file or folder",
            why="What is built is compared with its own graphs.",
            hint="Type qnn-sd verify FILE --against FOLDER.",
        )
    if not source.exists() and find_profile(str(source)) is not None:
        raise UsageError(f"{source} is no file", hint=f"Type qnn-sd verify --soc {source}")
    refuse_typed(
        MEANINGFUL,
        "with a file or folder",
        why="What is there is verified, and nothing is built.",
        hint="Leave it out, or leave the file out to build.",
    )
    soc = profile if is_typed(click.get_current_context(), "soc") else None
    verify_source(Asked(source, against, soc, cache), console)


def verify_source(asked: Asked, console: Console) -> None:
    """Runs every graph of what was named, compares it with what there is, and holds it to the gates.

    Raises:
        BinaryError: it is no context binary, or something is wrong with it.
        TargetError: the emulator can't load or run it; it was compiled for another HTP than the SoC's.
        VerificationError: NaN or infinity, other bits for the same input, or too far from its reference.
    """
    found = find_binaries(asked.source)
    wrong = fault(found)
    if wrong is not None:
        raise wrong
    for binary in found.binaries:
        _refuse_unloadable(found, binary, asked.soc, console)
    kept = {} if asked.against else kept_inputs(found, asked.cache or resources.cache())
    graphs: list[VerifiedGraph] = []
    error: VerificationError | None = None
    for binary in found.binaries:
        try:
            for each in _verified(found, binary, kept, asked, console):
                graphs.append(each)
                require_verified(binary, each)
        except VerificationError as raised:
            error = raised
            break
    if not graphs and error is None:
        raise BinaryError(f"{asked.source} holds no graph to run", hint="qnn-sd inspect says what is in it.")
    shows, does_not_show = what_it_shows(graphs)
    published = found.bundle.published if found.bundle else None
    if published is not None:
        console.result(shown(published.text, 200))
    show_verified(console, graphs, shows, does_not_show)
    console.document(
        VerifyBinaryDocument(
            source=str(asked.source),
            kind=found.kind,
            published=published,
            graphs=graphs,
            shows=shows,
            does_not_show=does_not_show,
            error=None if error is None else ErrorDetail.of(error),
        )
    )
    if error is not None:
        raise error


def _refuse_unloadable(found: Found, binary: FoundBinary, soc: DeviceProfile | None, console: Console) -> None:
    info = binary.info
    assert info is not None, "one that can't be read is a fault"
    if info.backend != HTP_BACKEND:
        raise TargetError(
            f"{binary.label} was compiled for QNN's backend {info.backend}, not for the HTP",
            why="The emulator here is of the HTP.",
            hint="Get the binary for the HTP (AI Hub: --target_runtime qnn_context_binary).",
        )
    refuse_newer_qairt(binary.label, info)
    if binary.stored and binary.stored.label:
        raise TargetError(
            f"{found.place} holds binaries for several SoCs in one file, which the emulator doesn't load",
            why=f"One of them is for {soc_title(info.soc_model)}. They share their weights.",
            hint="Verify binaries that were compiled for one SoC each (qnn-sd compile --soc); inspect reads these.",
        )
    if soc is None:
        return
    loading = loading_on(info, soc)
    if loading.loads in ("no", "unknown"):
        raise TargetError(
            f"{binary.label} isn't for {soc.soc}",
            why=f"It was compiled for {soc_title(info.soc_model)}. {loading.why}",
            hint=f"Compile it for {soc.soc}, or leave --soc out to verify it as what it is.",
        )
    if loading.loads == "likely":
        console.warn(f"{binary.label} was compiled for {soc_title(info.soc_model)}, not for {soc.soc}: {loading.why}")


def _verified(
    found: Found, binary: FoundBinary, kept: dict[str, KeptInputs], asked: Asked, console: Console
) -> Iterator[VerifiedGraph]:
    graphs = binary.info.graphs if binary.info else []
    own = binary.component or (next(iter(kept), "") if len(found.binaries) == 1 else "")
    if own in kept and len(graphs) == 1:
        with console.working(f"verifying {binary.label} on the emulator with the inputs that the build kept"):
            yield verify_with_kept(binary, graphs[0], own, kept[own])
        return
    for graph in graphs:
        name = network_of(graph)
        names = [each for each in (binary.component, name) if each]
        reference = reference_of(asked.against, names) if asked.against else None
        beside = qdq_beside(found).get(binary.component or "")
        if reference is None and beside is not None:
            reference = reference_of(beside, [])
        with console.working(f"running {binary.label} on the emulator"):
            yield verify_with_random(binary, graph, reference)


def binary_options(command: Command) -> Command:
    """The file or folder, and ``--against``."""
    wrapped = option(
        "--against",
        group=CHECKS,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        default_text="what the build kept; a bundle's own QDQ graphs",
        help="QDQ or float ONNX graph to compare FILE or FOLDER with: model.onnx, or in folders of components.",
    )(command)
    return click.argument("source", metavar="[FILE|FOLDER]", required=False, type=click.Path(path_type=Path))(wrapped)
