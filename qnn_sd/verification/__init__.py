"""What "verified" means: SQNR on chosen inputs, held to gates.

Two gates: the context binary against its QDQ graph, and the QDQ graph against the float model. At each, the worst input
counts beside the sum of all, and so does the difference of the two guidance passes. That difference is all that the
prompt does to the image, and a small part of each pass, at which an error in it can hide: of the demo with its
conditioning a twentieth too weak each pass is over 30 dB, the difference under 10.
"""

from qnn_sd.verification.figures import (
    SQNR_FIGURES,
    CallSqnr,
    ComponentVerification,
    SettingSqnr,
    SqnrSummary,
    VerificationInput,
    groups_by_call,
    label_calls,
    require_finite,
    sqnr_summary,
)
from qnn_sd.verification.gates import (
    BINARY_AGAINST_QDQ,
    BINARY_WITH_INT8_OPERANDS,
    QDQ_AGAINST_FLOAT,
    Gate,
    binary_gate,
    gate_warning,
    require_gate,
    setting_warning,
)

__all__ = [
    "BINARY_AGAINST_QDQ",
    "BINARY_WITH_INT8_OPERANDS",
    "QDQ_AGAINST_FLOAT",
    "SQNR_FIGURES",
    "CallSqnr",
    "ComponentVerification",
    "Gate",
    "SettingSqnr",
    "SqnrSummary",
    "VerificationInput",
    "binary_gate",
    "gate_warning",
    "groups_by_call",
    "label_calls",
    "require_finite",
    "require_gate",
    "setting_warning",
    "sqnr_summary",
]
