"""Images from a bundle: where they go, who runs the components, and the loop with its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qnn_sd.bundle_manifest import OpenBundle
from qnn_sd.cli.image_facts import text_chunks
from qnn_sd.cli.target_options import TargetOptions
from qnn_sd.console import Console
from qnn_sd.generate import Generation, Request, TextToImage
from qnn_sd.generate.png import save_png
from qnn_sd.generate.text_to_image import Image
from qnn_sd.image_metadata import ImageDocument
from qnn_sd.pipeline import TEXT_TO_IMAGE_COMPONENTS
from qnn_sd.runner import Runner
from qnn_sd.shown_runner import ShownRunner
from qnn_sd.targets import CpuRunner, EmulatorRunner, FallbackRunner
from qnn_sd.targets.adb.client import Phone
from qnn_sd.targets.adb.session.deployment import Deployment, deployed


def generate_images(
    request: Request,
    paths: list[Path],
    bundle: OpenBundle,
    runner: Runner,
    made_by: Callable[[], ImageDocument],
    console: Console,
) -> Generation:
    """Generates the images and saves each as soon as it is there, with what made it."""
    info = bundle.info

    def save(image: Image, number_seed: int) -> None:
        path = paths[number_seed - request.seed]
        # By now all components are loaded, so it is known which ran elsewhere.
        save_png(path, image, text_chunks(made_by().model_copy(update={"seed": number_seed}), bundle))
        console.kept.images.append(path)
        console.result(f"{path} (seed {number_seed})")

    with console.progress(f"generating on {runner.target}", request.steps * request.count) as bar:
        loop = TextToImage(ShownRunner(runner, bar.doing), info, bundle.tokenizer)
        return loop.generate(request, lambda seconds: bar.advance(f"{seconds:.2f} s a step"), save)


def image_paths(output: Path, request: Request) -> list[Path]:
    """Where the images go."""
    if request.count == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{request.seed + n}") for n in range(request.count)]


@contextmanager
def placed(
    bundle: OpenBundle, phone: Phone | None, where: TargetOptions, cache: Path, console: Console
) -> Iterator[tuple[Runner, Deployment | None]]:
    """Who runs a bundle's components, and on a phone what it measures itself.

    Args:
        bundle: whose.
        phone: None for this machine.
        where: says whether the CPU takes what can't be loaded, and whether a phone's worker stays.
        cache: folder of the artifacts.
        console: told of each fallback.
    """
    if phone is None:
        yield _local_runner(bundle, where.fallback, console), None
        return
    with deployed(
        phone,
        bundle,
        TEXT_TO_IMAGE_COMPONENTS,
        cache,
        console,
        fallback=where.fallback and bundle.has_fallbacks,
        keep_alive=where.keep_alive,
    ) as deployment:
        yield deployment.runner, deployment


def _local_runner(bundle: OpenBundle, fallback: bool, console: Console) -> Runner:
    """Who runs a bundle's components on this machine: the emulator for a SoC's, else the CPU.

    Args:
        bundle: whose.
        fallback: whether the CPU takes what the emulator can't load; a bundle without graphs for that has none.
        console: told of each fallback.
    """
    soc = bundle.info.soc
    if soc is None:
        return CpuRunner(bundle.file, optimize=not bundle.is_quantized)
    emulator = EmulatorRunner(bundle.file, soc.soc_model, soc.htp_arch, bundle.session_entries)
    if not fallback or not bundle.has_fallbacks:
        return emulator
    return FallbackRunner(emulator, CpuRunner(bundle.fallback), lambda event: console.warn(event.text))
