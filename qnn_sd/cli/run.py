"""``qnn-sd run``: an image from a prompt."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from qnn_sd import resources
from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import Kind, OpenBundle
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.checkpoint_scheduler import with_checkpoints_scheduler
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.docs import GENERATE
from qnn_sd.cli.forecast import announce
from qnn_sd.cli.generating import generate_images, image_paths, placed
from qnn_sd.cli.generation_options import GenerationOptions, generation_options
from qnn_sd.cli.help import GENERATION, MODEL, OUTPUT, option
from qnn_sd.cli.hub_run import HubPlace, open_hub
from qnn_sd.cli.image_facts import image_document
from qnn_sd.cli.like_command import LikeCommand, like_of
from qnn_sd.cli.options import output_options, refuse_bad_output
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.prompt_length import for_prompts, say_filled_up
from qnn_sd.cli.prompt_remarks import (
    remark_on_embeddings,
    remark_on_marks,
    remark_on_negative,
    remark_on_prompts,
    remark_on_typed_prompt,
)
from qnn_sd.cli.run_bundle import BundleRun, run_bundle
from qnn_sd.cli.run_report import remark_on_verification, report
from qnn_sd.cli.target_options import TargetOptions, target_options
from qnn_sd.console import Console
from qnn_sd.generate import Request
from qnn_sd.image_metadata import ImageDocument, TargetKind
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS, BuildPipeline
from qnn_sd.runner import Runner
from qnn_sd.targets.adb.client import Phone, other_soc
from qnn_sd.targets.adb.session.deployment import Deployment
from qnn_sd.targets.adb.session.warm_worker import WARM_SECONDS


@click.command(
    "run",
    cls=LikeCommand,
    examples=(
        (
            "Generate an image on the HTP emulator, with the binaries for a Snapdragon 8 Gen 3",
            'qnn-sd run "a big green square on white" --soc sm8650 --seed 7 -o out.png',
        ),
        (
            "Generate four images on a phone, and leave its worker warm for the next run",
            'qnn-sd run "a yellow star on black" --device R5CT1234ABC --count 4 --keep-alive',
        ),
    ),
    docs_page=GENERATE,
)
@click.argument("prompt")
@option(
    "-o",
    "--output",
    group=OUTPUT,
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    default=Path("out.png"),
    help="Image to write; with --count each gets its seed in its name.",
)
@option(
    "--like",
    group=GENERATION,
    type=click.Path(path_type=Path),
    metavar="IMAGE.png",
    default_text="none",
    help="Make this image again: its prompt and settings hold where nothing is typed.",
)
@option(
    "--bundle",
    group=MODEL,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default_text="the one that the other options build",
    help="Bundle to run as it is: of qnn-sd fetch, or a copy of qnn-sd compile's.",
)
@generation_options
@target_options
@build_options
@output_options
def run_command(
    prompt: str,
    output: Path,
    like: Path | None,  # noqa: ARG001 (LikeCommand has read it)
    bundle: Path | None,
    generation: GenerationOptions,
    where: TargetOptions,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Generate an image of PROMPT and save it as PNG.

    Runs on the HTP emulator, on this machine's CPU, or on a phone. Builds first what isn't in the cache. With --like
    an image is made again, and PROMPT can be left out. With --bundle nothing is built.
    """
    generation.check()
    where.check(build_request)
    refuse_bad_output(output, ".png", "Images are saved as PNG.")
    remark_on_typed_prompt(console, prompt)
    if bundle is not None:
        run_bundle(BundleRun(bundle, prompt, output, generation, where, build_request.cache), console)
        return
    build_request.announce(console)
    cache = build_request.cache or resources.cache()
    hub = None if where.hub_device is None else open_hub(where.hub_device, where.soc, cache, console)
    phone = where.phone(console)
    profile = where.profile(phone, console) if hub is None else hub.target.profile
    again = like_of(click.get_current_context())
    if again is not None:
        again.announce(console, where, profile, build_request)
    if not generation.plain_prompt:
        remark_on_marks(console, click.get_current_context(), build_request.sources)
    pipeline = build_request.pipeline(console)
    if again is not None:
        again.check_checkpoint(console, pipeline)
    cpu_kind: Kind = "qdq" if where.precision == "w8a16" else "float"
    # The checkpoint may have settled what the config left open: a latent consistency model has its own defaults.
    request = with_checkpoints_scheduler(
        console, generation.request(prompt, pipeline.model), pipeline.checkpoint.scheduler, pipeline.passes
    )
    pipeline = _for_prompts(pipeline, request, build_request, console)

    def build(planned: BuildPipeline) -> Artifact:
        if profile is None:
            return planned.build_cpu_bundle(cpu_kind)
        return planned.build_bundle(profile, TEXT_TO_IMAGE_COMPONENTS)

    # What a phone or a cloud device takes nobody knows beforehand.
    where_it_runs = [] if phone or hub else [cpu_kind if profile is None else "emulator"]
    images = [pipeline.image_work(each, request, request.count) for each in where_it_runs]
    if build_request.dry_run:
        show_plan(console, pipeline, build, images)
        return
    if hub is not None:
        hub.announce(request, pipeline, where.allow_upload, console)
    announce(
        pipeline,
        build,
        console,
        build_request,
        afterwards=[("generate", each) for each in images],
        shortcut="" if profile is None else "--target cpu",
    )
    paths = image_paths(output, request)
    console.kept.of_images = len(paths)
    built = pipeline.cpu_bundle(cpu_kind) if profile is None else pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    with _place(built, hub, phone, where, cache, console) as (runner, deployment):
        remark_on_verification(console, request, built.info)
        if again is not None:
            again.check_build(console, built.key)

        phone_soc = other_soc(phone, profile.soc) if phone and profile else None
        here: TargetKind = "cpu" if profile is None else "emulator" if phone is None else "phone"
        target = here if hub is None else hub.kind

        def made_by() -> ImageDocument:
            return image_document(pipeline, build_request, request, built, target, runner.fallbacks, phone_soc)

        result = generate_images(request, paths, built, runner, made_by, console)
        remark_on_prompts(console, request, result, built)
        report(console, runner, result, paths, made_by(), phone.serial if phone else None, deployment)
        if again is not None:
            again.compare(console, paths[0])
    if where.keep_alive:
        console.say(f"the worker stays warm for {WARM_SECONDS // 60} minutes (qnn-sd unstage ends it)")


def _for_prompts(
    pipeline: BuildPipeline, request: Request, build_request: BuildRequest, console: Console
) -> BuildPipeline:
    """The build that takes the prompts whole, with what there is to remark on the embeddings that they call."""
    tokens = pipeline.prompt_tokens(request)
    remark_on_embeddings(console, request, pipeline.checkpoint.embedding_names, tokens)
    typed = is_typed(click.get_current_context(), "prompt_chunks")
    passes = pipeline.passes(request.guidance)
    remark_on_negative(console, request, passes)
    used = tokens[:passes]
    planned = for_prompts(pipeline, used, build_request.prompt_chunks if typed else None, console)
    say_filled_up(console, used, planned.prompt_chunks)
    return planned


def _place(
    bundle: OpenBundle,
    hub: HubPlace | None,
    phone: Phone | None,
    where: TargetOptions,
    cache: Path,
    console: Console,
) -> AbstractContextManager[tuple[Runner, Deployment | None]]:
    """Where the components run, and on a phone what it measures itself."""
    if hub is not None:
        return nullcontext((hub.runner(bundle), None))
    return placed(bundle, phone, where, cache, console)
