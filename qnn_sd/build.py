"""The road from checkpoint to bundle: the one place that knows the order of the stages.

Each step is an artifact in the cache; what is there is not made again, and a road that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnn_sd import __version__, artifact, qnn, resources
from qnn_sd.artifact import Artifact, Recipe
from qnn_sd.bundle import assemble
from qnn_sd.bundle_format import Bundle, Kind, OpenBundle, Part, Soc
from qnn_sd.compile import compile_component, verify_component
from qnn_sd.compile.process import CONTEXT_FILE
from qnn_sd.config import COMPONENTS, DeviceProfile, ModelConfig
from qnn_sd.console import Console
from qnn_sd.errors import QuantizeError, nearest
from qnn_sd.export import Forms, export_component
from qnn_sd.export.checkpoint import Sources, open_checkpoint
from qnn_sd.export.component import model_facts
from qnn_sd.generate import Request, TextToImage
from qnn_sd.onnx_files import MODEL_FILE
from qnn_sd.quantize import quantize_component
from qnn_sd.recording import RecordingRunner
from qnn_sd.targets import CpuRunner
from qnn_sd.tokenizer_files import tokenizer_files

# What a picture needs; the VAE encoder is for pictures as input.
PICTURE_COMPONENTS = ("text_encoder", "unet", "vae_decoder")


# What of the package determines a stage's result: a change there makes its artifacts anew, also
# between two versions, while one in the commands leaves hours of work alone.
_CODE = {
    "export": ("export", "onnx_files.py"),
    "calibrate": ("generate", "tokenizer_files.py"),
    "quantize": ("quantize", "onnx_files.py"),
    "compile": ("compile", "qnn.py"),
    "bundle": ("bundle", "bundle_format.py", "tokenizer_files.py"),
}


@dataclass
class StageReport:
    """What became of one stage for one component."""

    stage: str
    component: str
    seconds: float
    cached: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PlannedStage:
    """What a dry run knows of one stage for one component.

    Attributes:
        stage: its name.
        component: which one, or ``all``.
        cached: whether it is there already.
        last_seconds: how long the newest such stage took, whatever its settings; None if none was made.
    """

    stage: str
    component: str
    cached: bool
    last_seconds: float | None


def _encodings_by_component(folder: Path) -> dict[str, Path]:
    """The files of a folder of encodings.

    Raises:
        QuantizeError: there is none, or one that no component has the name of.
    """
    hint = f"Put files there that are named after components: {', '.join(f'{name}.json' for name in COMPONENTS)}."
    found = {path.stem: path for path in sorted(folder.glob("*.json"))}
    if not found:
        raise QuantizeError(f"{folder} holds no encodings", why="It has no .json file, or is no folder.", hint=hint)
    for name, path in found.items():
        if name not in COMPONENTS:
            raise QuantizeError(f"{path} is for no component", why=nearest(name, COMPONENTS), hint=hint)
    return found


class Road:
    """Builds what a target needs for one model.

    Args:
        model: its config; what it leaves to a checkpoint's kind is settled here (``self.model``).
        console: where progress is shown.
        sources: a checkpoint instead of the model's own, and what is put into it.
        cache: where artifacts stand; None for the user's cache.
        forms: the HTP forms to export.
        encodings: a folder with ``<component>.json`` in AIMET's format, for the components whose
            ranges aren't to be measured.
        dry_run: whether to find out only which stages there are (``plan``) and make nothing;
            artifacts that aren't there are returned all the same, and a hub id isn't downloaded.
    """

    def __init__(
        self,
        model: ModelConfig,
        console: Console,
        sources: Sources | None = None,
        cache: Path | None = None,
        forms: Forms | None = None,
        encodings: Path | None = None,
        dry_run: bool = False,
    ) -> None:
        self._console, self._dry_run = console, dry_run
        self._cache = cache or resources.cache()
        self._forms = forms or Forms()
        self.encodings = _encodings_by_component(encodings) if encodings else {}
        self.reports: list[StageReport] = []
        self.plan: list[PlannedStage] = []
        self._made: dict[str, Artifact] = {}
        sources = sources or Sources()
        if sources.checkpoint is None:
            own = model.checkpoint if model.from_hub else resources.assets() / model.checkpoint
            sources = replace(sources, checkpoint=own)
        self.checkpoint = open_checkpoint(sources, download=not dry_run)
        self.model = model.for_lcm(self.checkpoint.embeds_guidance) if self.checkpoint.is_lcm else model
        self._model_facts = model_facts(self.checkpoint)

    def _produce(self, recipe: Recipe, component: str, build: Callable[[Path], Mapping[str, Any]]) -> Artifact:
        """The recipe's artifact, opened and hashed once however many stages ask for it."""
        if recipe.key in self._made:
            return self._made[recipe.key]
        if self._dry_run:
            place = artifact.place(self._cache, recipe)
            seconds = artifact.last_seconds(self._cache, recipe)
            self.plan.append(PlannedStage(recipe.stage, component, place.exists(), seconds))
            made = self._made[recipe.key] = Artifact(place, recipe.key)
            return made
        if not artifact.place(self._cache, recipe).exists():
            self._console.say(f"{recipe.stage:<9} {recipe.name}")
        made = self._made[recipe.key] = artifact.produce(self._cache, recipe, build)
        self.reports.append(StageReport(recipe.stage, component, made.seconds, made.cached, made.facts))
        return made

    @staticmethod
    def _tools(stage: str, *names: str) -> dict[str, str]:
        own = f"{__version__} ({resources.code_digest(*_CODE[stage])[:12]})"
        return {"qnn-sd": own, **{name: metadata.version(name) for name in names}}

    def export(self, component: str) -> Artifact:
        """The component's float graph."""
        # Of the other components' configs, a graph depends on the VAE's factor and the text's length.
        facts = self._model_facts
        size = {"height": self.model.height, "width": self.model.width, "factor": facts.factor, "tokens": facts.tokens}
        recipe = Recipe(
            "export",
            f"{self.model.name}.{component}",
            {name: artifact.sha256_of_file(path) for name, path in self.checkpoint.files(component).items()},
            {**size, "forms": asdict(self._forms), **self.checkpoint.settings(component)},
            self._tools("export", "onnx"),
        )
        return self._produce(
            recipe,
            component,
            lambda folder: export_component(
                self.checkpoint, component, self.model.height, self.model.width, folder, self._forms
            ),
        )

    def _prompts(self) -> list[str]:
        path = resources.assets() / self.model.calibration.prompts
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise QuantizeError(
                f"The calibration prompts in {path} can't be read",
                why=str(error),
                hint="Restore the file, or correct calibration.prompts in the model config.",
            ) from error
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def calibration(self) -> Artifact:
        """What the float model's components are fed along real trajectories."""
        self._look_for_tokenizer()
        floats = {component: self.export(component) for component in PICTURE_COMPONENTS}
        settings = self.model.calibration
        prompts = self._prompts()
        recipe = Recipe(
            "calibrate",
            self.model.name,
            {**{name: made.key for name, made in floats.items()}, **self._tokenizer_hashes},
            {
                "prompts": prompts,
                "guidance": self.model.guidance,
                "scheduler": self.model.scheduler,
                "model": self._facts,
                **settings.model_dump(exclude={"prompts"}),
            },
            self._tools("calibrate", "onnxruntime"),
        )

        def build(folder: Path) -> dict[str, Any]:
            def keeps(component: str, call: int) -> bool:
                # Two passes a step: every n-th step is kept, with both.
                return component != "unet" or call // 2 % settings.every == 0

            recorder = RecordingRunner(CpuRunner(lambda name: floats[name].file(MODEL_FILE)), keeps)
            loop = TextToImage(recorder, self._bundle_info({}, None), self.checkpoint.tokenizer)
            with self._console.progress("calibrating", len(prompts)) as bar:
                for number, prompt in enumerate(prompts):
                    loop.generate(
                        Request(
                            prompt,
                            steps=settings.steps,
                            guidance=self.model.guidance,
                            scheduler=self.model.scheduler,
                            seed=settings.seed + number,
                        )
                    )
                    bar.advance()
            feeds = {name: [sample.feeds for sample in samples] for name, samples in recorder.samples.items()}
            pictures = [np.clip(sample.output, -1, 1) for sample in recorder.samples["vae_decoder"]]
            feeds["vae_encoder"] = [{"picture": picture} for picture in pictures]
            for name, samples in feeds.items():
                stacked = {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}
                np.savez(folder / f"{name}.npz", allow_pickle=False, **stacked)
            return {name: len(samples) for name, samples in feeds.items()}

        return self._produce(recipe, "all", build)

    @staticmethod
    def samples(calibration: Artifact, component: str) -> Iterator[dict[str, NDArray[Any]]]:
        """The recorded feeds of a component, one at a time."""
        with np.load(calibration.file(f"{component}.npz"), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        for index in range(len(next(iter(arrays.values())))):
            yield {key: value[index] for key, value in arrays.items()}

    def quantize(self, component: str) -> Artifact:
        """The component's QDQ graph."""
        source, given = self.export(component), self.encodings.get(component)
        if given:
            return self._quantize_as_given(component, source, given)
        calibration = self.calibration()
        recipe = Recipe(
            "quantize",
            f"{self.model.name}.{component}",
            {"float": source.key, "calibration": calibration.key},
            {"scheme": "W8A16", "rounding": "nearest", "ranges": "min-max"},
            self._tools("quantize", "onnx", "onnxruntime", "numpy"),
        )

        def build(folder: Path) -> dict[str, Any]:
            samples = list(self.samples(calibration, component))
            with self._console.progress(f"ranges of {component}", len(samples)) as bar:
                return quantize_component(source.folder, samples, folder, bar.advance)

        return self._produce(recipe, component, build)

    def _quantize_as_given(self, component: str, source: Artifact, encodings: Path) -> Artifact:
        recipe = Recipe(
            "quantize",
            f"{self.model.name}.{component}",
            {"float": source.key, "encodings": artifact.sha256_of_file(encodings)},
            {"ranges": "given"},
            self._tools("quantize", "onnx", "numpy"),
        )
        return self._produce(
            recipe, component, lambda folder: quantize_component(source.folder, [], folder, encodings=encodings)
        )

    def compile(self, component: str, profile: DeviceProfile) -> Artifact:
        """The component's context binary for a SoC, verified on the emulator."""
        qdq, calibration = self.quantize(component), self.calibration()
        settings = profile.model_dump(include={"soc_model", "htp_arch", "optimization_mode"})
        settings["split_graph"] = component in self.model.split_graph
        recipe = Recipe(
            "compile",
            f"{self.model.name}.{component}.{profile.soc}",
            {"qdq": qdq.key},
            settings,
            {**self._tools("compile"), **qnn.versions()},
        )

        def build(folder: Path) -> dict[str, Any]:
            facts = compile_component(qdq.folder, folder=folder, tell=self._console.warn, **settings)
            feeds = list(self.samples(calibration, component))
            # Spread over prompts and times: from nearly pure noise to a nearly finished picture.
            chosen = [feeds[len(feeds) * place // 6] for place in (1, 3, 5)]
            proof = verify_component(component, qdq.folder, folder, profile.soc_model, profile.htp_arch, chosen)
            return {**facts, "sqnr_db_against_qdq": round(proof, 1)}

        return self._produce(recipe, component, build)

    def bundle_for(self, profile: DeviceProfile, components: Sequence[str] = COMPONENTS) -> OpenBundle:
        """Context binaries for a SoC, with the QDQ graphs for what can't run on the HTP."""
        return OpenBundle(self.make_bundle_for(profile, components))

    def make_bundle_for(self, profile: DeviceProfile, components: Sequence[str] = COMPONENTS) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._look_for_tokenizer()
        sources: dict[str, Artifact] = {}
        parts: dict[str, Part] = {}
        for component in components:
            qdq = self.quantize(component)
            sources[f"{component}/cpu"] = qdq
            sources[f"{component}/htp"] = self.compile(component, profile)
            parts[component] = Part(
                file=f"{component}/htp/{CONTEXT_FILE}",
                kind="context_binary",
                fallback=f"{component}/cpu/{MODEL_FILE}",
            )
        soc = Soc(name=profile.soc, dl_mode=profile.dl_mode, soc_model=profile.soc_model, htp_arch=profile.htp_arch)
        return self._bundle(profile.soc, parts, sources, soc)

    def bundle_for_cpu(self, kind: Kind) -> OpenBundle:
        """Float or QDQ graphs for ONNX Runtime's CPU provider."""
        return OpenBundle(self.make_bundle_for_cpu(kind))

    def make_bundle_for_cpu(self, kind: Kind) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._look_for_tokenizer()
        make = self.export if kind == "float" else self.quantize
        sources = {component: make(component) for component in PICTURE_COMPONENTS}
        parts = {name: Part(file=f"{name}/{MODEL_FILE}", kind=kind) for name in sources}
        return self._bundle(f"cpu-{kind}", parts, sources, None)

    def _bundle(
        self, name: str, parts: Mapping[str, Part], sources: Mapping[str, Artifact], soc: Soc | None
    ) -> Artifact:
        info = self._bundle_info(parts, soc)
        inputs = {**{key: made.key for key, made in sources.items()}, **self._tokenizer_hashes}
        recipe = Recipe(
            "bundle", f"{self.model.name}.{name}", inputs, info.model_dump(mode="json"), self._tools("bundle")
        )

        def build(folder: Path) -> dict[str, Any]:
            assemble(folder, info, {key: made.folder for key, made in sources.items()}, self.checkpoint.tokenizer)
            return {}

        return self._produce(recipe, "all", build)

    def _look_for_tokenizer(self) -> None:
        """Hours of work must not end in a missing file: what a bundle needs last is looked for first."""
        _ = self._facts, self._tokenizer_hashes

    @cached_property
    def _tokenizer_hashes(self) -> dict[str, str]:
        tokenizer = self.checkpoint.tokenizer
        return {name: artifact.sha256_of_file(tokenizer / name) for name in tokenizer_files(tokenizer)}

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What a bundle says of its model."""
        return {
            "model": self.model.name,
            "height": self.model.height,
            "width": self.model.width,
            **asdict(self._model_facts),
            "scheduler": dict(self.checkpoint.scheduler),
            "padding_token": self.checkpoint.padding_token,
            "added_tokens": self.checkpoint.added_tokens,
        }

    def _bundle_info(self, parts: Mapping[str, Part], soc: Soc | None) -> Bundle:
        return Bundle(soc=soc, components=dict(parts), **self._facts)
