"""The page itself: sections into the template, whole into a file."""
import os
from pathlib import Path
from typing import List, Optional, Union

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise ImportError(f'{error}. Reports need it: pip install "fdnm_timm[train,plots]".') from error

from ..files import write_text
from ..hub import card_sections as sections
from ..hub.facts import facts_of
from ..version import __version__
from . import figures, overview, results
from .blocks import Block, Note, Section, Text
from .material import Material, read_material
from .text import inline

__all__ = ['report_html', 'write_report']


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader('fdnm_timm.report', ''), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters['inline'] = inline
    return environment


def _introduction(material: Material) -> List[Block]:
    facts = facts_of(material.run.config['data']['dataset'])
    return [Text(sections.about(material.run, facts)), Note(facts.meaning)]


def _sections(material: Material) -> List[Section]:
    return [
        overview.about(material), results.measured(material), results.protocol(material),
        *figures.sections(material), overview.configuration(material), overview.limits(material)]


def report_html(run_dir: Union[str, os.PathLike]) -> str:
    """A run's report as one HTML page that loads nothing: pictures and style are inside, and it runs no script.

    Args:
        run_dir: Folder of a finished run.

    Raises:
        FileNotFoundError: The folder is no finished run.
        ValueError: Its files are damaged, or are not of one run.
    """
    material = read_material(Path(run_dir))
    return _environment().get_template('template.html.j2').render(
        title=overview.title(material.run), introduction=_introduction(material), sections=_sections(material),
        version=__version__)


def write_report(run_dir: Union[str, os.PathLike], out: Optional[Union[str, os.PathLike]] = None) -> Path:
    """Write a run's report, to RUN_DIR/report.html by default; returns the file. Raises as `report_html`."""
    path = Path(run_dir) / 'report.html' if out is None else Path(out)
    write_text(path, report_html(run_dir))
    return path
