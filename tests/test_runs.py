import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdnm_timm.config import load_config
from fdnm_timm.engine import FDNMEngine, build_engine
from fdnm_timm.plots import plot_ranked, save_figure
from fdnm_timm.runs import config_of, dataset_of, finish_run, is_finished
from fdnm_timm.saved import load_image, read_ranked, read_samples

from .hub.small_run import small_run


@pytest.fixture(scope='module')
def run(sysu_tree) -> Path:
    return small_run(sysu_tree)


@pytest.fixture(scope='module')
def engine(run) -> FDNMEngine:
    """Evaluated, with the first two queries of a setting alone to draw."""
    engine = build_engine(load_config(config_of(run)), progress=False)
    engine.test()
    for target, settings in engine.ranked.items():
        engine.ranked[target] = {
            name: lists._replace(query=lists.query[:2], places=lists.places[:2, :3])
            for name, lists in list(settings.items())[:1]}
    return engine


@pytest.fixture(scope='module')
def finished(engine, run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    finish_run(engine, load_config(config_of(run)), folder)
    return folder


def test_a_run_leaves_what_pictures_are_made_of(finished, engine):
    # the engine did not train: there are no losses to draw
    assert {path.name for path in finished.iterdir()} == {
        'hub', 'ranked.json', 'ranked_all_search_single_shot.png', 'samples.npz'}
    found = read_samples(finished / 'samples.npz')['synthetic_vi']
    assert len(set(found.pids.tolist())) == 6
    lists = engine.ranked['synthetic_vi']['all_search_single_shot']
    queries = read_ranked(finished / 'ranked.json')['synthetic_vi']['all_search_single_shot']
    assert [query[1:] for query, _ in queries] == [record[1:] for record in lists.query]
    assert not any(Path(path).is_absolute() for query, places in queries for path, _, _ in (query, *places))
    assert not any(Path(path).is_absolute() for path in found.paths.tolist())


def test_the_picture_can_be_drawn_again_without_the_model(finished, run, sysu_tree, tmp_path):
    """From the run's files and a data set that was moved."""
    shutil.copy(config_of(run), finished / 'config.yaml')
    moved = shutil.copytree(sysu_tree, tmp_path / 'moved')
    dataset = dataset_of(finished, moved)
    assert dataset.root == moved
    queries = read_ranked(finished / 'ranked.json')['synthetic_vi']['all_search_single_shot']
    figure = plot_ranked(queries, partial(load_image, dataset), title='synthetic_vi, all_search_single_shot')
    drawn = save_figure(tmp_path / 'again.png', figure, dpi=200)
    with Image.open(drawn) as mine, Image.open(finished / 'ranked_all_search_single_shot.png') as its:
        assert np.array_equal(np.asarray(mine), np.asarray(its))


def test_dataset_of_a_run(run, sysu_tree, tmp_path):
    assert dataset_of(run).name == 'synthetic_vi' and dataset_of(run).root == sysu_tree
    with pytest.raises(FileNotFoundError, match='no folder ".*nowhere".*--root'):
        dataset_of(run, tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='is no run'):
        dataset_of(tmp_path)


def test_a_run_is_finished_at_the_very_end(engine, run, tmp_path):
    for name in ('results.json', 'outcomes.npz'):
        shutil.copy(run / name, tmp_path / name)
    (tmp_path / 'samples.npz').mkdir()  # which no file can replace
    config = load_config(config_of(run))
    with pytest.raises(OSError):
        finish_run(engine, config, tmp_path)
    assert not is_finished(tmp_path)
    (tmp_path / 'samples.npz').rmdir()
    finish_run(engine, config, tmp_path)
    assert is_finished(tmp_path)
