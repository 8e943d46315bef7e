from pathlib import Path

import pytest
import torch

from fdnm_timm.data import INFRARED, LLCM, SYSUMM01, VISIBLE, RegDB, RoadScene, SyntheticVI, hold_out
from fdnm_timm.data.synthetic import write_llcm_layout, write_regdb_layout
from fdnm_timm.metrics import rank
from fdnm_timm.protocols import Setting, Trial, settings_of, sysu_mm01_settings

from ..data.test_roadscene import write_pairs


@pytest.fixture(scope='module')
def sysu(sysu_tree: Path) -> SYSUMM01:
    return SYSUMM01(sysu_tree)


@pytest.fixture(scope='module')
def roads(tmp_path_factory) -> RoadScene:
    return RoadScene(write_pairs(tmp_path_factory.mktemp('roads') / 'set'))


@pytest.fixture(scope='module')
def regdb(tmp_path_factory) -> RegDB:
    root = write_regdb_layout(
        tmp_path_factory.mktemp('regdb') / 'RegDB', num_train=4, num_test=4, images_per_modality=2, height=32, width=16)
    return RegDB(root, trial=3)


@pytest.fixture(scope='module')
def llcm(tmp_path_factory) -> LLCM:
    return LLCM(write_llcm_layout(
        tmp_path_factory.mktemp('llcm') / 'LLCM', num_train=3, num_test=4, images_per_camera=3, height=32, width=16))


def check_both_directions(dataset) -> None:
    settings = settings_of(dataset)
    assert [setting.name for setting in settings] == ['infrared_to_visible', 'visible_to_infrared']
    infrared = [record for record in dataset.test if dataset.modality(record[0]) == INFRARED]
    visible = [record for record in dataset.test if dataset.modality(record[0]) == VISIBLE]
    assert infrared and visible and len(infrared) + len(visible) == len(dataset.test)
    assert settings == [
        Setting('infrared_to_visible', [Trial(infrared, visible)], None, 'image'),
        Setting('visible_to_infrared', [Trial(visible, infrared)], None, 'image'),
    ]


def test_roadscene_goes_both_ways(roads):
    check_both_directions(roads)
    first = settings_of(roads)[0]
    assert first.trials == [Trial(roads.query, roads.gallery)]
    assert len(roads.query) == 4 * len({pid for _, pid, _ in roads.test})  # four views of every test identity


def test_sysu_is_all_and_indoor_search_with_one_and_ten_shots(sysu):
    settings = {setting.name: setting for setting in settings_of(sysu)}
    assert list(settings) == [
        'all_search_single_shot', 'indoor_search_single_shot', 'all_search_multi_shot', 'indoor_search_multi_shot']
    for name, setting in settings.items():
        mode, _, word, _ = name.split('_')
        shots = {'single': 1, 'multi': 10}[word]
        assert setting.rule == 'sysu_mm01' and setting.cmc == 'identity'
        assert setting.variant == {'gallery_draw': 'agw', 'shots': shots}
        assert setting.reported == (mode if shots == 1 else None)  # the paper reports single-shot alone
        assert len(setting.trials) == 10
        for number, trial in enumerate(setting.trials):
            assert trial.query == sysu.query  # all of them, also of indoor-search
            assert trial.gallery == sysu.draw_gallery(mode, shots, number)
            assert {camid for _, _, camid in trial.gallery} <= ({1, 2, 4, 5} if mode == 'all' else {1, 2})
    singles = settings['all_search_single_shot'].trials
    assert len({str(trial.gallery) for trial in singles}) > 1
    assert singles[0].gallery == sysu.gallery
    assert len(settings['all_search_multi_shot'].trials[0].gallery) > len(singles[0].gallery)


def test_number_of_trials(sysu):
    few = sysu_mm01_settings(sysu, num_trials=3)
    assert [len(setting.trials) for setting in few] == [3] * 4
    assert few[0].trials == settings_of(sysu)[0].trials[:3]


