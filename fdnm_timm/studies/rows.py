"""The rows of the paper's tables, the controls that belong beside them, and what each study is made of."""
from typing import Dict, Mapping, NamedTuple, Optional, Tuple

__all__ = ['FULL', 'ROWS', 'STUDIES', 'Row', 'Study']

FULL = 'base+local+agp+anm+cnm'


class Row(NamedTuple):
    """One row: what it sets, over the recipe."""
    settings: Tuple[str, ...] = ()
    controls: Tuple[str, ...] = ()  # rows that lack only what is asked about
    reported: Mapping[int, str] = {}  # the paper's name of it, by table


class Study(NamedTuple):
    """A table or figure of the paper."""
    title: str
    rows: Tuple[str, ...]
    table: Optional[int] = None  # where the paper has numbers for it


_PLAIN = ('model.agp_stages=[]', 'model.anm=false')
_BN = 'model.final_norm=true'
_NO_CNM = 'base+local+agp+anm'

FACES = 'lightcnn+agp+anm+cnm'  # which has no stripes
_FACES_BN, _FACES_NO_CNM = 'lightcnn+bn', 'lightcnn+agp+anm'

ROWS: Dict[str, Row] = {
    'base': Row((*_PLAIN, 'model.num_parts=0'), ('base+local',), {3: 'base'}),
    'local': Row((*_PLAIN, 'model.global_head=false'), ('base+local',), {3: 'local'}),
    'base+local': Row(_PLAIN, (), {3: 'base+local', 4: 'baseline'}),
    # ANM brings a batch norm along. These rows have it without the rest of ANM
    'base+local+bn': Row((*_PLAIN, _BN), ('base+local',)),
    'base+local+bn+agp': Row(('model.anm=false', _BN), ('base+local+bn',)),
    'base+local+agp': Row(('model.anm=false',), ('base+local',), {3: 'base+local+agp'}),
    'base+local+anm': Row(
        ('model.agp_stages=[]', 'loss.lambda_cnm=0'), ('base+local+bn',), {3: 'base+local+anm'}),
    _NO_CNM: Row(('loss.lambda_cnm=0',), ('base+local+bn',), {3: 'base+local+agp+anm'}),
    FULL: Row((), ('base+local+bn', _NO_CNM), {1: 'FDNM', 2: 'FDNM', 3: FULL}),
    **{
        f'base+local+agp{stage}': Row(
            (f'model.agp_stages=[{stage}]', 'model.anm=false'), ('base+local',), {4: f'AGP after block-{stage}'})
        for stage in range(5)
    },
    # Fig. 5 names no numbers on its axes: these points are ours
    **{
        f'lambda_cnm={value}': Row((f'loss.lambda_cnm={value}',), (_NO_CNM,)) for value in (0.1, 0.25, 1.0)
    },
    **{f'margin_cnm={value}': Row((f'loss.margin_cnm={value}',), (_NO_CNM,)) for value in (0.1, 0.4, 0.8)},
    # RoadScene's recipe gives L_cnm unit vectors; this is Eq. 7 as printed
    'cnm_normalize=false': Row(('loss.cnm_normalize=false',), (_NO_CNM, FULL)),
    'lightcnn': Row(_PLAIN, (), {5: 'LightCNN-29'}),
    _FACES_BN: Row((*_PLAIN, _BN), ('lightcnn',)),
    'lightcnn+anm': Row(('model.agp_stages=[]', 'loss.lambda_cnm=0'), ('lightcnn', _FACES_BN)),
    _FACES_NO_CNM: Row(('loss.lambda_cnm=0',), ('lightcnn', _FACES_BN)),
    FACES: Row((), ('lightcnn', _FACES_BN, _FACES_NO_CNM), {5: 'FDNM'}),
    **{
        f'lightcnn+agp{stage}': Row((f'model.agp_stages=[{stage}]', 'model.anm=false'), ('lightcnn',))
        for stage in range(5)
    },
    'lightcnn+agp12': Row(('model.anm=false',), ('lightcnn',)),
    f'{FACES} avg': Row(('model.global_pool=avg',), (FACES,)),
    # the recipes for faces give L_cnm unit vectors too
    f'{FACES} raw': Row(('loss.cnm_normalize=false',), (_FACES_NO_CNM, FACES)),
}

STUDIES: Dict[str, Study] = {
    'table1': Study('The full method on SYSU-MM01 and RegDB', (FULL,), 1),
    'table2': Study('The full method on LLCM', (FULL,), 2),
    'table3': Study('The parts of the method', (
        'base', 'local', 'base+local', 'base+local+bn', 'base+local+agp', 'base+local+bn+agp', 'base+local+anm',
        _NO_CNM, FULL), 3),
    'table4': Study('AGP after each block', ('base+local', *(f'base+local+agp{stage}' for stage in range(5))), 4),
    'table5': Study('LightCNN-29 with the parts of the method, for faces', (
        'lightcnn', _FACES_BN, 'lightcnn+anm', _FACES_NO_CNM, FACES, f'{FACES} raw'), 5),
    # which the paper leaves open
    'faces': Study('Where AGP goes in LightCNN-29, and whether its fc is kept', (
        'lightcnn', *(f'lightcnn+agp{stage}' for stage in range(5)), 'lightcnn+agp12', FACES, f'{FACES} avg')),
    'fig5': Study('The weight (0.5) and the margin (0.2) of L_cnm', (
        _NO_CNM, 'lambda_cnm=0.1', 'lambda_cnm=0.25', FULL, 'lambda_cnm=1.0',
        'margin_cnm=0.1', 'margin_cnm=0.4', 'margin_cnm=0.8', 'cnm_normalize=false')),
}
