"""Fetch the test file of the installed timm from its source distribution: `python -m tests.contract.fetch FOLDER`."""
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path


def fetch(folder: Path) -> Path:
    """Return FOLDER/timm-VERSION/tests/test_models.py, downloading it where it is missing."""
    release = f'timm-{version("timm")}'
    target = folder / release / 'tests' / 'test_models.py'
    if not target.exists():
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run(
                [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-binary', ':all:',
                 '--dest', tmp, release.replace('-', '==')],
                check=True)
            with tarfile.open(Path(tmp) / f'{release}.tar.gz') as archive:
                text = archive.extractfile(f'{release}/tests/test_models.py')
                assert text is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_suffix('.part')
                part.write_bytes(text.read())
                part.replace(target)
    return target


if __name__ == '__main__':
    print(fetch(Path(sys.argv[1])))
