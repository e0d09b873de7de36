"""What differs between versions of the HTP, as far as a build depends on it."""

from __future__ import annotations

# Versions that multiply two activations exactly where the second one is int16, on the emulators of QAIRT 2.48 to 2.51.
# v68 and v69: their op validation refuses it ("has incorrect Value 68, expected >= 73"). v85: the compiler takes it,
# and the conv behind a head of attention comes out as noise (MatMul, Concat, Transpose, Conv; the product alone is
# right). tests/test_htp_versions.py holds both, so that a newer compiler that can do it is noticed.
_INT16_OPERANDS = frozenset({73, 75, 79, 81})


def takes_int16_operands(htp_arch: int) -> bool:
    """Whether an HTP multiplies two activations exactly where the second one (attention's keys and values) is int16.

    Args:
        htp_arch: Hexagon architecture, such as 75 for v75.
    """
    return htp_arch in _INT16_OPERANDS
