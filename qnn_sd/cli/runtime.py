"""``qnn-sd runtime``: the libraries that a phone needs beside the binaries."""

from __future__ import annotations

from pathlib import Path

import click

from qnn_sd import artifact, resources, runtime_libraries
from qnn_sd.cli.docs import PHONE
from qnn_sd.cli.documents import RuntimeFetchDocument, RuntimeListDocument
from qnn_sd.cli.documents.runtime import FetchedArtifact, FetchedLibraries
from qnn_sd.cli.help import BUILD, HelpCommand, HelpGroup, option
from qnn_sd.cli.options import cache_option, output_options
from qnn_sd.console import Console
from qnn_sd.errors import SettingError


@click.command(
    "fetch",
    cls=HelpCommand,
    examples=(
        ("Download the newest published libraries", "qnn-sd runtime fetch"),
        ("Take QNN's libraries from a QAIRT SDK", "qnn-sd runtime fetch --qairt-sdk /opt/qairt/2.51.0.260929"),
    ),
    docs_page=PHONE,
)
@option(
    "--qairt", group=BUILD, metavar="VERSION", default_text="the newest published", help="QAIRT version, such as 2.50."
)
@option(
    "--qairt-sdk",
    group=BUILD,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="none",
    help="QAIRT SDK to take QNN's libraries from; ONNX Runtime and the plugin still come from the repository.",
)
@option(
    "--repository",
    group=BUILD,
    metavar="URL",
    default_text="Maven Central",
    help="Maven repository: an https URL, or a name that jgo knows, such as central.",
)
@cache_option
@output_options
def fetch_command(
    qairt: str | None, qairt_sdk: Path | None, repository: str | None, cache: Path | None, console: Console
) -> None:
    """Download the runtime libraries that a phone needs beside the context binaries.

    HTTPS_PROXY is honoured. A download that was interrupted goes on where it stopped.
    """
    pins = runtime_libraries.load_pins()
    sdk = None
    if qairt_sdk is not None:
        if qairt is not None:
            raise SettingError(
                "--qairt and --qairt-sdk don't go together",
                why="An SDK has one version.",
                hint="Leave --qairt out.",
            )
        sdk = runtime_libraries.open_qairt_sdk(qairt_sdk)
        published = runtime_libraries.published_set_for_sdk(sdk, pins)
        console.say(
            f"QNN {sdk.version} from {sdk.folder}; the SDK holds no ONNX Runtime: "
            f"{published.plugin.coordinate} and {published.onnxruntime.coordinate} come from the repository"
        )
    else:
        published = pins.newest if qairt is None else pins.for_qairt(qairt)
    done = runtime_libraries.fetch(published, repository or pins.repository, cache or resources.cache(), console, sdk)
    _show(done, console)


def _show(done: runtime_libraries.FetchResult, console: Console) -> None:
    made, metadata = done.artifact, done.artifact.metadata
    for each in done.sources:
        if each.hash_source == "recorded now":
            own = (
                f"agrees with the repository's own {' and '.join(each.repository_checksums)}, and"
                if each.repository_checksums
                else "is unchecked;"
            )
            console.warn(f"{each.pin.coordinate} is not yet pinned: its hash {own} is recorded and held from now on")
    archs = runtime_libraries.htp_archs_in(made)
    console.table(
        ["artifact", "version", "MB", "SHA-256", "held to", ""],
        [
            [
                *each.pin.coordinate.split(":")[1:],
                each.path.stat().st_size / 1e6,
                each.sha256[:16],
                {"pinned": "its pin", "recorded earlier": "its first fetch", "recorded now": "nothing yet"}[
                    each.hash_source
                ],
                "fetched" if each.downloaded else "was here",
            ]
            for each in done.sources
        ],
    )
    console.result(f"QAIRT {metadata['qairt']} for HTP {', '.join(f'v{arch}' for arch in archs)}: {made.folder}")
    console.document(
        RuntimeFetchDocument(
            qairt=metadata["qairt"],
            folder=str(made.folder),
            cached=made.cached,
            plugin=metadata["plugin"],
            htp_archs=archs,
            artifacts=[
                FetchedArtifact(
                    coordinate=each.pin.coordinate,
                    bytes=each.path.stat().st_size,
                    sha256=each.sha256,
                    hash_source=each.hash_source,
                    repository_checksums=list(each.repository_checksums),
                    downloaded=each.downloaded,
                )
                for each in done.sources
            ],
            libraries=metadata["origins"],
        )
    )


@click.command(
    "list",
    cls=HelpCommand,
    examples=(
        ("List the versions", "qnn-sd runtime list"),
        ("List what another cache holds", "qnn-sd runtime list --cache /data/qnn-sd"),
    ),
    docs_page=PHONE,
)
@cache_option
@output_options
def list_command(cache: Path | None, console: Console) -> None:
    """List the published versions of the runtime libraries, and what is downloaded."""
    pins = runtime_libraries.load_pins()
    here = [
        (entry, artifact.load(entry.folder)) for entry in runtime_libraries.fetched_folders(cache or resources.cache())
    ]
    fetched_versions = {entry.qairt for entry, _ in here}
    console.table(
        ["QAIRT", "onnxruntime-qnn", "plugin", "ONNX Runtime", "QNN runtime", ""],
        [
            [
                entry.qairt,
                entry.compiler,
                *(pin.coordinate.rpartition(":")[2] for pin in entry.pins),
                "fetched" if entry.qairt in fetched_versions else "",
            ]
            for entry in pins.published
        ],
    )
    for entry, made in here:
        archs = ", ".join(f"v{arch}" for arch in runtime_libraries.htp_archs_in(made))
        console.result(f"QAIRT {entry.qairt} for HTP {archs}: {entry.folder}")
    console.document(
        RuntimeListDocument(
            published=list(pins.published),
            fetched=[
                FetchedLibraries(
                    qairt=entry.qairt, folder=str(entry.folder), htp_archs=runtime_libraries.htp_archs_in(made)
                )
                for entry, made in here
            ],
        )
    )


@click.group(
    "runtime",
    cls=HelpGroup,
    sections={"Commands": (fetch_command, list_command)},
    examples=(
        ("Download the newest published libraries", "qnn-sd runtime fetch"),
        ("List the versions", "qnn-sd runtime list"),
    ),
    docs_page=PHONE,
)
def runtime_group() -> None:
    """Download and list a phone's runtime libraries: ONNX Runtime, its QNN plugin, QNN's own for each HTP."""
