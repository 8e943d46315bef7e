"""The paper's tables as studies: which runs they are made of, running what is missing, and the table."""
from .reproduce import Job, plan, run_jobs
from .rows import ROWS, STUDIES, Row, Study
from .table import StudyResult, collect, format_study

__all__ = ['ROWS', 'STUDIES', 'Job', 'Row', 'Study', 'StudyResult', 'collect', 'format_study', 'plan', 'run_jobs']
