"""``qnn-sd run``: an image from a prompt."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path

import click

from qnn_sd import __version__, qnn_provider, resources
from qnn_sd.bundle_manifest import Kind, OpenBundle
from qnn_sd.cli.build_options import BuildRequest, build_options
from qnn_sd.cli.options import DEFAULT_SOC, device_option, output_options, refuse_bad_output
from qnn_sd.cli.plan import show_plan
from qnn_sd.cli.run_report import remark_on_prompts, remark_on_verification, report
from qnn_sd.config import DeviceProfile, load_profile
from qnn_sd.console import Console
from qnn_sd.errors import SettingError
from qnn_sd.generate import Generation, Request, TextToImage
from qnn_sd.generate.noise import LARGEST_SEED
from qnn_sd.generate.png import save_png
from qnn_sd.generate.schedulers import known_scheduler
from qnn_sd.generate.text_to_image import Image
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.runner import Runner
from qnn_sd.targets import CpuRunner, EmulatorRunner, FallbackRunner
from qnn_sd.targets.adb.client import Adb, Phone, choose_phone, profile_of
from qnn_sd.targets.adb.session.deployment import deployed
from qnn_sd.targets.adb.session.warm_worker import WARM_SECONDS

TARGETS = ("emulator", "cpu", "phone")


@click.command("run")
@click.argument("prompt")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("out.png"),
    show_default=True,
    help="PNG to write; with --count each gets its seed in the name.",
)
@click.option("--negative", default="", help="What the image keeps away from.")
@click.option("--steps", type=int, help="Sampling steps [the model's default].")
@click.option("--seed", type=int, help="Seed of the noise [random]; equal to torch's CPU generator.")
@click.option("--guidance", type=float, help="Guidance scale, 1 for none [the model's default].")
@click.option("--scheduler", help="dpm++2m, euler, euler-a, ddim or lcm [the model's default].")
@click.option("--count", type=int, default=1, show_default=True, help="Images, each with the next seed.")
@click.option("--target", type=click.Choice(TARGETS), help="Where components run [phone with --device, else emulator].")
@device_option
@click.option("--soc", help=f"SoC whose context binaries run [the phone's, or {DEFAULT_SOC}]; not for --target cpu.")
@click.option("--precision", type=click.Choice(["float", "w8a16"]), help="Graphs for --target cpu [float].")
@click.option(
    "--fallback/--no-fallback",
    default=True,
    show_default=True,
    help="Run on the CPU what the target can't load; each such component is named.",
)
@click.option("--keep-alive", is_flag=True, help="Leave the phone's worker warm: the next run loads nothing.")
@build_options
@output_options
def run_command(
    prompt: str,
    output: Path,
    negative: str,
    steps: int | None,
    seed: int | None,
    guidance: float | None,
    scheduler: str | None,
    count: int,
    target: str | None,
    device: str | None,
    soc: str | None,
    precision: str | None,
    fallback: bool,
    keep_alive: bool,
    build_request: BuildRequest,
    console: Console,
) -> None:
    """Generate an image of PROMPT with a bundle's components and save it as PNG."""
    _refuse_bad_settings(steps, seed, guidance, scheduler, count)
    target = target or ("emulator" if device is None else "phone")
    _refuse_what_means_nothing(target, device, soc, precision, keep_alive, build_request)
    refuse_bad_output(output, ".png", "Images are saved as PNG.")
    phone = choose_phone(Adb(), device) if target == "phone" else None
    profile = _profile(target, phone, soc)
    pipeline = build_request.pipeline(console)
    cpu_kind: Kind = "qdq" if precision == "w8a16" else "float"
    if build_request.dry_run:
        if profile is None:
            pipeline.build_cpu_bundle(cpu_kind)
        else:
            pipeline.build_bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
        show_plan(console, pipeline)
        return
    # The checkpoint may have settled what the config left open: a latent consistency model has its own defaults.
    config = pipeline.model
    request = Request(
        prompt,
        negative,
        config.steps if steps is None else steps,
        config.guidance if guidance is None else guidance,
        scheduler or config.scheduler,
        secrets.randbelow(2**32) if seed is None else seed,
        count,
    )
    paths = _paths(output, request)
    bundle = pipeline.cpu_bundle(cpu_kind) if profile is None else pipeline.bundle(profile, TEXT_TO_IMAGE_COMPONENTS)
    with ExitStack() as stack:
        deployment = None
        if phone is None:
            runner = _runner(bundle, fallback, console)
        else:
            place = deployed(
                phone,
                bundle,
                TEXT_TO_IMAGE_COMPONENTS,
                build_request.cache or resources.cache(),
                console,
                fallback=fallback,
                keep_alive=keep_alive,
            )
            deployment = stack.enter_context(place)
            runner = deployment.runner
        remark_on_verification(console, request, bundle.info)
        result = _generate(request, paths, bundle, runner, console, config.name, precision, profile)
        remark_on_prompts(console, request, result)
        report(console, runner, result, paths, profile.soc if profile else None, deployment)
    if keep_alive:
        console.say(f"the worker stays warm for {WARM_SECONDS // 60} minutes (qnn-sd unstage ends it)")


