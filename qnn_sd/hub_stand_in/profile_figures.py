"""The profile of a job: in AI Hub's form, with times that are made by a rule and measured by nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qai_hub import public_api_pb2 as api

# By this rule a binary is read once a call, at this many bytes a microsecond.
_BYTES_PER_US = 20_000
_LEAST_US = 100
# All calls in thousandths of the rule's time: the median is the rule's, the best is less.
_CALLS = (1310, 1040, 1000, 985, 1000, 990, 1015)
_CYCLES_PER_US = 1000
_BASE_MEMORY = 40 * 2**20
STAND_IN_NAME = "qnn-sd stand-in"
# Stands where the client shows it: a profile's other names are lost in its JSON.
STAND_IN_LAYER = "qnn-sd:stand-in (times by a rule, no device)"


@dataclass(frozen=True)
class Layer:
    """An op of the graph.

    Attributes:
        name: of its node.
        kind: of op.
    """

    name: str
    kind: str


def profile_detail(size: int, layers: Sequence[Layer], qairt: str) -> api.ProfileDetail:
    """A profile.

    Args:
        size: bytes of the context binary, which all figures follow from.
        layers: of the graph; empty for a job that wasn't profiled.
        qairt: version of the libraries.
    """
    time = max(_LEAST_US, size // _BYTES_PER_US)
    detail = api.ProfileDetail(
        major_version=1,
        minor_version=2,
        execution_time=min(_CALLS) * time // 1000,
        cold_load_time=20 * time,
        warm_load_time=8 * time,
        after_cold_load_peak_memory=_BASE_MEMORY + 2 * size,
        after_warm_load_peak_memory=_BASE_MEMORY + size,
        after_execution_peak_memory=_BASE_MEMORY + size,
        all_execution_times=[thousandths * time // 1000 for thousandths in _CALLS],
        all_cold_load_times=[20 * time],
        all_warm_load_times=[8 * time],
    )
    for memory, factor in ((detail.cold_load_memory, 2), (detail.warm_load_memory, 1), (detail.execution_memory, 1)):
        memory.increase.lower, memory.increase.upper = 0, size
        memory.peak.lower, memory.peak.upper = size, _BASE_MEMORY + factor * size
    detail.runtime_config.add(name=STAND_IN_NAME).properties.add(key="measured", value="false")
    detail.tool_versions.add(name=STAND_IN_NAME, version="")
    detail.tool_versions.add(name="QAIRT", version=qairt)
    _add_layers(detail, layers, min(_CALLS) * time // 1000)
    return detail


def _add_layers(detail: api.ProfileDetail, layers: Sequence[Layer], time: int) -> None:
    """The layers, the mark first; each takes longer than the one before."""
    if not layers:
        return
    detail.layer_details.add(name=STAND_IN_LAYER, layer_type_name="StandIn", compute_unit=api.COMPUTE_UNIT_NPU)
    shares = len(layers) * (len(layers) + 1) // 2
    for number, layer in enumerate(layers, 1):
        cycles = _CYCLES_PER_US * time * number // shares
        detail.layer_details.add(
            name=layer.name,
            layer_type_name=layer.kind,
            compute_unit=api.COMPUTE_UNIT_NPU,
            execution_time=cycles // _CYCLES_PER_US,
            execution_cycles=cycles,
        )
