"""Every step from adb to a picture, tried one after the other on one phone: ``qnn-sd doctor --phone``."""

from qnn_sd.targets.adb.examination.checklist import Step
from qnn_sd.targets.adb.examination.examination import Examination, Findings
from qnn_sd.targets.adb.examination.means import Means, Painted, Subject
from qnn_sd.targets.adb.examination.privacy import Privacy
from qnn_sd.targets.adb.examination.report import document, markdown

__all__ = ["Examination", "Findings", "Means", "Painted", "Privacy", "Step", "Subject", "document", "markdown"]
