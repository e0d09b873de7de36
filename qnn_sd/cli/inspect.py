"""``qnn-sd inspect``: what is in a context binary, ours or anybody's, and where it would load."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.binaries.found import Found, FoundBinary, find_binaries
from qnn_sd.binaries.loading import emulator_qairt, loading_on, qairt_of
from qnn_sd.binaries.network import network_of
from qnn_sd.cli.compiled_elsewhere import compiled_elsewhere
from qnn_sd.cli.docs import INSPECT
from qnn_sd.cli.documents import ErrorDetail, InspectDocument
from qnn_sd.cli.documents.inspect import InspectedBinary, RuntimeVersion
from qnn_sd.cli.help import HelpCommand
from qnn_sd.cli.inspect_report import show
from qnn_sd.cli.options import cache_option, output_options
from qnn_sd.config import known_soc, profiles
from qnn_sd.console import Console
from qnn_sd.errors import BinaryError
from qnn_sd.runtime_libraries import fetched_folders, load_pins
from qnn_sd.toolchain import loads, version


@click.command(
    "inspect",
    cls=HelpCommand,
    examples=(
        ("Say what is in a context binary that was downloaded", "qnn-sd inspect unet.bin"),
        ("Say what is in a bundle", "qnn-sd inspect bundle/"),
    ),
    docs_page=INSPECT,
)
@click.argument("source", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@cache_option
@output_options
def inspect_command(source: Path, cache: Path | None, console: Console) -> None:
    """Say what is in a context binary, ours or anybody's, and where it would load.

    Reads a raw .bin, an EPContext .onnx, a bundle, or a folder with such files. Nothing is run.
    """
    with console.working(f"reading {source.name}"):
        found = find_binaries(source)
    error = fault(found)
    document = _document(found, cache or resources.cache(), error)
    show(console, found, document)
    console.document(document)
    if error is not None:
        raise error


def fault(found: Found) -> BinaryError | None:
    """What is wrong with what was found, in one error; None if nothing is."""
    problems = found.all_problems
    if not problems:
        return None
    more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
    return BinaryError(
        f"Something is wrong with {found.place}",
        why=f"{problems[0].rstrip('.')}.{more}",
        hint="Get or build the files again.",
    )


def _document(found: Found, cache: Path, error: BinaryError | None) -> InspectDocument:
    binaries = [_inspected(found, each) for each in found.binaries]
    return InspectDocument(
        source=str(found.place),
        kind=found.kind,
        bytes=_bytes_of(found),
        model=found.bundle.model if found.bundle else None,
        published=found.bundle.published if found.bundle else None,
        compiled=compiled_elsewhere(found.place),
        binaries=binaries,
        runtimes=_runtimes([each.qairt for each in binaries], cache, found),
        other_files=list(found.other_files),
        problems=found.all_problems,
        error=None if error is None else ErrorDetail.of(error),
    )


def _bytes_of(found: Found) -> int:
    """Of all files, each once: several SoCs' binaries in one share their weights."""
    files = {each.path for each in found.binaries if each.stored is not None}
    return sum(path.stat().st_size for path in files) + sum(len(each.embedded or b"") for each in found.binaries)


def _inspected(found: Found, binary: FoundBinary) -> InspectedBinary:
    info = binary.info
    known = known_soc(info.soc_model) if info and info.soc_model else None
    measured = (found.bundle.verification or {}) if found.bundle else {}
    return InspectedBinary(
        file=str(binary.path),
        name=_name(found, binary),
        member=binary.stored.label or None if binary.stored else None,
        embedded=binary.stored is None,
        bytes=binary.size,
        component=binary.component,
        networks=[network_of(graph) for graph in info.graphs] if info else [],
        qairt=qairt_of(info) if info else None,
        soc=known.name if known else None,
        info=info,
        loads=[loading_on(info, profile) for profile in profiles().values()] if info else [],
        verification=measured.get(binary.component or ""),
        problems=list(binary.problems),
    )


def _name(found: Found, binary: FoundBinary) -> str:
    """What tells it from the others."""
    name = binary.component or binary.path.name
    if not binary.component and found.place.is_dir() and binary.path.is_relative_to(found.place):
        name = binary.path.relative_to(found.place).as_posix()
    soc_model = binary.info.soc_model if binary.info and binary.stored and binary.stored.label else None
    known = known_soc(soc_model) if soc_model else None
    if known is not None:
        return f"{name}, {known.name}"
    return f"{name}, {binary.stored.label}" if binary.stored and binary.stored.label else name


def _runtimes(binaries: list[str | None], cache: Path, found: Found) -> list[RuntimeVersion]:
    compilers = [each for each in binaries if each is not None]
    newest = max(compilers, key=version, default=None)

    def runtime(name: str, qairt: str | None) -> RuntimeVersion:
        able = None if qairt is None or newest is None else loads(qairt, newest)
        return RuntimeVersion.model_validate({"runtime": name, "qairt": qairt, "loads": able})

    fetched = dict.fromkeys(each.qairt for each in fetched_folders(cache))
    emulator = runtime("emulator", emulator_qairt())
    return [
        emulator.model_copy(update={"loads": False}) if found.shares_weights else emulator,
        *(runtime("fetched phone libraries", each) for each in fetched),
        runtime("published phone libraries", load_pins().newest.qairt),
    ]