def test_official_draw_is_written_into_the_variant(sysu_tree):
    official = SYSUMM01(sysu_tree, gallery_draw='official')
    setting = settings_of(official)[0]
    assert setting.variant['gallery_draw'] == 'official'
    assert setting.trials[4].gallery == official.draw_gallery('all', 1, 4)


def test_regdb_goes_both_ways_on_its_own_split(regdb):
    forth, back = settings_of(regdb)
    assert (forth.name, back.name) == ('visible_to_infrared', 'infrared_to_visible')
    for setting in (forth, back):
        assert setting.variant == {'trial': 3} and setting.rule is None and setting.cmc == 'image'
        assert setting.reported == setting.name
    assert forth.trials == [Trial(regdb.query, regdb.gallery)]
    assert back.trials == [Trial(regdb.gallery, regdb.query)]
    trained = {path for path, _, _ in regdb.train}
    assert not trained & {path for path, _, _ in regdb.test}


def test_llcm_has_the_honest_and_the_published_direction(llcm):
    settings = {setting.name: setting for setting in settings_of(llcm)}
    assert list(settings) == ['infrared_to_visible', 'visible_to_infrared', 'visible_to_infrared_as_published']
    images = {
        modality: [record for record in llcm.test if llcm.modality(record[0]) == modality]
        for modality in (VISIBLE, INFRARED)
    }
    for setting in settings.values():
        assert setting.rule == 'same_camera' and setting.cmc == 'identity' and len(setting.trials) == 10
    for number in range(10):
        visible, infrared = (llcm.draw_gallery(modality, number) for modality in (VISIBLE, INFRARED))
        assert settings['infrared_to_visible'].trials[number] == Trial(images[INFRARED], visible)
        assert settings['visible_to_infrared'].trials[number] == Trial(images[VISIBLE], infrared)
        assert settings['visible_to_infrared_as_published'].trials[number] == Trial(infrared, images[VISIBLE])
    assert [setting.reported for setting in settings.values()] == ['infrared_to_visible', None, 'visible_to_infrared']


def test_queries_of_all_trials_have_the_same_identities(sysu, roads, regdb, llcm):
    for dataset in (sysu, roads, regdb, llcm):
        for setting in settings_of(dataset):
            assert len({tuple(pid for _, pid, _ in trial.query) for trial in setting.trials}) == 1


def test_synthetic_set_has_sysus_protocol(tmp_path):
    dataset = SyntheticVI(tmp_path / 's', num_train=3, num_val=1, num_test=3, images_per_camera=2, height=48, width=24)
    assert settings_of(dataset) == sysu_mm01_settings(dataset)


def test_held_out_identities_go_both_ways(sysu, roads, regdb, llcm):
    for dataset in (sysu, roads, regdb, llcm):
        split = hold_out(dataset, 3)
        check_both_directions(split)
        held = {pid for _, pid, _ in split.test}
        for setting in settings_of(split):
            for records in setting.trials[0]:
                assert {pid for _, pid, _ in records} == held
                assert not {path for path, _, _ in records} & {path for path, _, _ in dataset.test}
    assert len(settings_of(sysu)[0].trials) == 10  # the original keeps its protocol


def test_every_setting_can_be_ranked(sysu, roads, regdb, llcm):
    """The rule and the way of counting are ones that `metrics.rank` knows."""
    for dataset in (sysu, roads, regdb, llcm):
        for setting in settings_of(dataset):
            query, gallery = setting.trials[0]
            q_pids, q_camids = torch.tensor([record[1:] for record in query]).t()
            g_pids, g_camids = torch.tensor([record[1:] for record in gallery]).t()
            result = rank(
                None, None, q_pids, g_pids, q_camids, g_camids, rule=setting.rule, cmc=setting.cmc,
                distmat=(q_pids[:, None] != g_pids[None]).float())
            assert float(result.cmc[0]) == pytest.approx(1) and result.mAP == pytest.approx(1)
            assert 0 < result.n_valid <= len(q_pids)
