"""The JSON documents of the commands, one model each; their schemas are in ``qnn_sd/schemas/``."""

from qnn_sd.cli.documents.bench import BenchDocument
from qnn_sd.cli.documents.bisect import BisectDocument
from qnn_sd.cli.documents.build import (
    CompileDlcDocument,
    CompileDocument,
    CompileSeveralDocument,
    CompileSizesDocument,
    ExportDocument,
    PlanDocument,
    QuantizeDocument,
)
from qnn_sd.cli.documents.cost import CostDocument
from qnn_sd.cli.documents.doctor import DoctorDocument, PhoneReport
from qnn_sd.cli.documents.failure import ErrorDetail, ErrorDocument
from qnn_sd.cli.documents.hub import HubDevicesDocument, HubJobsDocument, HubResumeDocument, HubStandInDocument
from qnn_sd.cli.documents.hub_profile import HubProfileDocument
from qnn_sd.cli.documents.inspect import InspectDocument
from qnn_sd.cli.documents.pages import DocsDocument
from qnn_sd.cli.documents.phones import (
    DevicesDocument,
    UnstageDocument,
    VirtualPhoneDocument,
    VirtualPhoneStopDocument,
)
from qnn_sd.cli.documents.report import ReportDocument
from qnn_sd.cli.documents.run import RunDocument
from qnn_sd.cli.documents.runtime import RuntimeFetchDocument, RuntimeListDocument
from qnn_sd.cli.documents.socs import KnownSocsDocument
from qnn_sd.cli.documents.verify import VerificationReport, VerifyDocument
from qnn_sd.cli.documents.verify_binary import VerifyBinaryDocument

__all__ = [
    "BenchDocument",
    "BisectDocument",
    "CompileDlcDocument",
    "CompileDocument",
    "CompileSeveralDocument",
    "CompileSizesDocument",
    "CostDocument",
    "DevicesDocument",
    "DocsDocument",
    "DoctorDocument",
    "ErrorDetail",
    "ErrorDocument",
    "ExportDocument",
    "HubDevicesDocument",
    "HubJobsDocument",
    "HubProfileDocument",
    "HubResumeDocument",
    "HubStandInDocument",
    "InspectDocument",
    "KnownSocsDocument",
    "PhoneReport",
    "PlanDocument",
    "QuantizeDocument",
    "ReportDocument",
    "RunDocument",
    "RuntimeFetchDocument",
    "RuntimeListDocument",
    "UnstageDocument",
    "VerificationReport",
    "VerifyBinaryDocument",
    "VerifyDocument",
    "VirtualPhoneDocument",
    "VirtualPhoneStopDocument",
]
