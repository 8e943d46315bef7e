import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image

from fdnm_timm.data import SYSUMM01, DatasetError
from fdnm_timm.engine import CrossModalityDataManager, FDNMEngine
from fdnm_timm.engine._torchreid import Engine
from fdnm_timm.metrics import rank

from .helpers import small_engine, small_manager


@pytest.fixture(scope='module')
def manager(sysu_tree: Path) -> CrossModalityDataManager:
    return small_manager(sysu_tree)


def test_run_leaves_a_whole_run(manager, tmp_path):
    engine = small_engine(manager, config={'train': {'epochs': 2}})
    assert isinstance(engine, Engine)
    results = engine.run(save_dir=str(tmp_path), max_epoch=2, eval_freq=1)
    assert yaml.safe_load((tmp_path / 'config.yaml').read_text()) == {'train': {'epochs': 2}}
    environment = json.loads((tmp_path / 'environment.json').read_text())
    assert environment['versions']['timm'] == timm.__version__
    saved = json.loads((tmp_path / 'results.json').read_text())
    assert saved['results'] == results
    assert [entry['epoch'] for entry in saved['history']] == [1, 2]
    all_search = results['sysu_mm01']['all_search_single_shot']
    assert len(all_search['trials']) == 10 and 0 <= all_search['R1'] <= 100
    assert all_search['R1'] == pytest.approx(np.mean([trial['R1'] for trial in all_search['trials']]))


def test_tensorboard_has_every_loss_term(manager, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    small_engine(manager).run(save_dir=str(tmp_path), max_epoch=1)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.Tags()['scalars'])
    assert {'Train/loss', 'Train/loss_id', 'Train/loss_tri', 'Train/loss_cnm', 'Train/lr'} <= tags
    assert 'Test/sysu_mm01/all_search_single_shot/R1' in tags


def test_modality_reaches_the_stems_in_training(manager):
    """After one step the infrared stem's statistics come from infrared images alone."""
    engine = small_engine(manager)
    engine.set_model_mode('train')
    engine.epoch = engine.batch_idx = 0
    engine._epoch_sums = {}
    data = next(iter(manager.train_loader))
    stem = engine.model.stem
    with torch.no_grad():
        expected = {
            name: getattr(stem, name).conv1(data['img'][data['modality'] == number]).mean(dim=(0, 2, 3))
            for number, name in enumerate(('visible', 'infrared'))
        }
    engine.forward_backward(data)
    for name, mean in expected.items():
        torch.testing.assert_close(getattr(stem, name).bn1.running_mean, 0.1 * mean, rtol=1e-3, atol=1e-6)


