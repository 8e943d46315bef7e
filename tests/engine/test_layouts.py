"""The engine on both layouts of torchreid: `torchreid.reid.*` (package index) and `torchreid.*` (its repository)."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = '''
import sys
from pathlib import Path
import torchreid
from fdnm_timm.engine import FDNMEngine
from fdnm_timm.engine._torchreid import Engine
from tests.engine.helpers import small_engine, small_manager
engine = small_engine(small_manager(sys.argv[1]))
engine.run(save_dir=sys.argv[2], max_epoch=1, test_only=True)
print(Engine.__module__, Path(torchreid.__file__).parent)
'''


def upstream_layout(folder: Path) -> Path:
    """The installed package, moved up by one level as the repository has it."""
    spec = importlib.util.find_spec('torchreid')
    assert spec is not None and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / 'reid'
    if not source.is_dir():
        pytest.skip('the installed torchreid has the layout of its repository itself')
    for file in source.rglob('*.py'):
        target = folder / 'torchreid' / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text().replace('torchreid.reid', 'torchreid'))
    return folder


@pytest.mark.parametrize('upstream', [False, True])
def test_engine_runs_on_both_layouts(sysu_tree, tmp_path, upstream):
    root = Path(__file__).parents[2]
    paths = [str(upstream_layout(tmp_path / 'upstream'))] if upstream else []
    result = subprocess.run(
        [sys.executable, '-c', CODE, str(sysu_tree), str(tmp_path / 'run')], capture_output=True, text=True, cwd=root,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([*paths, str(root)]), 'OMP_NUM_THREADS': '1'})
    assert result.returncode == 0, result.stderr[-2000:]
    module = result.stdout.strip().splitlines()[-1].split()[0]
    assert module == ('torchreid.engine.engine' if upstream else 'torchreid.reid.engine.engine')
    assert (tmp_path / 'run' / 'results.json').exists()
