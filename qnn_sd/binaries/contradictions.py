"""What a context binary says otherwise than those who refer to it: swapped files, renamed nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qnn_sd.binaries.binary_info import BinaryInfo
from qnn_sd.binaries.epcontext import ContextNode
from qnn_sd.binaries.network import network_of
from qnn_sd.in_words import shown
from qnn_sd.wrapped_binary import PREFIX


def contradictions(
    nodes: Sequence[ContextNode], soc_models: Sequence[int], component: str | None, info: BinaryInfo
) -> Iterator[str]:
    """What a binary says otherwise than the models that refer to it, and than a bundle's name for it, in words.

    Args:
        nodes: of EPContext models, that refer to it.
        soc_models: that these models say it is for.
        component: that a bundle says it is, or None.
        info: what it says of itself.
    """
    names = {each.name for each in info.graphs}
    for node in nodes:
        if node.name not in names and len(names) > 1:
            yield f"node {shown(node.name)} has no graph of its name in the binary, which has {len(names)}"
            continue
        graph = next((each for each in info.graphs if each.name == node.name), info.graphs[0] if info.graphs else None)
        if graph is None:
            continue
        for what, of_node, tensors in (
            ("inputs", node.inputs, graph.inputs),
            ("outputs", node.outputs, graph.outputs),
        ):
            own = {each.name for each in tensors}
            if {name.removeprefix(PREFIX) for name in of_node} != own:
                yield (
                    f"{node.file.name} has the {what} {_listed(of_node)}, "
                    f"its binary has {_listed(sorted(own))}: it is another network's"
                )
    if soc_models and info.soc_model not in (None, *soc_models):
        yield f"its EPContext model says soc_model {soc_models[0]}, the binary {info.soc_model}"
    for graph in info.graphs:
        network = network_of(graph)
        if component and network and network != component:
            yield f"by its inputs and outputs it is a {network}, not a {component}: files were swapped"


def _listed(names: Sequence[str]) -> str:
    return shown(", ".join(names)) or "none"
