"""A bundle's components on a device at AI Hub: every call is a job there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from qnn_sd.ai_hub import CloudDevice, HubModel, HubService, InferenceWork
from qnn_sd.cli.hub_network import HubNetwork, inputs_of, job_options, outputs_of_job, upload
from qnn_sd.errors import TargetError
from qnn_sd.runner import Fallback, Feeds, Outputs, Runner

TARGET = "hub"
# Of the profile that comes with a job: an image needs none.
_FEW_ITERATIONS = "--max_profiler_iterations 1"


class HubRunner(Runner):
    """Runs context binaries by inference jobs. The same inputs find the same job: a run that was cut off goes on there.

    Args:
        service: where they run.
        device: on which.
        networks: the binaries, by component.
        deadline_seconds: how long a job is waited for.
        model: name of the model config, for the jobs' names.
    """

    def __init__(
        self,
        service: HubService,
        device: CloudDevice,
        networks: Mapping[str, HubNetwork],
        deadline_seconds: float,
        model: str,
    ) -> None:
        self._service, self._device, self._networks = service, device, networks
        self._deadline_seconds, self._model = deadline_seconds, model
        self._models: dict[str, HubModel] = {}
        self._options: dict[str, str] = {}
        # What the job of both guidance passes has given, until each is asked for.
        self._given: dict[tuple[str, str], Outputs] = {}

    @property
    def target(self) -> str:
        """``hub:`` and the device; the stand-in is named as such."""
        return f"{TARGET}:{self._device.name}{' (stand-in, not a device)' * self._service.is_stand_in}"

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """None: a component runs there or not at all."""
        return ()

    def load(self, component: str) -> None:
        """Uploads a component, once by its content.

        Raises:
            HubServiceError: the service can't be reached, takes no more, or has no QAIRT that loads it.
        """
        if component not in self._models:
            network = self._networks[component]
            self._options[component] = f"{job_options(network, self._service)} {_FEW_ITERATIONS}".strip()
            self._models[component] = upload(network, "bin", self._service)

    def run(self, component: str, feeds: Feeds) -> Outputs:
        """Runs a component once.

        Raises:
            TargetError: the inputs aren't the component's.
            HubJobError: its job failed, or gave something else than its outputs.
            HubDeadlineError: its job takes too long; it goes on, and the same command finds it.
            HubServiceError: the service can't be reached, or takes no more.
        """
        given = self._given.pop((component, _digest(feeds)), None)
        return given if given is not None else self._run_all(component, [feeds])[0]

    def run_guided(self, component: str, feeds: Feeds, passes: Sequence[Feeds], guidance: float) -> Outputs:
        """As ``Runner.run_guided``, both passes in one job."""
        samples = [{**feeds, **each} for each in passes]
        for sample, outputs in zip(samples, self._run_all(component, samples), strict=True):
            self._given[component, _digest(sample)] = outputs
        return super().run_guided(component, feeds, passes, guidance)

    def unload(self, component: str) -> None:
        """Nothing: AI Hub keeps what was uploaded."""

    def _run_all(self, component: str, samples: Sequence[Feeds]) -> list[Outputs]:
        network = self._networks[component]
        if missing := [each.name for each in network.graph.inputs if any(each.name not in feeds for feeds in samples)]:
            raise TargetError(
                f"{component} lacks inputs on {self.target}",
                why=f"Missing: {', '.join(missing)}.",
                hint="Compile the bundle anew: its graphs come from another version of qnn-sd.",
            )
        inputs = inputs_of(network, samples)
        label = f"{self._model} {component}"
        work = InferenceWork(self._models[component], self._device, inputs, self._options[component], label)
        job = self._service.submit(work)
        self._service.wait([job], self._deadline_seconds)
        return outputs_of_job(network, len(samples), self._service.outputs(job), job)


def _digest(feeds: Feeds) -> str:
    digest = hashlib.sha256()
    for name in sorted(feeds):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(feeds[name]).tobytes())
    return digest.hexdigest()
