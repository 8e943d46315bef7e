"""What the documents show must run, and what they point to must exist."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / 'README.md', ROOT / 'MODEL_CARD.md', *sorted((ROOT / 'docs').glob('*.md'))]


def test_first_example_runs():
    code = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)[0]
    names: dict = {}
    exec(code, names)
    assert names['query'].shape == (2, 20480) and names['similarity'].shape == (2, 2)


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r'\]\(([^)#]+)', document.read_text()):
        assert target.startswith('http') or (document.parent / target).exists(), target


def test_every_python_example_compiles():
    for document in DOCUMENTS:
        for code in re.findall(r'```python\n(.*?)```', document.read_text(), re.DOTALL):
            compile(code, str(document), 'exec')
