import pytest

from fdnm_timm.data import (
    DATASETS,
    LLCM,
    SYSUMM01,
    CrossModalityDataset,
    DatasetError,
    RegDB,
    RoadScene,
    SyntheticVI,
    create_dataset,
    register_dataset,
)


@pytest.fixture(autouse=True)
def _registry_as_it_was():
    before = dict(DATASETS)
    yield
    DATASETS.clear()
    DATASETS.update(before)


class Mine(CrossModalityDataset):
    """One image of each kind, which need not exist."""
    name = 'my_corridor'
    marker = 'here.txt'

    def __init__(self, root, pids=2):
        super().__init__(root)
        self._set_train([(f'{kind}{pid}.jpg', 10 * pid, 1) for pid in range(pids) for kind in 'vi'])

    def modality(self, path):
        return int(path.startswith('i'))


@pytest.mark.parametrize(
    ('name', 'cls'), [('sysu_mm01', SYSUMM01), ('regdb', RegDB), ('llcm', LLCM), ('roadscene', RoadScene),
                      ('synthetic_vi', SyntheticVI)])
def test_own_data_sets_have_their_names(name, cls):
    assert DATASETS[name] is cls and cls.name == name


@pytest.mark.parametrize(
    ('wrong', 'near'), [('sysu', 'sysu_mm01'), ('RegDB', 'regdb'), ('llmc', 'llcm'), ('roadscenes', 'roadscene'),
                        ('RoadScene', 'roadscene'), ('syntetic_vi', 'synthetic_vi')])
def test_unknown_name_suggests_the_nearest(tmp_path, wrong, near):
    with pytest.raises(ValueError, match=f"no data set '{wrong}': did you mean '{near}'"):
        create_dataset(wrong, tmp_path)


def test_unknown_name_unlike_any_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match="no data set 'zzz'") as caught:
        create_dataset('zzz', tmp_path)
    assert 'did you mean' not in str(caught.value)
    assert all(name in str(caught.value) for name in DATASETS)


def test_own_class(tmp_path):
    (tmp_path / 'here.txt').touch()
    assert register_dataset(Mine) is Mine
    dataset = create_dataset('my_corridor', tmp_path, pids=3)
    assert type(dataset) is Mine and dataset.train_names == [0, 10, 20]
    assert [label for _, label, _ in dataset.train] == [0, 0, 1, 1, 2, 2]
    assert register_dataset(Mine) is Mine  # again: a module may be imported twice
    with pytest.raises(DatasetError, match=r'here\.txt'):
        create_dataset('my_corridor', tmp_path / 'nowhere')


def test_taken_name_is_refused():
    taken = type('Other', (Mine,), {'name': 'roadscene'})
    with pytest.raises(ValueError, match="'roadscene' of Other.*taken"):
        register_dataset(taken)
    assert DATASETS['roadscene'] is RoadScene


def test_empty_name_is_refused():
    with pytest.raises(ValueError, match='Nameless'):
        register_dataset(type('Nameless', (Mine,), {'name': ''}))
    assert '' not in DATASETS
