"""The JSON documents of the commands, one model each; their schemas are in ``qnn_sd/schemas/``."""

from qnn_sd.cli.documents.bench import BenchDocument
from qnn_sd.cli.documents.build import (
    CompileDocument,
    CompileSeveralDocument,
    ExportDocument,
    PlanDocument,
    QuantizeDocument,
)
from qnn_sd.cli.documents.cost import CostDocument
from qnn_sd.cli.documents.doctor import DoctorDocument, PhoneReport
from qnn_sd.cli.documents.failure import ErrorDetail, ErrorDocument
from qnn_sd.cli.documents.pages import DocsDocument
from qnn_sd.cli.documents.phones import (
    DevicesDocument,
    UnstageDocument,
    VirtualPhoneDocument,
    VirtualPhoneStopDocument,
)
from qnn_sd.cli.documents.run import RunDocument
from qnn_sd.cli.documents.runtime import RuntimeFetchDocument, RuntimeListDocument
from qnn_sd.cli.documents.socs import KnownSocsDocument
from qnn_sd.cli.documents.verify import VerificationReport, VerifyDocument

__all__ = [
    "BenchDocument",
    "CompileDocument",
    "CompileSeveralDocument",
    "CostDocument",
    "DevicesDocument",
    "DocsDocument",
    "DoctorDocument",
    "ErrorDetail",
    "ErrorDocument",
    "ExportDocument",
    "KnownSocsDocument",
    "PhoneReport",
    "PlanDocument",
    "QuantizeDocument",
    "RunDocument",
    "RuntimeFetchDocument",
    "RuntimeListDocument",
    "UnstageDocument",
    "VerificationReport",
    "VerifyDocument",
    "VirtualPhoneDocument",
    "VirtualPhoneStopDocument",
]
