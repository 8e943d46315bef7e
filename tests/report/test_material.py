import time

import pytest
from torch.utils.tensorboard import SummaryWriter

from fdnm_timm.report.material import read_material
from fdnm_timm.report.overview import about

from ..hub.small_run import changed_copy


def test_only_what_the_folder_holds_of_the_run_s_own_targets(run, tmp_path):
    material = read_material(run)
    assert list(material.outcomes) == list(material.samples) == list(material.ranked) == ['synthetic_vi']

    def elsewhere(config, settings):
        config['data']['dataset'] = 'mine'
    other = read_material(changed_copy(run, tmp_path / 'run', elsewhere))
    assert other.outcomes == other.samples == other.ranked == {}
    assert material.seconds is None


def test_time_is_that_of_all_tensorboard_files(run, tmp_path):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    for seconds in (3600, 125):
        with SummaryWriter(str(folder), filename_suffix=f'.{seconds}') as writer:
            writer.add_scalar('Train/loss', 1., 0, walltime=time.time() + seconds)
    material = read_material(folder)
    assert material.seconds == pytest.approx(3725, abs=5)
    rows = {row[0]: row[1] for row in about(material).blocks[1].rows}
    assert rows['time'].startswith('1 h 2 min')
