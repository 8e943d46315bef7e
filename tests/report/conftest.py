"""A run that has everything, and its page; made once a session."""
from pathlib import Path

import pytest
from PIL import Image

from fdnm_timm.report import report_html
from fdnm_timm.saved import RankedQuery, write_ranked

from ..hub.small_run import changed_copy, small_run


@pytest.fixture(scope='session')
def run(sysu_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small run, with ranked results, which that one leaves out."""
    folder = changed_copy(
        small_run(sysu_tree), tmp_path_factory.mktemp('report') / 'run', lambda config, settings: None)
    Image.effect_noise((200, 160), 90).save(folder / 'ranked_all_search_multi_shot.png', dpi=(100, 100))
    right, wrong = ('cam1/0011/0001.jpg', 11, 1), ('cam2/0012/0001.jpg', 12, 2)
    write_ranked(folder / 'ranked.json', {'synthetic_vi': {'all_search_multi_shot': [
        RankedQuery(('cam3/0011/0001.jpg', 11, 3), [right, wrong]), RankedQuery(('cam3/0012/0001.jpg', 12, 3), []),
        RankedQuery(('cam3/0013/0001.jpg', 13, 3), [right])]}})
    return folder


@pytest.fixture(scope='session')
def html(run: Path) -> str:
    return report_html(run)
