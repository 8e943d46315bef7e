"""Published weights as timm tags: the manifest releases.json beside this file, read at import.

It belongs to `fdnm_timm.hub`, which writes it, and lies here because models depend on nothing above them. It is JSON,
and what reads it is the standard library, so that importing the models stays light.
"""
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

__all__ = ['MANIFEST', 'MODELS', 'Release', 'check_releases', 'read_releases', 'release_cfgs']

MANIFEST = Path(__file__).with_name('releases.json')
MODELS = (
    'fdnm_lightcnn29', 'fdnm_lightcnn29_v1', 'fdnm_resnet18', 'fdnm_resnet34', 'fdnm_resnet50', 'fdnm_resnet101')


class Release(NamedTuple):
    """Published weights, which `timm.create_model('MODEL.TAG', pretrained=True)` loads."""
    model: str
    tag: str
    repo: str  # on the Hub, 'organisation/name'
    revision: str  # the commit: a tag or branch could be moved to other weights
    sha256: str  # of model.safetensors
    dataset: str  # what they were trained on
    license: str
    num_classes: int
    input_size: Tuple[int, ...]  # (channels, height, width)
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str

    @property
    def name(self) -> str:
        return f'{self.model}.{self.tag}'


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


_EXPECTED: Dict[str, Tuple[Callable[[Any], bool], str]] = {
    'model': (lambda value: value in MODELS, f'one of {", ".join(MODELS)}'),
    'tag': (_matches(r'[a-z0-9][a-z0-9_]*'), 'small letters, digits and underscores'),
    'repo': (_matches(r'[\w.-]+/[\w.-]+'), '"organisation/name"'),
    'revision': (_matches(r'[0-9a-f]{40}'), 'a commit of 40 hexadecimal digits'),
    'sha256': (_matches(r'[0-9a-f]{64}'), '64 hexadecimal digits'),
    'dataset': (_is_text, 'the name of the data set'),
    'license': (_is_text, 'the name of the licence'),
    'num_classes': (_is_count, 'a number of identities'),
    'input_size': (lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_count, value)),
                   '[channels, height, width]'),
    'mean': (_are_numbers, 'a number for each channel'),
    'std': (_are_numbers, 'a number for each channel'),
    'interpolation': (_is_text, "the name of timm's interpolation"),
    'crop_pct': (_is_number, 'a number'),
    'crop_mode': (_is_text, "the name of timm's crop mode"),
}


def _check(entry: Any, where: str) -> Release:
    if not isinstance(entry, dict):
        raise ValueError(f'{where} is {entry!r}, but an object with the keys {", ".join(_EXPECTED)} is expected.')
    for kind, keys in (('lacks', _EXPECTED.keys() - entry), ('has unknown', entry.keys() - _EXPECTED)):
        if keys:
            raise ValueError(f'{where} {kind} {", ".join(sorted(keys))}. Its keys must be {", ".join(_EXPECTED)}.')
    for key, (fits, expected) in _EXPECTED.items():
        if not fits(entry[key]):
            raise ValueError(f'{where}: "{key}" is {entry[key]!r}, but must be {expected}.')
    values: Dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in entry.items()}
    return Release(**values)


def check_releases(entries: Any, source: str) -> List[Release]:
    """Releases from a manifest's JSON value.

    Args:
        entries: The value.
        source: Where it is from, for messages.

    Raises:
        ValueError: A release lacks a key, has one too many or a value that does not fit, is of no model of this
            package, or has a tag that is taken; the message says which and where.
    """
    if not isinstance(entries, list):
        raise ValueError(f'The manifest "{source}" holds {type(entries).__name__}, but a list of releases is expected.')
    found: Dict[str, Release] = {}
    for number, entry in enumerate(entries):
        where = f'The manifest "{source}", release {number}'
        release = _check(entry, where)
        if release.tag == 'in1k':
            raise ValueError(f'{where}: the tag "in1k" is that of the ImageNet backbone. Take another one.')
        if release.name in found:
            raise ValueError(f'{where}: {release.name} is there already, from "{found[release.name].repo}". A tag '
                             f'means one set of weights for ever: take another one.')
        found[release.name] = release
    return list(found.values())


def read_releases(path: Path = MANIFEST) -> List[Release]:
    """The releases of a manifest, in its order. Raises ValueError as `check_releases`, or where it is no JSON."""
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f'Cannot read the manifest of releases "{path}": {error}. It belongs to the package; install that '
            f'again.') from error
    return check_releases(entries, str(path))


def release_cfgs(family: str, cfg: Callable[..., Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """timm's pretrained configurations of the releases of a family, as 'model.tag': configuration.

    Args:
        family: What the names of its models begin with.
        cfg: The family's `_cfg`.
    """
    return {
        release.name: cfg(
            hf_hub_id=f'{release.repo}@{release.revision}', origin_url=f'https://huggingface.co/{release.repo}',
            license=release.license, num_classes=release.num_classes, input_size=release.input_size, pool_size=None,
            mean=release.mean, std=release.std, interpolation=release.interpolation, crop_pct=release.crop_pct,
            crop_mode=release.crop_mode)
        for release in read_releases() if release.model.startswith(family)
    }
