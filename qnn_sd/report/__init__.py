"""The page of ``qnn-sd report``: one HTML file with its pictures and plots in it, that fetches nothing."""

from qnn_sd.report.page import report_page
from qnn_sd.report.pictures import Pictures

__all__ = ["Pictures", "report_page"]
