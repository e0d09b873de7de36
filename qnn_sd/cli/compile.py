"""``qnn-sd compile``: from checkpoint to context binaries, verified on the emulator."""

from __future__ import annotations

from collections.abc import Sequence

import click

from qnn_sd.artifact import Artifact
from qnn_sd.cli.build_options import BuildRequest, sizes_build_options
from qnn_sd.cli.compile_dlc import compile_dlc
from qnn_sd.cli.compile_hub import HubChoices, compile_at_hub, hub_options
from qnn_sd.cli.compile_report import Compiled, compile_document, show_compiled
from qnn_sd.cli.compile_sizes import compile_sizes
from qnn_sd.cli.docs import COMPILE
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.help import TARGET, HelpCommand, option
from qnn_sd.cli.options import open_profile, output_options, socs_option
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.stage_output import WHOLE, Copies, copies_options
from qnn_sd.config import DeviceProfile, joint_name, takes_int16_operands
from qnn_sd.console import Console
from qnn_sd.errors import CompileError, QnnSdError, SettingError, VerificationError
from qnn_sd.pipeline import BuildPipeline


@click.command(
    "compile",
    cls=HelpCommand,
    examples=(
        ("Compile the demo model for a Snapdragon 8 Gen 3", "qnn-sd compile --soc sm8650"),
        (
            "See what compiling your own checkpoint for two SoCs would build",
            "qnn-sd compile --soc sm8550 --soc sm8750 --checkpoint dream.safetensors --dry-run",
        ),
    ),
    docs_page=COMPILE,
)
@socs_option("to compile for")
@option(
    "--multi-soc",
    group=TARGET,
    is_flag=True,
    help="One bundle whose files serve every SoC that --soc names. The emulator can't run such a file.",
)
@option(
    "--format",
    "file_format",
    group=TARGET,
    type=click.Choice(["context-binary", "dlc"]),
    default="context-binary",
    help="What to make of each component: context binaries in a bundle, or DLCs for qnn-net-run and SNPE; with --via "
    "hub dlc makes both.",
)
@hub_options
@copies_options("the bundle, with each component's context binary; of several SoCs, a folder for each")
@sizes_build_options
@output_options
def compile_command(
    socs: tuple[str, ...],
    multi_soc: bool,
    file_format: str,
    hub: HubChoices | None,
    copies: Copies,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Compile a model to context binaries for one SoC or several, and verify each of them.

    Exports and quantizes first what isn't in the cache, once for all SoCs. The bundle that it makes is what qnn-sd run
    puts on a phone.
    """
    if hub is not None:
        compile_at_hub(socs, multi_soc, file_format == "dlc", hub, copies, build_request, console)
        return
    if file_format == "dlc":
        compile_dlc(socs, multi_soc, copies, build_request, console)
        return
    if build_request.further_sizes:
        compile_sizes(socs, multi_soc, copies, build_request, console)
        return
    if multi_soc and len(socs) == 1:
        raise SettingError(
            "--multi-soc has no meaning for one SoC", hint="Name several, such as --soc sm8550 --soc sm8650."
        )
    groups = _groups([open_profile(soc, console) for soc in socs], multi_soc)
    copies.check(list(groups), build_request.cache)
    pipeline = build_request.pipeline(console)
    copies.refuse_another(
        "bundle", {folder: f"{pipeline.model.name}.{joint_name(profiles)}" for folder, profiles in groups.items()}
    )

    def build(planned: BuildPipeline) -> list[Artifact]:
        return [_build(planned, profiles) for profiles in groups.values()]

    if build_request.dry_run:
        show_plan(console, pipeline, build)
        return
    announce(pipeline, build, console, build_request, shortcut="qnn-sd run PROMPT --target cpu")
    compiled: list[Compiled] = []
    refused: dict[str, QnnSdError] = {}
    for folder, profiles in groups.items():
        try:
            made = _build(pipeline, profiles)
        except (CompileError, VerificationError) as error:
            if len(groups) == 1:
                raise
            # What one SoC's compiler refuses, another's may take.
            refused[joint_name(profiles)] = error
            console.warn(f"{joint_name(profiles)}: {error.what}")
            continue
        compiled.append(Compiled(profiles, made, copies.put({folder: made}, console)[folder]))
    show_compiled(console, pipeline, compiled)
    console.document(compile_document(pipeline, build_request, compiled, refused, several=len(groups) > 1))
    if refused:
        raise next(iter(refused.values()))


def _refuse_mixed(profiles: Sequence[DeviceProfile]) -> None:
    """Raises for SoCs that get different graphs: a file for several has one, and that of others was verified."""
    narrow = [each.soc for each in profiles if not takes_int16_operands(each.htp_arch)]
    if narrow and len(narrow) < len(profiles):
        raise SettingError(
            f"One file can't serve {' and '.join(each.soc for each in profiles)}",
            why=f"Keys and values of attention have 8 bits for {', '.join(narrow)}, and 16 for the others.",
            hint="Leave --multi-soc out, or name SoCs of one kind (docs/compile.md).",
        )


def _groups(profiles: Sequence[DeviceProfile], multi_soc: bool) -> dict[str, tuple[DeviceProfile, ...]]:
    """The SoCs of each bundle, by the name of its folder in the one that -o names."""
    if multi_soc:
        _refuse_mixed(profiles)
    if multi_soc or len(profiles) == 1:
        return {WHOLE: tuple(profiles)}
    return {profile.soc: (profile,) for profile in profiles}


def _build(pipeline: BuildPipeline, profiles: tuple[DeviceProfile, ...]) -> Artifact:
    return pipeline.build_bundle(profiles[0]) if len(profiles) == 1 else pipeline.build_multi_soc_bundle(profiles)
