"""What a target needs, bundled of the components of ``component_builds.py``.

Each step is an artifact in the cache: what is there is not built again, and a build that was interrupted goes on
where it stopped. What a stage needs and makes is in ``stages/``; which components there are, in ``components.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Self

from qnn_sd.artifact import Artifact
from qnn_sd.bundle_manifest import Kind, OpenBundle
from qnn_sd.compile import why_no_dlc_runs
from qnn_sd.config import DeviceProfile
from qnn_sd.pipeline.component_builds import NOT_MEASURED, ComponentBuilds
from qnn_sd.pipeline.stages import bundle_stage, dlc_stage, hub_compile_stage, sizes_stage
from qnn_sd.pipeline.stages.hub_jobs import HubOrder
from qnn_sd.pipeline.stages.hub_source import bytes_to_send
from qnn_sd.verification import ComponentVerification, SqnrSummary


class BuildPipeline(ComponentBuilds):
    """Builds what a target needs for one model: its components, bundled."""

    def bundle(self, profile: DeviceProfile, components: Sequence[str] | None = None) -> OpenBundle:
        """Context binaries for a SoC, with the QDQ graphs for what can't run on the HTP.

        Args:
            profile: the SoC.
            components: names; None for all.
        """
        return self._opened(self.build_bundle(profile, components))

    def _opened(self, bundle: Artifact) -> OpenBundle:
        self._context.console.kept.build_is_whole()
        return OpenBundle(bundle)

    def build_bundle(self, profile: DeviceProfile, components: Sequence[str] | None = None) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._context.require_tokenizer()
        names = self.components if components is None else components
        verified = self.verify(names, profile) if self._context.verify else None
        return self._bundled(names, (profile,), verified)

    def build_hub_bundle(self, profile: DeviceProfile, order: HubOrder) -> Artifact:
        """The same as ``build_bundle``, of binaries that AI Hub compiles.

        Args:
            profile: the SoC.
            order: what AI Hub is to compile with.

        Raises:
            HubServiceError: AI Hub can't be reached, or refuses a graph.
            HubJobError: a job of it failed.
            HubDeadlineError: a job didn't end in time.
            BinaryError: what came back isn't what was asked for.
            VerificationError: a gate refuses a component.
        """
        self._context.require_tokenizer()
        graphs = self._quantized(self.components)
        # What is refused here isn't sent anywhere.
        verified = {name: self.verify_quantization(name) for name in graphs} if self._context.verify else None
        floats = self._sent_floats(order)
        compiled = hub_compile_stage.compile_at_hub(self._context, graphs, floats, profile, order)
        if verified is not None:
            verified = self.verify(self.components, profile, compiled)
        return bundle_stage.bundle_binaries(
            self._context,
            (profile,),
            {name: (qdq, compiled[name]) for name, qdq in graphs.items()},
            verified,
            f"{profile.soc}.{order.suffix}",
            order.origin,
        )

    def _sent_floats(self, order: HubOrder) -> dict[str, Artifact]:
        return {name: self.export(name) for name in self.components} if order.source == "aimet" else {}

    def hub_uploads(self, order: HubOrder) -> dict[str, int | None]:
        """Bytes of what AI Hub would be sent of each component; None where it isn't built yet. For dry runs."""
        floats = self._sent_floats(order)
        return {
            name: bytes_to_send(order.source, qdq, floats.get(name))
            for name, qdq in self._quantized(self.components).items()
        }

    def build_multi_soc_bundle(self, profiles: Sequence[DeviceProfile]) -> Artifact:
        """One bundle whose context binaries serve several SoCs.

        The emulator loads no file for several SoCs. So each SoC's own binaries, from the same QDQ graphs, are compiled
        and verified before, and the bundle says that its files weren't run.

        Raises:
            VerificationError: a gate refuses a component, for one of the SoCs.
        """
        self._context.require_tokenizer()
        verified: dict[str, ComponentVerification] | None = None
        if self._context.verify:
            for profile in profiles:
                self.verify(self.components, profile)
            verified = {name: self.verify_quantization(name) for name in self.components}
        return self._bundled(self.components, tuple(profiles), verified)

    def build_dlcs(self, profile: DeviceProfile) -> Artifact:
        """A folder with each component as a DLC, for the HTP of a SoC.

        Raises:
            VerificationError: a gate refuses a component.
        """
        graphs = self._quantized(self.components)
        dlcs = {name: dlc_stage.build_dlc(self._context, name, qdq, profile) for name, qdq in graphs.items()}
        not_run, verified = why_no_dlc_runs(), None
        if self._context.verify and not_run:
            verified = {name: self.verify_quantization(name) for name in self.components}
        elif self._context.verify:
            verified = self.verify(self.components, profile, dlcs)
        pairs = {name: (qdq, dlcs[name]) for name, qdq in graphs.items()}
        return dlc_stage.collect_dlcs(self._context, profile, pairs, verified, not_run)

    def build_sizes(self, further: Sequence[tuple[int, int]], profile: DeviceProfile) -> Artifact:
        """A folder with context binaries for this size and others, which hold the weights once.

        Args:
            further: width and height of the other sizes.
            profile: the SoC.

        Raises:
            CompileError: the compiler refused a component.
            VerificationError: a gate refuses a component at one of the sizes.
        """
        self._context.require_tokenizer()
        builds = {each.size_name: each for each in (self, *(self.at_size(*size) for size in further))}
        of_each = [name for name in self.components if self._context.component(name).sized]
        of_all = [name for name in self.components if name not in of_each]
        graphs = {c: {size: each.quantize(c) for size, each in builds.items()} for c in of_each}
        compiled = {c: sizes_stage.compile_sizes(self._context, c, graphs[c], profile) for c in of_each}
        verified: dict[str, dict[str, ComponentVerification]] = {}
        if self._context.verify:
            alone = self.verify(of_all, profile)
            verified = {
                size: alone | {name: each.verify_quantization(name) for name in of_each}
                for size, each in builds.items()
            }
            for component in of_each:
                found = self._verify_sizes(component, graphs[component], compiled[component], builds, profile)
                for size, summary in found.items():
                    whole = verified[size][component].model_copy(update={"binary_against_qdq": summary})
                    verified[size][component] = whole
        compiled |= self._compiled(of_all, (profile,))
        infos = {
            size: bundle_stage.size_info(
                each._context, profile, size, list(builds), of_each, of_all, verified.get(size)
            )
            for size, each in builds.items()
        }
        return sizes_stage.bundle_sizes(self._context, profile, infos, compiled)

    def _verify_sizes(
        self,
        component: str,
        graphs: Mapping[str, Artifact],
        compiled: Artifact,
        builds: Mapping[str, Self],
        profile: DeviceProfile,
    ) -> dict[str, SqnrSummary]:
        """What was measured of a component's shared binary, by size."""
        owners = {size: each._owner(component) for size, each in builds.items()}
        recorded = {size: each.verification() for size, each in owners.items()}
        inputs = {size: partial(each._emulator_inputs, component) for size, each in owners.items()}
        made = sizes_stage.verify_sizes(self._context, component, graphs, compiled, recorded, inputs, profile)
        if self._context.dry_run and not made.metadata:
            return dict.fromkeys(builds, NOT_MEASURED)
        return {size: SqnrSummary.model_validate(found) for size, found in made.metadata.items()}

    def _bundled(
        self,
        components: Sequence[str],
        socs: tuple[DeviceProfile, ...],
        verified: dict[str, ComponentVerification] | None,
    ) -> Artifact:
        compiled = self._compiled(components, socs)
        graphs = {name: (qdq, compiled[name]) for name, qdq in self._quantized(components).items()}
        return bundle_stage.bundle_binaries(self._context, socs, graphs, verified)

    def cpu_bundle(self, kind: Kind) -> OpenBundle:
        """Float or QDQ graphs for ONNX Runtime's CPU provider."""
        return self._opened(self.build_cpu_bundle(kind))

    def build_cpu_bundle(self, kind: Kind) -> Artifact:
        """The same as an artifact, which a dry run doesn't open."""
        self._context.require_tokenizer()
        build = self.export if kind == "float" else self.quantize
        graphs = {component: build(component) for component in self.text_to_image}
        verified: dict[str, ComponentVerification] | None = {}
        if kind != "float":
            verified = {name: self.verify_quantization(name) for name in graphs} if self._context.verify else None
        return bundle_stage.bundle_cpu_graphs(self._context, kind, graphs, verified)