def test_modality_reaches_the_model_in_evaluation(manager):
    engine = small_engine(manager)
    with torch.no_grad():  # stems that differ, so that the wrong one is noticed
        engine.model.stem.infrared.conv1.weight.mul_(-1)
    records = manager.datasets['sysu_mm01'].query[:3]
    expected = []
    engine.model.eval()
    with torch.no_grad():
        for path, _, _ in records:
            image = manager.transform_te(manager.datasets['sysu_mm01'].load(path)).unsqueeze(0)
            features = engine.model.forward_features(image, 'infrared')
            expected.append(engine.model.forward_head(features, pre_logits=True))
    torch.testing.assert_close(engine.embed('sysu_mm01', records), torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_evaluation_follows_the_protocol(manager):
    """The numbers are those of ranking each trial's own embeddings, with the camera rule, one trial at a time."""
    engine = small_engine(manager)
    engine.test()
    dataset = manager.datasets['sysu_mm01']
    for name, mode, shots in (('all_search_single_shot', 'all', 1), ('indoor_search_multi_shot', 'indoor', 10)):
        found = engine.results['sysu_mm01'][name]
        assert found['shots'] == shots and found['gallery_draw'] == 'agw'
        for trial in (0, 7):
            gallery = dataset.draw_gallery(mode, shots, trial)
            expected = rank(
                engine.embed('sysu_mm01', dataset.query), engine.embed('sysu_mm01', gallery),
                [r[1] for r in dataset.query], [r[1] for r in gallery],
                [r[2] for r in dataset.query], [r[2] for r in gallery], rule='sysu_mm01', cmc='identity')
            assert found['trials'][trial]['mAP'] == pytest.approx(100 * expected.mAP, abs=1e-3)
            assert found['trials'][trial]['R1'] == pytest.approx(100 * expected.cmc[0], abs=1e-3)
            assert found['trials'][trial]['valid_queries'] == expected.n_valid
            outcomes = engine.outcomes['sysu_mm01'][name]
            assert np.nanmean(outcomes.ap[trial]) == pytest.approx(expected.mAP, abs=1e-5)
            assert np.mean(outcomes.first[trial][outcomes.first[trial] >= 0] == 0) == pytest.approx(expected.cmc[0])
            assert outcomes.pids.tolist() == [pid for _, pid, _ in dataset.query]


def test_every_image_is_embedded_once(manager, monkeypatch):
    engine = small_engine(manager)
    seen = []
    embed = engine.embed
    monkeypatch.setattr(
        engine, 'embed', lambda name, records, flip: seen.extend(records) or embed(name, records, flip))
    engine.test()
    assert len(seen) == len(set(seen))
    needed = {r for s in manager.settings['sysu_mm01'] for trial in s.trials for records in trial for r in records}
    assert set(seen) == needed


def test_frozen_parameters_stay_frozen(manager, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model('fdnm_resnet18', num_classes=manager.num_train_pids)
    model.stem.requires_grad_(False)
    before = model.stem.visible.conv1.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    engine = FDNMEngine(manager, model, optimizer, progress=False)
    engine.run(save_dir=str(tmp_path), max_epoch=1)
    assert torch.equal(model.stem.visible.conv1.weight, before)
    assert not model.stem.visible.conv1.weight.requires_grad
    assert model.head.classifier.weight.requires_grad


def test_fixbase_epochs_train_the_open_layers_only(manager, tmp_path):
    engine = small_engine(manager)
    before = engine.model.stages[0][0].conv1.weight.clone()
    classifier = engine.model.head.classifier.weight.clone()
    engine.run(save_dir=str(tmp_path), max_epoch=1, fixbase_epoch=1, open_layers='head')
    assert torch.equal(engine.model.stages[0][0].conv1.weight, before)
    assert not torch.equal(engine.model.head.classifier.weight, classifier)


def test_checkpoint_without_scheduler_loads_in_torchreid(manager, tmp_path):
    engine = small_engine(manager, scheduler=False)
    engine.save_model(4, np.float64(0.25), str(tmp_path))
    file = tmp_path / 'model' / 'model-last.pth.tar'
    state = torch.load(file, weights_only=True)
    assert state['epoch'] == 5 and state['rank1'] == 0.25 and type(state['rank1']) is float
    from fdnm_timm.engine._torchreid import _find
    other = small_engine(manager, scheduler=False, seed=1)
    assert _find('utils').resume_from_checkpoint(str(file), other.model, other.optimizer) == 5
    for a, b in zip(engine.model.state_dict().values(), other.model.state_dict().values()):
        assert torch.equal(a, b)


def test_best_and_last_checkpoints(manager, tmp_path):
    engine = small_engine(manager)
    for epoch, rank1 in enumerate((0.2, 0.5, 0.3)):
        engine.save_model(epoch, rank1, str(tmp_path))
    best, last = (
        torch.load(tmp_path / 'model' / f'model-{which}.pth.tar', weights_only=True) for which in ('best', 'last'))
    assert best['rank1'] == 0.5 and best['epoch'] == 2
    assert last['rank1'] == 0.3 and last['epoch'] == 3
    assert len(list((tmp_path / 'model').iterdir())) == 2


def test_best_by_another_metric(manager, tmp_path):
    engine = small_engine(manager, best_by='mAP')
    for epoch, (rank1, mean) in enumerate(((40., 30.), (50., 20.), (40., 30.))):
        engine.results = {'sysu_mm01': {'first': {'R1': rank1, 'mAP': mean}, 'second': {'R1': 0., 'mAP': 99.}}}
        engine.save_model(epoch, rank1 / 100, str(tmp_path))
    assert engine.best == {'epoch': 1, 'metric': 'mAP', 'value': 30.}  # the earlier one of equals
    assert torch.load(tmp_path / 'model' / 'model-best.pth.tar', weights_only=True)['epoch'] == 1


def test_best_by_a_rank_that_was_not_asked_for(manager, tmp_path):
    engine = small_engine(manager, best_by='R2')
    engine.run(save_dir=str(tmp_path), max_epoch=1, ranks=(5,))
    assert engine.best['value'] == engine.results['sysu_mm01']['all_search_single_shot']['R2']


def test_failed_save_leaves_the_old_checkpoint(manager, tmp_path, monkeypatch):
    engine = small_engine(manager)
    engine.save_model(0, 0.1, str(tmp_path))
    file = tmp_path / 'model' / 'model-last.pth.tar'
    old = file.read_bytes()

    def _full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', _full)
    with pytest.raises(OSError, match='No space'):
        engine.save_model(0, 0.1, str(tmp_path))
    assert file.read_bytes() == old
    assert sorted(p.name for p in file.parent.iterdir()) == ['model-best.pth.tar', 'model-last.pth.tar']


def test_each_epoch_draws_its_own_batches(manager, tmp_path, monkeypatch):
    engine = small_engine(manager)
    drawn = []
    parse = engine.parse_data_for_train
    monkeypatch.setattr(engine, 'parse_data_for_train', lambda data: drawn.append(data['impath']) or parse(data))
    engine.run(save_dir=str(tmp_path), max_epoch=2)
    half = len(drawn) // 2
    assert drawn[:half] != drawn[half:]


def test_same_seed_same_losses(sysu_tree, tmp_path):
    histories = []
    for run in range(2):
        engine = small_engine(small_manager(sysu_tree, workers=run))  # workers change nothing
        engine.run(save_dir=str(tmp_path / str(run)), max_epoch=1)
        histories.append(engine.history)
    assert histories[0] == histories[1]


def test_nan_image_is_named(manager):
    engine = small_engine(manager)
    engine.set_model_mode('train')
    engine.epoch = engine.batch_idx = 0
    engine._epoch_sums = {}
    before = {k: v.clone() for k, v in engine.model.named_parameters()}
    data = next(iter(manager.train_loader))
    data['img'][3, 0, 5, 5] = float('nan')
    with pytest.raises(FloatingPointError, match=f'batch 1.*{data["impath"][3]}'):
        engine.forward_backward(data)
    assert all(torch.equal(before[k], v) for k, v in engine.model.named_parameters())


def test_corrupt_training_image_ends_with_its_name(sysu_tree, tmp_path):
    import shutil
    root = shutil.copytree(sysu_tree, tmp_path / 'SYSU-MM01')
    dataset = SYSUMM01(root)
    for path in {r[0] for r in dataset.train}:
        Path(path).write_bytes(b'not an image')
    engine = small_engine(small_manager(root))
    with pytest.raises(DatasetError, match='Cannot read the image'):
        engine.run(save_dir=str(tmp_path / 'run'), max_epoch=1)


def test_wrong_model_is_refused(manager):
    plain = timm.create_model('resnet18', num_classes=manager.num_train_pids)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    with pytest.raises(TypeError, match='ResNet is no FDNM model'):
        FDNMEngine(manager, plain, optimizer)
    model = timm.create_model('fdnm_resnet18', num_classes=3)
    with pytest.raises(ValueError, match='3 classes.*10 training identities'):
        FDNMEngine(manager, model, torch.optim.SGD(model.parameters(), lr=0.1))


def test_test_only_trains_nothing(manager, tmp_path):
    engine = small_engine(manager)
    before = {k: v.clone() for k, v in engine.model.state_dict().items()}
    results = engine.run(save_dir=str(tmp_path), max_epoch=3, test_only=True, visrank=True)
    assert set(results['sysu_mm01']) == {
        f'{mode}_search_{shots}_shot' for mode in ('all', 'indoor') for shots in ('single', 'multi')}
    assert all(torch.equal(before[k], v) for k, v in engine.model.state_dict().items())
    with Image.open(tmp_path / 'visrank_sysu_mm01_all_search_single_shot.png') as picture:
        assert min(picture.size) > 100


def test_ranked_lists_obey_the_camera_rule(manager):
    engine = small_engine(manager)
    engine.test()
    lists = engine.ranked['sysu_mm01']['all_search_single_shot']
    for (_, _, camid), places in zip(lists.query, lists.places):
        found = [lists.gallery[place][2] for place in places if place >= 0]
        assert camid != 3 or 2 not in found


def test_rerank_and_flip_are_written_into_the_result(manager, capsys):
    engine = small_engine(manager)
    engine.test()
    plain = engine.results['sysu_mm01']['all_search_single_shot']
    assert plain['reranked'] is False and plain['flipped'] is False
    assert 're-ranked' not in capsys.readouterr().out
    engine.test(rerank=True, flip=True)
    found = engine.results['sysu_mm01']['all_search_single_shot']
    assert found['reranked'] is True and found['flipped'] is True
    assert found['mAP'] != plain['mAP']
    assert '(re-ranked)  (flipped images too)' in capsys.readouterr().out


def test_flip_embeds_the_mirror_image_too(manager):
    engine = small_engine(manager)
    records = manager.datasets['sysu_mm01'].query[:2]
    images = torch.stack([
        manager.transform_te(manager.datasets['sysu_mm01'].load(path)) for path, _, _ in records])
    with torch.no_grad():
        engine.set_model_mode('eval')
        both = [engine.extract_features(x, torch.tensor([1, 1])) for x in (images, images.flip(-1))]
    torch.testing.assert_close(
        engine.embed('sysu_mm01', records, flip=True), torch.stack(both).mean(dim=0), rtol=1e-4, atol=1e-6)


def test_test_checks_its_arguments(manager):
    engine = small_engine(manager)
    with pytest.raises(ValueError, match='CUHK03'):
        engine.test(use_metric_cuhk03=True)


def test_combined_sources_keep_modality(sysu_tree, tmp_path):
    """torchreid's own managers shift the camera numbers of the second source; the modality must survive it."""
    from fdnm_timm.engine._torchreid import _find
    adapter = _find('data.datasets').init_image_dataset
    first = adapter('sysu_mm01', root=str(sysu_tree), verbose=False)
    both = first + adapter('sysu_mm01', root=str(sysu_tree), verbose=False)
    assert len(both) == 2 * len(first)
    item, shifted = both[0], both[len(first)]
    assert shifted['camid'] == item['camid'] + 6 and shifted['modality'] == item['modality']
    place = next(i for i, record in enumerate(first.train) if record[2] == 6)
    assert both[len(first) + place]['camid'] == 12 and both[len(first) + place]['modality'] == 1

    manager = small_manager(sysu_tree, sources=[SYSUMM01(sysu_tree)], num_ids=3)
    data = next(iter(manager.train_loader))
    assert data['modality'].tolist() == [int(Path(p).parts[-3][3:]) in (3, 6) for p in data['impath']]


def test_config_to_run(sysu_tree, tmp_path):
    from fdnm_timm.config import load_config, recipe_path
    from fdnm_timm.engine import build_engine
    config = load_config(recipe_path('roadscene'), [
        'data.dataset=sysu_mm01', f'data.root={sysu_tree}', 'data.workers=0', 'data.height=48', 'data.width=24',
        'data.hold_out=2', 'data.num_ids=3', 'data.num_instances=2', 'model.agp_stages=[]', 'model.anm=false',
        'model.final_norm=true'])
    engine = build_engine(config, progress=False)
    assert engine.model.anm is None and isinstance(engine.model.final_norm, torch.nn.BatchNorm2d)
    groups = {g['name']: g for g in engine.optimizer.param_groups}
    assert groups['heads']['initial_lr'] == config.optim.lr
    assert groups['backbone']['initial_lr'] == config.optim.lr * config.optim.backbone_lr_scale
    assert sum(len(g['params']) for g in groups.values()) == len(list(engine.model.parameters()))
    results = engine.run(save_dir=str(tmp_path), max_epoch=1)
    assert set(results['sysu_mm01']) == {'infrared_to_visible', 'visible_to_infrared'}
