import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from huggingface_hub import ModelCard, metadata_load
from PIL import Image

from fdnm_timm.config import load_config
from fdnm_timm.data import DATASETS, build_test_transform
from fdnm_timm.hub.card import model_card
from fdnm_timm.hub.card_sections import preprocessing
from fdnm_timm.hub.facts import facts_of

from .small_run import REPO, changed_copy, small_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def run(sysu_tree) -> Path:
    return small_run(sysu_tree)


@pytest.fixture(scope='module')
def card(run) -> str:
    return model_card(run, REPO)


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one of the same or a higher level."""
    level = re.search(rf'^(#+) {re.escape(title)}$', text, re.MULTILINE)
    assert level is not None, title
    rest = text[level.end():]
    end = re.search(rf'^#{{1,{len(level.group(1))}}} ', rest, re.MULTILINE)
    return rest[:end.start()] if end else rest


def headings(text: str) -> list:
    without_code = re.sub(r'```.*?```', '', text, flags=re.DOTALL)
    return re.findall(r'^##+ .*', without_code, re.MULTILINE)


def test_metadata_can_be_read_back(run, card, tmp_path):
    (tmp_path / 'README.md').write_text(card)
    values = metadata_load(tmp_path / 'README.md')
    assert values['library_name'] == 'timm' and values['license'] == 'apache-2.0'
    assert values['datasets'] == ['synthetic_vi'] and 'base_model' not in values
    assert {'timm', 'fdnm', 'visible-infrared-person-re-identification'} <= set(values['tags'])
    data = ModelCard(card).data
    assert data.model_name == 'small'
    results = json.loads((run / 'results.json').read_text())['results']['synthetic_vi']
    found = {(e.dataset_config, e.metric_name): e for e in data.eval_results}
    assert len(found) == len(data.eval_results) == 4 * 6
    for setting, result in results.items():
        for metric, name in [('R1', 'Rank-1'), ('R20', 'Rank-20'), ('mAP', 'mAP'), ('mINP', 'mINP')]:
            entry = found[setting, f'{name} (%)']
            assert entry.metric_value == pytest.approx(result[metric], abs=5e-3)
            assert entry.dataset_type == 'synthetic_vi' and entry.dataset_split == 'test'
            assert entry.dataset_args['trials'] == 10 and entry.dataset_args['gallery_draw'] == 'agw'
            assert entry.dataset_args['shots'] == result['shots'] and entry.dataset_args['reranked'] is False


def test_snippet_runs_and_gives_the_model_s_own_embeddings(run, card):
    code = re.findall(r'```python\n(.*?)```', card, re.DOTALL)[0]
    assert f"'hf-hub:{REPO}'" in code
    names: dict = {}
    exec(code.replace(f'hf-hub:{REPO}', f'local-dir:{run / "hub"}'), names)
    model = timm.create_model(f'local-dir:{run / "hub"}', pretrained=True).eval()
    black = build_test_transform(48, 24)(Image.new('RGB', (64, 128)))[None]
    with torch.no_grad():
        for name, modality in (('query', 'infrared'), ('gallery', 'visible')):
            expected = model.forward_head(model.forward_features(black, modality), pre_logits=True)
            assert torch.equal(names[name], expected) and expected.shape == (1, 5120)
    assert -1 <= names['similarity'].item() < 1  # the stems differ
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 50, 3), dtype=np.uint8))
    torch.testing.assert_close(names['transform'](picture), build_test_transform(48, 24)(picture))


def test_what_was_measured_is_in_its_table_and_nothing_else(run, card):
    measured = section(card, 'Measured')
    for setting, result in json.loads((run / 'results.json').read_text())['results']['synthetic_vi'].items():
        assert f'| {setting} | {result["R1"]:.2f} ± {result["std"]["R1"]:.2f} |' in measured
        assert f'| {result["mINP"]:.2f} ± {result["std"]["mINP"]:.2f} |' in measured
    assert 'SyntheticVI (test)' in measured and 'A single run, seed 3' in measured
    assert 'Nothing: the paper' in section(card, 'Reported by the paper, not measured here')
    assert 'drawn by a program' in card and 'nothing about real people' in card


def test_protocol_says_which_variant_it_is(run, card):
    result = json.loads((run / 'results.json').read_text())['results']['synthetic_vi']['indoor_search_multi_shot']
    row = re.search(r'^\| indoor_search_multi_shot \|.*', section(card, 'Protocol'), re.MULTILINE)
    assert [cell.strip() for cell in row.group().strip('|').split('|')] == [
        'indoor_search_multi_shot', f'{result["queries"]} ({result["valid_queries"]})', str(result['gallery']), '10',
        'gallery_draw agw, shots 10', 'of camera 3: all of camera 2', 'identities', 'no', 'no']
    assert "as the AGW family's scripts do" in card


def test_configuration_makes_the_run_again_and_tells_no_folders(run, card, sysu_tree):
    text = re.findall(r'```yaml\n(.*?)```', section(card, 'Training'), re.DOTALL)[0]
    assert 'root' not in yaml.safe_load(text)['data']
    again = load_config(base=yaml.safe_load(text), over={'data': {'root': str(sysu_tree)}})
    assert again == load_config(run / 'config.yaml')
    assert str(sysu_tree) not in card and str(sysu_tree.parent) not in card


def test_facts_of_the_weights(run, card):
    table = section(card, 'Input and output')
    model = timm.create_model('fdnm_resnet18', num_classes=0)
    assert f'| {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million' in table
    assert '5,120 numbers: 10 vectors' in table and '(B, 3, 48, 24)' in table
    assert '0 = visible, 1 = infrared' in table
    assert json.loads((run / 'hub' / 'config.json').read_text())['fdnm']['sha256']['model.safetensors'] in table
    assert f'{(run / "hub" / "model.safetensors").stat().st_size / 1e6:.1f} MB' in table


def test_reported_figures_stand_apart(run, tmp_path):
    def as_sysu(config, settings):
        config['data']['dataset'] = 'sysu_mm01'
        config['model']['pretrained'] = True
        config['train']['epochs'] = 0
    card = model_card(changed_copy(run, tmp_path / 'run', as_sysu), REPO)
    reported = section(card, 'Reported by the paper, not measured here')
    assert '| SYSU-MM01, all_search_single_shot | 77.8 | 97.8 | 99.6 | 75.1 |' in reported
    assert '| SYSU-MM01, indoor_search_single_shot | 87.3 |' in reported
    assert 'multi_shot' not in reported and 'trained by its authors' in reported
    assert '77.8' not in card.replace(reported, '')
    data = ModelCard(card).data
    assert data.license == 'other' and data.license_name == 'terms-of-the-training-data'
    assert data.base_model == 'timm/resnet18.tv_in1k'
    assert '**None**: the weights are the pretrained backbone of `timm/resnet18.tv_in1k`' in section(card, 'Training')
    assert 'given out by its authors' in section(card, 'Terms') and 'those of ImageNet' in section(card, 'Terms')


def test_held_out_and_re_ranked_figures_say_so(run, tmp_path):
    def other(config, settings):
        config['data'].update(dataset='roadscene', hold_out=4)
        for result in settings.values():
            result.update(reranked=True, flipped=True, rule=None, cmc='image', warnings=['Too few impostors.'])
            result['trials'] = result['trials'][:1]
    card = model_card(changed_copy(run, tmp_path / 'run', other), REPO)
    assert 'held-out training identities' in section(card, 'Measured') and '±' not in section(card, 'Measured')
    assert 'Too few impostors.' in section(card, 'Measured')
    assert '**Measured on held-out training identities**' in section(card, 'Limits')
    assert '| nothing | images | yes | yes |' in section(card, 'Protocol')
    assert 'places in street pictures, not people' in card and 'show one place' in section(card, 'Limits')
    assert all(e.dataset_split != 'test' and e.dataset_args['flipped'] for e in ModelCard(card).data.eval_results)


def test_backbone_of_a_file_and_no_other_folder_of_the_machine(run, tmp_path):
    def other(config, settings):
        config['model'].update(pretrained=True, checkpoint='/home/someone/backbones/resnet18.pth')
        config['data']['options']['lists'] = ['/home/someone/lists.txt']
    card = model_card(changed_copy(run, tmp_path / 'run', other), REPO)
    assert 'the backbone in the file `resnet18.pth`' in card and 'checkpoint: resnet18.pth' in card
    assert 'someone' not in card and ModelCard(card).data.base_model is None


def test_preprocessing_by_a_centre_crop():
    cfg = dict(input_size=[1, 128, 128], crop_pct=128 / 144, crop_mode='center', interpolation='bilinear', mean=[0.],
               std=[1.])
    assert preprocessing(cfg) == 'the shorter side resized to 144 (bilinear), the centre of 128x128 cut out, ' \
                                 'to [0, 1], minus [0.0], divided by [1.0]'


def test_every_data_set_of_the_package_is_known():
    for name in DATASETS:
        assert facts_of(name).title != name and 'does not know' not in facts_of(name).terms
    assert 'does not know the data set "mine"' in facts_of('mine').meaning


@pytest.mark.parametrize('name', ['config.yaml', 'results.json', 'hub/config.json', 'hub/model.safetensors'])
def test_missing_file(run, tmp_path, name):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'no finished run: it has no {name}. (Finish|Give)'):
        model_card(folder, REPO)


@pytest.mark.parametrize(('name', 'old', 'new', 'message'), [
    ('results.json', '{', '', 'results.json" is damaged'),
    ('config.yaml', 'model:', '? [', 'config.yaml" is damaged'),
    ('results.json', '"R1": ', '"R1": 1', 'results .* differ: they are of different runs'),
    ('config.yaml', 'name: fdnm_resnet18', 'name: fdnm_resnet50', 'architecture .* differ'),
    ('results.json', '"results"', '"result"', "'results' is missing"),
    ('hub/config.json', '"sha256"', '"sha"', 'sha256|SHA-256'),
])
def test_files_that_do_not_fit_each_other(run, tmp_path, name, old, new, message):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        model_card(folder, REPO)


def test_exchanged_weights(run, tmp_path):
    folder = changed_copy(run, tmp_path / 'run', lambda config, settings: None)
    weights = folder / 'hub' / 'model.safetensors'
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match='SHA-256'):
        model_card(folder, REPO)


def test_example_at_the_top_is_what_the_template_makes(card):
    example = (ROOT / 'MODEL_CARD.md').read_text()
    own, expected = headings(example), headings(card)
    assert [heading for heading in own if heading in expected] == expected
    assert 'No trained weights are published' in example.partition('## ')[0]
    data = ModelCard(example).data
    assert data.library_name == 'timm' and data.eval_results
    measured = section(example, 'Measured')
    for entry in data.eval_results:  # metadata and table are of one run
        assert f'{entry.metric_value:.2f}' in measured
    fixed = [line for line in section(card, 'Ethics').splitlines() if line]
    assert fixed and all(line in example for line in fixed)


def test_no_run_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match='Give a folder that `fdnm train` left'):
        model_card(tmp_path, REPO)
    shutil.rmtree(tmp_path)
    with pytest.raises(FileNotFoundError, match='no finished run'):
        model_card(tmp_path, REPO)
