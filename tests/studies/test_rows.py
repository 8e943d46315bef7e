import pytest
import torch
import yaml

from fdnm_timm.config import load_config, recipe_path
from fdnm_timm.engine import build_model
from fdnm_timm.reported import read_reported
from fdnm_timm.studies import ROWS, STUDIES


def model_of(row: str):
    config = load_config(settings=[
        'model.name=fdnm_resnet18', 'model.pretrained=false', *ROWS[row].settings])
    return build_model(config.model, 4), config


@pytest.mark.parametrize('row, heads, agp, anm, norm', [
    ('base', 1, [], False, False),
    ('local', 4, [], False, False),
    ('base+local', 5, [], False, False),
    ('base+local+bn', 5, [], False, True),
    ('base+local+agp', 5, [1, 2], False, False),
    ('base+local+bn+agp', 5, [1, 2], False, True),
    ('base+local+anm', 5, [], True, False),
    ('base+local+agp+anm', 5, [1, 2], True, False),
    ('base+local+agp+anm+cnm', 5, [1, 2], True, False),
    *((f'base+local+agp{stage}', 5, [stage], False, False) for stage in range(5)),
])
def test_a_row_builds_what_its_name_says(row, heads, agp, anm, norm):
    model, config = model_of(row)
    assert model.head_hidden_size == (2 if anm else 1) * heads * 512
    assert (model.anm is not None) == anm and isinstance(model.final_norm, torch.nn.BatchNorm2d) == norm
    assert list(config.model.agp_stages) == agp
    names = {name for name, _ in model.named_modules() if name.endswith('guide')}
    assert len(names) == len(agp)
    if anm:
        assert (config.loss.lambda_cnm > 0) == row.endswith('cnm')


@pytest.mark.parametrize('row', [row for row in ROWS if '=' in row])
def test_a_point_of_the_sweep_sets_its_value(row):
    key, value = row.split('=')
    _, config = model_of(row)
    assert getattr(config.loss, key) == yaml.safe_load(value)
    assert config.loss.model_dump(exclude={key}) == load_config().loss.model_dump(exclude={key})


def test_rows_and_studies_name_what_exists():
    for study in STUDIES.values():
        assert set(study.rows) <= set(ROWS) and len(set(study.rows)) == len(study.rows)
    for name, row in ROWS.items():
        assert set(row.controls) <= set(ROWS) - {name}


@pytest.mark.parametrize('row, agp, anm, norm', [
    ('lightcnn', [], False, False),
    ('lightcnn+bn', [], False, True),
    ('lightcnn+anm', [], True, False),
    ('lightcnn+agp+anm', [1, 2], True, False),
    ('lightcnn+agp+anm+cnm', [1, 2], True, False),
    ('lightcnn+agp+anm+cnm avg', [1, 2], True, False),
    ('lightcnn+agp+anm+cnm raw', [1, 2], True, False),
    ('lightcnn+agp12', [1, 2], False, False),
    *((f'lightcnn+agp{stage}', [stage], False, False) for stage in range(5)),
])
def test_a_row_for_faces_builds_what_its_name_says(row, agp, anm, norm):
    config = load_config(settings=['model.name=fdnm_lightcnn29', 'model.pretrained=false', *ROWS[row].settings])
    model = build_model(config.model, 4, (32, 32))
    assert (model.anm is not None) == anm and isinstance(model.final_norm, torch.nn.BatchNorm2d) == norm
    assert list(config.model.agp_stages) == agp and model.head.pool_type == ('avg' if row.endswith('avg') else 'fc')
    assert (config.loss.lambda_cnm > 0 and anm) == ('cnm' in row)


@pytest.mark.parametrize('table', [3, 4])
def test_every_row_that_the_paper_reports_is_there(table):
    named = {ROWS[row].reported.get(table) for row in STUDIES[f'table{table}'].rows} - {None}
    assert named == {entry.method for entry in read_reported() if entry.table == table}


def test_table_5_has_the_papers_own_rows():
    named = {ROWS[row].reported.get(5) for row in STUDIES['table5'].rows} - {None}
    assert named == {'LightCNN-29', 'FDNM'}  # the others are other methods


@pytest.mark.parametrize('dataset', ['sysu_mm01', 'regdb', 'llcm'])
def test_person_recipes_have_the_papers_settings(dataset):
    config = load_config(recipe_path(dataset))
    assert config.data.dataset == dataset
    assert (config.data.height, config.data.width, config.data.num_ids, config.data.num_instances) == (384, 192, 6, 4)
    assert config.model.name == 'fdnm_resnet50' and config.model.pretrained and config.model.agp_stages == (1, 2)
    assert (config.loss.lambda_tri, config.loss.lambda_cnm, config.loss.margin_cnm) == (1.0, 0.5, 0.2)
    assert (config.optim.lr, config.optim.warmup_epochs, config.optim.milestones) == (0.1, 10, (20, 80, 120))
    assert config.optim.momentum == 0.9 and config.train.epochs == 150
