"""A finished run as one HTML page that needs nothing else."""
from .page import report_html, write_report

__all__ = ['report_html', 'write_report']
