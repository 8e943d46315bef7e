from pathlib import Path

import pytest
import torch

from fdnm_timm.data import INFRARED, SYSUMM01, VISIBLE, RoadScene, SyntheticVI, hold_out
from fdnm_timm.metrics import rank
from fdnm_timm.protocols import Setting, settings_of, sysu_mm01_settings

from ..data.test_roadscene import write_pairs


@pytest.fixture(scope='module')
def sysu(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


@pytest.fixture(scope='module')
def roads(tmp_path_factory) -> RoadScene:
    return RoadScene(write_pairs(tmp_path_factory.mktemp('roads') / 'set'))


def check_both_directions(dataset) -> None:
    settings = settings_of(dataset)
    assert [setting.name for setting in settings] == ['infrared_to_visible', 'visible_to_infrared']
    infrared = [record for record in dataset.test if dataset.modality(record[0]) == INFRARED]
    visible = [record for record in dataset.test if dataset.modality(record[0]) == VISIBLE]
    assert infrared and visible and len(infrared) + len(visible) == len(dataset.test)
    assert settings == [
        Setting('infrared_to_visible', infrared, [visible], None, 'image'),
        Setting('visible_to_infrared', visible, [infrared], None, 'image'),
    ]


def test_roadscene_goes_both_ways(roads):
    check_both_directions(roads)
    first = settings_of(roads)[0]
    assert first.query == roads.query and first.galleries == [roads.gallery]
    assert len(first.query) == 4 * len({pid for _, pid, _ in roads.test})  # four views of every test identity


def test_sysu_is_all_and_indoor_search(sysu):
    settings = settings_of(sysu)
    assert [setting.name for setting in settings] == ['all_search_single_shot', 'indoor_search_single_shot']
    for setting, mode, cameras in zip(settings, ('all', 'indoor'), ({1, 2, 4, 5}, {1, 2}), strict=True):
        assert setting.rule == 'sysu_mm01' and setting.cmc == 'identity'
        assert setting.query == sysu.query  # all of them, also of indoor-search
        assert {camid for _, _, camid in setting.query} == {3, 6}
        assert len(setting.galleries) == 10
        assert setting.galleries == [sysu.draw_gallery(mode, 1, trial) for trial in range(10)]
        for gallery in setting.galleries:
            assert {camid for _, _, camid in gallery} <= cameras
            pairs = [(pid, camid) for _, pid, camid in gallery]
            assert len(set(pairs)) == len(pairs)  # single-shot
        assert len({str(gallery) for gallery in setting.galleries}) > 1
    assert settings[0].galleries[0] == sysu.gallery


def test_number_of_trials(sysu):
    assert [len(setting.galleries) for setting in sysu_mm01_settings(sysu, num_trials=3)] == [3, 3]
    assert sysu_mm01_settings(sysu, num_trials=3)[0].galleries == settings_of(sysu)[0].galleries[:3]


def test_synthetic_set_has_sysus_protocol(tmp_path):
    dataset = SyntheticVI(tmp_path / 's', num_train=3, num_val=1, num_test=3, images_per_camera=2, height=48, width=24)
    assert settings_of(dataset) == sysu_mm01_settings(dataset)


def test_held_out_identities_go_both_ways(sysu, roads):
    for dataset in (sysu, roads):
        split = hold_out(dataset, 3)
        check_both_directions(split)
        held = {pid for _, pid, _ in split.test}
        for setting in settings_of(split):
            for records in (setting.query, *setting.galleries):
                assert {pid for _, pid, _ in records} == held
                assert not {path for path, _, _ in records} & {path for path, _, _ in dataset.test}
    assert len(settings_of(sysu)[0].galleries) == 10  # the original keeps its protocol


def test_every_setting_can_be_ranked(sysu, roads):
    """The rule and the way of counting are ones that `metrics.rank` knows."""
    for dataset in (sysu, roads):
        for setting in settings_of(dataset):
            gallery = setting.galleries[0]
            q_pids, q_camids = torch.tensor([record[1:] for record in setting.query]).t()
            g_pids, g_camids = torch.tensor([record[1:] for record in gallery]).t()
            result = rank(
                None, None, q_pids, g_pids, q_camids, g_camids, rule=setting.rule, cmc=setting.cmc,
                distmat=(q_pids[:, None] != g_pids[None]).float())
            assert float(result.cmc[0]) == pytest.approx(1) and result.mAP == pytest.approx(1)
            assert 0 < result.n_valid <= len(q_pids)
