"""The parts of a model card that a run decides, each as Markdown."""
import math
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import timm

from ..reported import SOURCE, reported
from .facts import Facts, facts_of
from .finished import FinishedRun

__all__ = [
    'about', 'base_model', 'limits', 'loading_snippet', 'measured', 'metric_name', 'preprocessing', 'protocol',
    'reported_figures', 'settings_of', 'split', 'terms', 'training', 'variant',
]

# what a result holds besides its figures and its protocol's variant
_NO_VARIANT = {
    'std', 'trials', 'queries', 'valid_queries', 'gallery', 'rule', 'cmc', 'reranked', 'flipped', 'reported_as',
    'reported', 'warnings'}
_RULES = {
    None: 'nothing', 'sysu_mm01': 'of camera 3: all of camera 2',
    'same_camera': "its identity's images under its camera"}
_COUNTS = {'identity': 'identities', 'image': 'images'}
_DRAWS = {
    'agw': "as the AGW family's scripts do", 'official': "by the permutations of the data set's own evaluation code"}


def metric_name(metric: str) -> str:
    return f'Rank-{metric[1:]}' if metric[0] == 'R' and metric[1:].isdigit() else metric


def settings_of(run: FinishedRun) -> Iterator[Tuple[str, str, Mapping[str, Any]]]:
    """(data set, setting, result) of everything that the run was evaluated in."""
    for dataset, settings in run.results['results'].items():
        for setting, result in settings.items():
            yield dataset, setting, result


def variant(result: Mapping[str, Any]) -> Dict[str, Any]:
    """What tells the protocol from its relatives: the gallery's draw, shots, the split."""
    return {key: value for key, value in result.items() if key not in _NO_VARIANT and key not in result['std']}


def split(run: FinishedRun) -> str:
    return 'held-out training identities' if run.config['data']['hold_out'] else 'test'


def base_model(run: FinishedRun) -> Optional[str]:
    """The repository whose backbone the training started from, None where it started from nothing or from a file."""
    model = run.config['model']
    cfg = timm.get_pretrained_cfg(model['name']) if model['pretrained'] and not model['checkpoint'] else None
    return cfg.hf_hub_id.partition('@')[0] if cfg is not None and cfg.hf_hub_id else None


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _count(number: int, thing: str) -> str:
    return f'{number:,} {thing}{"" if number == 1 else "s"}'


def about(run: FinishedRun, facts: Facts) -> str:
    """What the model is, in a paragraph."""
    args = run.hub['model_args']
    stages = ' and '.join(map(str, args['agp_stages']))
    parts = [
        f'AGP after stage{"s" * (len(args["agp_stages"]) > 1)} {stages}' if stages else 'no AGP',
        'ANM after the last stage' if args['anm'] else 'no ANM',
        *(['a head on the whole map'] if args['global_head'] else []),
        *([_count(args['num_parts'], 'head') + ' on horizontal stripes'] if args['num_parts'] else []),
    ]
    return (
        f'A network for {facts.task}: it embeds visible and infrared images, so that one is found by the other. '
        f'`{run.hub["architecture"]}` of [FDNM](https://arxiv.org/abs/2401.02162) (Frequency Domain Nuances Mining) '
        f'with {", ".join(parts[:-1])} and {parts[-1]}; trained on {facts.title}.')


def loading_snippet(source: str, in_chans: int) -> str:
    """Python that embeds and compares two images, and runs as it stands.

    Args:
        source: 'hf-hub:organisation/name', with '@revision' where one is wanted, or 'local-dir:folder'.
        in_chans: The model's channels, 1 or 3.
    """
    mode = 'L' if in_chans == 1 else 'RGB'
    return f'''\
import timm
import torch
from PIL import Image

import fdnm_timm  # registers the models

model = timm.create_model('{source}', pretrained=True, num_classes=0).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

# put your images here, such as Image.open('infrared.jpg').convert('{mode}')
infrared, visible = Image.new('{mode}', (64, 128)), Image.new('{mode}', (64, 128))
with torch.no_grad():
    query = model(transform(infrared)[None], 'infrared')
    gallery = model(transform(visible)[None], 'visible')
similarity = torch.cosine_similarity(query, gallery)  # -1 to 1, the larger the closer'''


def preprocessing(cfg: Mapping[str, Any]) -> str:
    """What timm's transform for evaluation does, from the configuration that is saved with the weights."""
    size = cfg['input_size'][1:]
    height, width = (math.floor(n / cfg['crop_pct']) for n in size)
    if cfg['crop_mode'] == 'squash':
        steps = [f'resized to {height}x{width} ({cfg["interpolation"]}), without keeping the aspect ratio']
    else:
        steps = [f'the shorter side resized to {min(height, width)} ({cfg["interpolation"]})']
    if cfg['crop_mode'] != 'squash' or [height, width] != list(size):
        steps.append(f'the centre of {size[0]}x{size[1]} cut out')
    return ', '.join([*steps, 'to [0, 1]', f'minus {cfg["mean"]}', f'divided by {cfg["std"]}'])


def _figure(result: Mapping[str, Any], metric: str) -> str:
    return f'{result[metric]:.2f}' + (f' ± {result["std"][metric]:.2f}' if len(result['trials']) > 1 else '')


