"""The page of ``qnn-sd report``: one HTML file with its images and plots in it, that fetches nothing."""

from qnn_sd.report.images import PromptImages
from qnn_sd.report.page import report_page

__all__ = ["PromptImages", "report_page"]
