"""float ONNX → QDQ ONNX and encodings, for one component."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from qnn_sd.artifact import Artifact, Recipe, sha256_of_file
from qnn_sd.artifact_manifest import Work
from qnn_sd.console import Bar, Console
from qnn_sd.pipeline.artifact_store import tool_versions
from qnn_sd.pipeline.context import BuildContext
from qnn_sd.pipeline.stages.calibrate_stage import by_guidance, calibration_plan, held_out_plan, planned_samples
from qnn_sd.quantize import QuantizationScheme, RoundingData, best_backend, quantize_by_adaround, quantize_component
from qnn_sd.quantize.calibration import Samples, evenly_spaced

CACHE_KEY_SOURCES = ("quantize", "onnx_files.py", "reference.py")


def known_inputs(context: BuildContext) -> dict[str, tuple[float, float]]:
    """The ranges that the UNet's inputs have by their nature: times of the schedule, sines of the guidance scale."""
    train_steps = float(context.checkpoint.scheduler.get("num_train_timesteps", 1000))
    return {"timestep": (0.0, train_steps - 1), "timestep_cond": (-1.0, 1.0)}


def scheme_of(context: BuildContext, component: str) -> QuantizationScheme:
    """The bit widths of a component's weights, by the model's config."""
    config = context.model.quantization
    return QuantizationScheme(config.weight_bits, weight_overrides=config.weight_overrides.get(component, {}))


def quantize_with_given_encodings(context: BuildContext, component: str, source: Artifact, encodings: Path) -> Artifact:
    """A component's QDQ graph by encodings from a file.

    Raises:
        QuantizeError: they don't fit the graph.
    """
    recipe = Recipe(
        "quantize",
        f"{context.model.name}.{component}",
        {"float": source.key, "encodings": sha256_of_file(encodings)},
        {"ranges": "given"},
        tool_versions(CACHE_KEY_SOURCES, "onnx", "numpy"),
        context.work(component, "given"),
    )
    return context.store.get_or_build(
        recipe, component, lambda folder: quantize_component(source.folder, [], folder, encodings=encodings)
    )


def quantize_graph(
    context: BuildContext,
    component: str,
    source: Artifact,
    calibration: Artifact,
    held_out: Artifact | None,
    weights: Artifact | None = None,
) -> Artifact:
    """A component's QDQ graph by measured ranges.

    Args:
        context: of the build.
        component: its name.
        source: its float graph.
        calibration: what ranges are measured on.
        held_out: what judges AdaRound; None to round to nearest.
        weights: the QDQ graph of another size, whose weights are taken as AdaRound left them there; None to round.

    Raises:
        QuantizeError: no samples, an activation that isn't finite, or an op that no rule covers.
    """
    inputs = {"float": source.key, "calibration": calibration.key}
    settings: dict[str, Any] = {
        "scheme": asdict(scheme_of(context, component)),
        "rounding": context.rounding,
        "inputs": known_inputs(context),
        "default_guidance": context.model.guidance,
    }
    if held_out:
        inputs["held_out"] = held_out.key
        settings |= context.model.rounding.model_dump()
        if weights:
            inputs["weights"] = weights.key
    recipe = Recipe(
        "quantize",
        f"{context.model.name}.{component}",
        inputs,
        settings,
        tool_versions(CACHE_KEY_SOURCES, "onnx", "onnxruntime", "numpy"),
        _work(context, component, rounds=weights is None),
    )

    build = partial(_quantize, context, component, source, calibration, held_out, weights)
    return context.store.get_or_build(recipe, component, build, resumable=held_out is not None)


def _work(context: BuildContext, component: str, *, rounds: bool) -> Work:
    """What there is to do: samples to measure ranges on, to round on and to judge with.

    Args:
        context: of the build.
        component: its name.
        rounds: whether its weights aren't taken as another build rounded them, which takes no longer than to nearest.
    """
    calls = {"ranges": planned_samples(context, calibration_plan(context), component)}
    rounding = context.rounding if rounds else "nearest"
    if rounding == "adaround":
        judging = planned_samples(context, held_out_plan(context), component)
        calls["rounding"] = min(context.model.rounding.samples, calls["ranges"])
        calls["held_out"] = min(context.model.rounding.held_out, judging)
    scheme = scheme_of(context, component)
    return context.work(component, rounding, calls, f"weights of {scheme.weight_bits} bits")


def _quantize(
    context: BuildContext,
    component: str,
    source: Artifact,
    calibration: Artifact,
    held_out: Artifact | None,
    weights: Artifact | None,
    folder: Path,
) -> dict[str, Any]:
    samples, others = by_guidance(context, calibration, component)
    known, scheme, total = known_inputs(context), scheme_of(context, component), len(samples) + len(others)
    with ExitStack() as bars:
        ranging = partial(_bar(context.console, f"ranges of {component}", bars), total)
        if held_out is None:
            return quantize_component(
                source.folder,
                samples,
                folder,
                ranging,
                input_ranges=known,
                other_guidance_samples=others,
                scheme=scheme,
            )
        rounding = _rounding_data(context, component, samples, held_out, folder, bars)
        return quantize_by_adaround(
            source.folder,
            samples,
            folder,
            rounding,
            ranging,
            known,
            others,
            scheme,
            weights=weights.folder if weights else None,
        )


def _rounding_data(
    context: BuildContext, component: str, samples: Samples, held_out: Artifact, folder: Path, bars: ExitStack
) -> RoundingData:
    backend, config = best_backend(), context.model.rounding
    rounding_bar = _bar(context.console, f"rounding {component} with {backend.title}", bars)
    judging_bar = _bar(context.console, f"int8 keys and values of {component}", bars)
    return RoundingData(
        evenly_spaced(samples, config.samples),
        evenly_spaced(Samples(held_out.folder, component), config.held_out),
        folder / ".rounding",
        lambda _done, layers: rounding_bar(layers),
        judging_bar,
        backend,
    )


def _bar(console: Console, title: str, bars: ExitStack) -> Callable[[int], None]:
    """What advances a bar of so many steps; it appears with the first, in place of the bar before it."""
    bar: Bar | None = None

    def advance(total: int) -> None:
        nonlocal bar
        if bar is None:
            bars.close()
            bar = bars.enter_context(console.progress(title, total))
        bar.advance()

    return advance