def measured(run: FinishedRun) -> str:
    """A table for each data set that the run was evaluated on, and what the figures rest on."""
    tables = []
    for dataset, settings in run.results['results'].items():
        metrics = list(next(iter(settings.values()))['std'])
        tables.append(f'On {facts_of(dataset).title} ({split(run)}):\n\n' + _table(
            ['setting', *map(metric_name, metrics)],
            [[setting, *(_figure(result, metric) for metric in metrics)] for setting, result in settings.items()]))
    results = [result for _, _, result in settings_of(run)]
    notes = [
        f'A single run, seed {run.config["train"]["seed"]}: another seed gives other figures, and one run does not '
        f'tell by how much.',
        *(['± is the standard deviation over the trials, which draw other galleries for the same weights.']
          if any(len(result['trials']) > 1 for result in results) else []),
        *dict.fromkeys(warning for result in results for warning in result.get('warnings', ())),
    ]
    return '\n\n'.join([*tables, ' '.join(notes)])


def reported_figures(run: FinishedRun) -> str:
    """What the paper has for the same settings."""
    rows = {
        f'{facts_of(dataset).title}, {setting}': reported(dataset, result['reported_as'])
        for dataset, setting, result in settings_of(run)
    }
    rows = {name: figures for name, figures in rows.items() if figures}
    if not rows:
        names = ' and '.join(facts_of(dataset).title for dataset in run.results['results'])
        return f'Nothing: the paper ({SOURCE}) has no figures on {names} in these settings.'
    metrics = list(dict.fromkeys(metric for figures in rows.values() for metric in figures))
    table = _table(['setting', *map(metric_name, metrics)], [
        [name, *(f'{figures[metric]:.1f}' if metric in figures else '-' for metric in metrics)]
        for name, figures in rows.items()])
    method = 'LightCNN-29' if 'lightcnn' in run.hub['architecture'] else \
        'ResNet-50 from ImageNet, images of 384x192, 150 epochs'
    return (
        f'{table}\n\nFrom {SOURCE}: its full method ({method}), trained by its authors. These weights are not theirs; '
        f'how they were trained stands under "Training".')


def protocol(run: FinishedRun) -> str:
    """Who is query, who is gallery, and in which of the field's variants."""
    found = list(settings_of(run))
    table = _table(
        ['setting', 'queries (with a match)', 'gallery', 'trials', 'variant', 'a query skips', 'ranks count',
         're-ranked', 'mirrored images'],
        [[setting, f'{result["queries"]:,} ({result["valid_queries"]:,})', f'{result["gallery"]:,}',
          str(len(result['trials'])), ', '.join(f'{key} {value}' for key, value in variant(result).items()) or '-',
          _RULES.get(result['rule'], str(result['rule'])), _COUNTS.get(result['cmc'], result['cmc']),
          'yes' if result['reranked'] else 'no', 'yes' if result['flipped'] else 'no']
         for _, setting, result in found])
    notes: List[str] = [
        f'`gallery_draw {draw}`: galleries are drawn {_DRAWS.get(draw, "in a way of its own")}.'
        for draw in dict.fromkeys(result.get('gallery_draw') for _, _, result in found) if draw is not None]
    notes += [
        f'`{setting}` is what the public script of the data set\'s authors computes under that name, with queries and '
        f'gallery exchanged.'
        for _, setting, _ in found if setting.endswith('_as_published')]
    return '\n\n'.join([table, *([' '.join(notes)] if notes else [])])


def _start(run: FinishedRun) -> str:
    model, base = run.config['model'], base_model(run)
    if base is not None:
        return f'the pretrained backbone of `{base}`'
    return f'the backbone in the file `{Path(model["checkpoint"]).name}`' if model['pretrained'] else 'random weights'


def training(run: FinishedRun) -> str:
    """How the weights came about, in a paragraph, and what with."""
    data, optim, loss, train = (run.config[section] for section in ('data', 'optim', 'loss', 'train'))
    if train['epochs']:
        scale = optim['backbone_lr_scale']
        text = (
            f'From {_start(run)}, {_count(train["epochs"], "epoch")} on {run.hub["num_classes"]:,} identities of '
            f'{facts_of(data["dataset"]).title}, in batches of {data["num_ids"]} identities x '
            f'({data["num_instances"]} visible + {data["num_instances"]} infrared) images, by SGD with the learning '
            f'rate {optim["lr"]:g}{f" ({scale:g} of it for the backbone)" if scale is not None else ""}. The loss is '
            f'L_id + {loss["lambda_tri"]:g} L_tri + {loss["lambda_cnm"]:g} L_cnm. The weights are those after the last '
            f'epoch.')
    else:
        text = f'**None**: the weights are {_start(run)}, under fresh heads.'
    versions = run.environment.get('versions', {})
    if versions:
        text += (
            f'\n\nMade with {", ".join(f"{name} {number}" for name, number in versions.items())}; device: '
            f'{run.environment["device"]}.')
    return text


def limits(run: FinishedRun) -> str:
    """Those that the run itself has."""
    height, width = run.hub['pretrained_cfg']['input_size'][1:]
    found = [
        *(['**Measured on held-out training identities**, not on the test set: not to be compared with published '
           'figures.'] if run.config['data']['hold_out'] else []),
        f'One data set, one run, one seed ({run.config["train"]["seed"]}).',
        f'Images of {height}x{width} pixels (height x width) that each show one '
        f'{facts_of(run.config["data"]["dataset"]).subject}, cut out: nothing here finds them in a picture.',
    ]
    return '\n'.join(f'- {limit}' for limit in found)


def terms(run: FinishedRun, facts: Facts) -> str:
    """Whose terms bind the weights."""
    base = base_model(run)
    text = f'The code is under Apache-2.0. {facts.terms}'
    if base is not None:
        data = 'ImageNet' if base.endswith('in1k') else 'the data that it was trained on'
        text += f' Training started from `{base}`: its terms, and those of {data}, hold too.'
    return text
