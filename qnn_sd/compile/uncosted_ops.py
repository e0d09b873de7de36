"""A bound for ops that the compiler's estimate counts as nothing: a costed op of the same shape in their place."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from qnn_sd.compile.blocks import QdqGraph


def with_stand_ins(source: Path, uncosted: Collection[str], folder: Path) -> None:
    """Writes a QDQ graph in which ops without a cost are products of their input with itself.

    The result computes something else. It is for the estimate alone, which is an upper bound for the graph's own as far
    as such an op takes no longer than the product. Ops that read no activation of their output's shape stay as they
    are. The external data is a copy.

    Args:
        source: folder of the QDQ model.
        uncosted: names of ops, as ``Estimate.uncosted`` has them.
        folder: existing empty folder for the model.
    """
    graph = QdqGraph(source)
    for node in graph.model.graph.node:
        if node.name in uncosted or node.output[0] in uncosted:
            made = graph.shape(node.output[0])
            # Not a constant, such as the 1 of 1/x: the compiler would work the product out, and all before it away.
            same = [name for name in node.input if name and graph.shape(name) == made and not graph.is_constant(name)]
            if same:
                del node.attribute[:]
                node.op_type = "Mul"
                node.input[:] = [same[0], same[0]]
    graph.save(folder)