def _generate(
    request: Request,
    paths: list[Path],
    bundle: OpenBundle,
    runner: Runner,
    console: Console,
    model: str,
    precision: str | None,
    profile: DeviceProfile | None,
) -> Generation:
    """Generates the images and saves each as soon as it is there."""
    metadata = {
        "prompt": request.prompt,
        "negative_prompt": request.negative,
        "steps": request.steps,
        "guidance": request.guidance,
        "scheduler": request.scheduler,
        "model": model,
        "target": runner.target,
        "precision": precision or ("float" if profile is None else "w8a16"),
        "soc": profile.soc if profile else "none",
        "verified": bundle.info.verified,
        "software": f"qnn-sd {__version__}",
        **qnn_provider.versions(),
    }

    def save(image: Image, number_seed: int) -> None:
        path = paths[number_seed - request.seed]
        save_png(path, image, {**metadata, "seed": number_seed})
        console.result(f"{path} (seed {number_seed})")

    loop = TextToImage(runner, bundle.info, bundle.tokenizer)
    with console.progress(f"generating on {runner.target}", request.steps * request.count) as bar:
        return loop.generate(request, lambda seconds: bar.advance(f"{seconds:.2f} s a step"), save)


def _refuse_what_means_nothing(
    target: str,
    device: str | None,
    soc: str | None,
    precision: str | None,
    keep_alive: bool,
    build_request: BuildRequest,
) -> None:
    """Raises for options that don't go together."""
    if target != "phone" and device is not None:
        raise SettingError(f"--device has no meaning with --target {target}", hint="Leave one of them out.")
    if target != "phone" and keep_alive:
        raise SettingError(f"--keep-alive has no meaning with --target {target}", hint="Add --device SERIAL.")
    if target == "cpu" and soc is not None:
        raise SettingError("--soc has no meaning with --target cpu", hint="Leave one of them out.")
    if target != "cpu" and precision is not None:
        raise SettingError(f"--precision has no meaning with --target {target}", hint="Add --target cpu.")
    if target == "cpu" and precision != "w8a16":
        for option, given in (("--prompts", build_request.prompts), ("--encodings", build_request.encodings)):
            if given is not None:
                raise SettingError(
                    f"{option} has no meaning for float graphs", hint="Add --precision w8a16, or leave it out."
                )


def _profile(target: str, phone: Phone | None, soc: str | None) -> DeviceProfile | None:
    """Whose binaries run; None for the CPU's float or QDQ graphs."""
    if target == "cpu":
        return None
    return load_profile(soc or DEFAULT_SOC) if phone is None else profile_of(phone, soc)


def _refuse_bad_settings(
    steps: int | None, seed: int | None, guidance: float | None, scheduler: str | None, count: int
) -> None:
    """Raises for what can't be used, before any work; None is the model's default."""
    if scheduler is not None:
        known_scheduler(scheduler)
    if steps is not None and not 1 <= steps <= 1000:
        raise SettingError(f"--steps {steps} is not possible", hint="Choose 1 to 1000; 20 is usual.")
    if guidance is not None and not 1 <= guidance <= 50:
        raise SettingError(f"--guidance {guidance:g} is not possible", hint="Choose 1 (none) to 50; 7.5 is usual.")
    if not 1 <= count <= 1000:
        raise SettingError(f"--count {count} is not possible", hint="Choose 1 to 1000.")
    if seed is not None and not 0 <= seed <= LARGEST_SEED - count:
        raise SettingError(f"--seed {seed} is not possible", hint="Choose a number from 0 to 2^64 - 1.")


def _paths(output: Path, request: Request) -> list[Path]:
    """Where the images go."""
    if request.count == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{request.seed + n}") for n in range(request.count)]


def _runner(bundle: OpenBundle, fallback: bool, console: Console) -> Runner:
    soc = bundle.info.soc
    if soc is None:
        return CpuRunner(bundle.file, optimize=not bundle.is_quantized)
    emulator = EmulatorRunner(bundle.file, soc.soc_model, soc.htp_arch)
    if not fallback:
        return emulator
    return FallbackRunner(emulator, CpuRunner(bundle.fallback), lambda event: console.warn(event.text))
