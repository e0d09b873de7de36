"""``qnn-sd run --bundle FOLDER``: an image from a bundle that is there; nothing is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from qnn_sd import artifact, resources
from qnn_sd.bundle_manifest import Bundle, OpenBundle
from qnn_sd.cli.checkpoint_scheduler import with_checkpoints_scheduler
from qnn_sd.cli.command_line import is_typed
from qnn_sd.cli.compiled_elsewhere import compiled_elsewhere
from qnn_sd.cli.generating import generate_images, image_paths, placed
from qnn_sd.cli.generation_options import GenerationOptions
from qnn_sd.cli.image_facts import bundle_image_document
from qnn_sd.cli.like_command import like_of
from qnn_sd.cli.options import refuse_typed
from qnn_sd.cli.prompt_length import refuse_longer
from qnn_sd.cli.prompt_remarks import (
    remark_on_embeddings,
    remark_on_marks,
    remark_on_negative,
    remark_on_prompts,
)
from qnn_sd.cli.run_report import remark_on_verification, report
from qnn_sd.cli.target_options import TargetOptions, chosen_profile
from qnn_sd.config import find_profile, load_model
from qnn_sd.console import Console
from qnn_sd.errors import ArtifactError, SettingError, TargetError
from qnn_sd.generate import Request, tokenizer_of, tokens_of
from qnn_sd.image_metadata import ImageDocument, TargetKind
from qnn_sd.in_words import shown
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.targets.adb.client import other_soc
from qnn_sd.targets.adb.session.warm_worker import WARM_SECONDS

MEANINGFUL = frozenset(
    {
        *("prompt", "output", "like", "bundle", "negative", "steps", "seed", "guidance", "scheduler", "count"),
        *("guidance_interval", "plain_prompt"),
        *("target", "device", "fallback", "keep_alive", "cache", "as_json", "quiet", "debug"),
    }
)
# Pixels from which on a call on the emulator takes minutes.
_FULL_SIZE = 512 * 512


@dataclass(frozen=True)
class BundleRun:
    """What was typed.

    Attributes:
        folder: of the bundle.
        prompt: what the image shows.
        output: where it goes.
        generation: its settings.
        where: its target.
        cache: None for the user's.
    """

    folder: Path
    prompt: str
    output: Path
    generation: GenerationOptions
    where: TargetOptions
    cache: Path | None


def open_bundle(folder: Path, console: Console) -> OpenBundle:
    """A bundle that somebody names; its files are held against its manifest.

    Raises:
        ArtifactError: it is none, or damaged.
    """
    if not folder.is_dir():
        raise ArtifactError(
            f"{folder} is no folder", hint="qnn-sd fetch -o FOLDER or qnn-sd compile -o FOLDER makes a bundle."
        )
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with console.reading(f"checking {folder.name}", total) as on_bytes:
        try:
            return OpenBundle(artifact.load(folder, on_bytes=on_bytes))
        except ArtifactError as error:
            # What is somebody's own isn't made anew by running the command again.
            raise ArtifactError(
                error.what, why=error.why, hint="Fetch or compile it anew (qnn-sd fetch, qnn-sd compile)."
            ) from error


def run_bundle(asked: BundleRun, console: Console) -> None:
    """Generates images with a bundle's components, as ``qnn-sd run`` does.

    Raises:
        ArtifactError: no bundle, or a damaged one.
        SettingError: an option that says what is built, a target that the bundle isn't for, or a prompt that is longer
            than what its UNet takes.
        TargetError: a component can't be loaded, or fails.
    """
    refuse_typed(
        MEANINGFUL,
        "with --bundle",
        why="What is there runs, and nothing is built.",
        hint="Leave it out, or leave --bundle out to build.",
    )
    if not asked.generation.plain_prompt:
        remark_on_marks(console, click.get_current_context(), None)
    bundle = open_bundle(asked.folder, console)
    info = bundle.info
    _refuse_other_target(asked, bundle)
    request = with_checkpoints_scheduler(
        console, asked.generation.request(asked.prompt, load_model(info.model)), info.scheduler, info.passes
    )
    _check_prompts(bundle, request, console)
    paths = image_paths(asked.output, request)
    console.kept.of_images = len(paths)
    phone = asked.where.phone(console)
    _say_origin(bundle, asked.where, console)
    target: TargetKind = "cpu" if info.soc is None else "emulator" if phone is None else "phone"
    if target == "emulator":
        _warn_of_hours(info, request, console)
    again = like_of(click.get_current_context())
    if again is not None:
        again.announce_bundle(console, target, bundle)
    if phone is not None and info.soc is not None and find_profile(info.soc.name) is not None:
        # A warning where the binaries are another SoC's than the phone's.
        chosen_profile(phone, info.soc.name, console)
    with placed(bundle, phone, asked.where, asked.cache or resources.cache(), console) as (runner, deployment):
        remark_on_verification(console, request, info)
        phone_soc = other_soc(phone, info.soc.name) if phone and info.soc else None

        def made_by() -> ImageDocument:
            return bundle_image_document(request, bundle, target, runner.fallbacks, phone_soc)

        result = generate_images(request, paths, bundle, runner, made_by, console)
        remark_on_prompts(console, request, result, bundle, builds=False)
        report(console, runner, result, paths, made_by(), phone.serial if phone else None, deployment)
        if again is not None:
            again.compare(console, paths[0])
    if asked.where.keep_alive:
        console.say(f"the worker stays warm for {WARM_SECONDS // 60} minutes (qnn-sd unstage ends it)")


def _refuse_other_target(asked: BundleRun, bundle: OpenBundle) -> None:
    missing = [name for name in TEXT_TO_IMAGE_COMPONENTS if name not in bundle.info.components]
    if missing:
        raise ArtifactError(
            f"{asked.folder} has no {' and no '.join(missing)}",
            why="An image needs it.",
            hint="Fetch or compile the bundle anew (qnn-sd fetch, qnn-sd compile).",
        )
    typed, is_for_cpu = is_typed(click.get_current_context(), "target"), bundle.info.soc is None
    wanted = asked.where.target
    if is_for_cpu and wanted == "phone":
        raise TargetError(
            f"{asked.folder} is no bundle for a phone", why="It is for the CPU.", hint="qnn-sd compile makes one."
        )
    if asked.where.hub_device is not None:
        raise SettingError(
            f"--target {wanted} doesn't run a bundle that is there",
            why="It sends AI Hub what it builds from the model options.",
            hint="Leave --bundle out, or --target.",
        )
    if typed and is_for_cpu != (wanted == "cpu"):
        kind = "graphs for the CPU" if is_for_cpu else "context binaries"
        raise SettingError(
            f"--target {wanted} has no meaning with {asked.folder}", why=f"It holds {kind}.", hint="Leave it out."
        )


def _check_prompts(bundle: OpenBundle, request: Request, console: Console) -> None:
    info = bundle.info
    passes = info.passes(request.guidance)
    remark_on_negative(console, request, passes)
    tokens = tokens_of(tokenizer_of(info, bundle.tokenizer), request)
    remark_on_embeddings(console, request, None, tokens)
    refuse_longer(tokens[:passes], info.prompt_chunks, "compile a bundle with --prompt-chunks {needed}")


def _say_origin(bundle: OpenBundle, where: TargetOptions, console: Console) -> None:
    info = bundle.info
    if info.published is not None:
        console.say(f"the binaries are {shown(info.published.text, 200)}")
    if (compiled := compiled_elsewhere(bundle.folder)) is not None:
        console.say(f"the binaries were {shown(compiled, 200)}")
    if info.soc is not None and where.fallback and not bundle.has_fallbacks:
        console.say("the bundle holds no QDQ graphs: nothing runs on the CPU in the place of a binary")


def _warn_of_hours(info: Bundle, request: Request, console: Console) -> None:
    if info.height * info.width >= _FULL_SIZE:
        calls = request.steps * request.count * info.passes(request.guidance)
        console.warn(
            f"at {info.width}x{info.height} the emulator takes minutes for each of the UNet's {calls} calls "
            "(docs/estimates.md): a phone takes seconds (--device SERIAL)"
        )
