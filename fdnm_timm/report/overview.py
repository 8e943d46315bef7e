"""What was run, on what, and how to run it again."""
from typing import List, Optional

import yaml

from ..hub import card_sections as sections
from ..hub.facts import facts_of
from ..hub.finished import FinishedRun, shareable_config
from ..reported import SOURCE
from .blocks import Block, Code, Column, Folded, Heading, Items, Section, Table, Text
from .material import Material

__all__ = ['about', 'configuration', 'limits', 'title']


def title(run: FinishedRun) -> str:
    names = ' and '.join(facts_of(target).title for target in run.results['results'])
    return f'{run.hub["architecture"]} on {names}, seed {run.config["train"]["seed"]}'


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {left} s' if minutes else f'{left} s'


def _machine(run: FinishedRun) -> List[List[str]]:
    """Rows of environment.json; none where the run has none."""
    found = run.environment
    counts = {'cpu_cores': 'CPU cores', 'threads': 'threads', 'processes': 'processes'}
    machine = [
        *([found['device']] if 'device' in found else []),
        *(f'{name}: {found[key]}' for key, name in counts.items() if key in found),
        *([found['platform']] if 'platform' in found else [])]
    versions = {**found.get('versions', {}), **({'Python': found['python']} if 'python' in found else {})}
    return [
        *([['machine', ', '.join(machine)]] if machine else []),
        *([['versions', ', '.join(f'{name} {number}' for name, number in versions.items())]] if versions else [])]


def _best(run: FinishedRun) -> Optional[str]:
    best = run.results.get('best')
    return f'{sections.metric_name(best["metric"])} {best["value"]:.2f} after epoch {best["epoch"]}' if best else None


def _facts(material: Material) -> Table:
    run = material.run
    height, width = run.hub['pretrained_cfg']['input_size'][1:]
    seconds = material.seconds
    rows = [
        ['model', run.hub['architecture']],
        ['data set', f'{facts_of(run.config["data"]["dataset"]).title}, evaluated on: {sections.split(run)}'],
        ['training identities', f'{run.hub["num_classes"]:,}'],
        ['image size', f'{height}x{width} (height x width)'],
        ['epochs', str(run.config['train']['epochs'])],
        ['seed', str(run.config['train']['seed'])],
        ['best evaluation', _best(run) or '-'],
        ['time', f'{_duration(seconds)}, training and evaluation' if seconds is not None else 'not known'],
        *_machine(run),
        ['weights', f'hub/model.safetensors, sha256 {run.sha256}'],
    ]
    return Table('The run and its machine', [Column('what', False), Column('value', False)], rows)


def _again(run: FinishedRun) -> List[Block]:
    processes = run.environment.get('processes', 1)
    start = 'fdnm' if processes == 1 else f'torchrun --nproc-per-node {processes} -m fdnm_timm.cli'
    return [
        Heading('How to run it again'),
        Code(f'{start} train --config config.yaml --root DATA --save-dir AGAIN'),
        Text(f'`config.yaml` lies in the run\'s folder and stands under "Configuration" below, `DATA` is the folder of '
             f'{facts_of(run.config["data"]["dataset"]).title} (of a drawn one, the folder to draw into), `AGAIN` a '
             f'new folder. The seed fixes the first weights, the batches and their augmentation; other versions, '
             f'devices or numbers of threads can still change the last digits, and what follows from them.'),
    ]


def about(material: Material) -> Section:
    """The model, how it was trained, and the machine."""
    run = material.run
    training = sections.training(run).partition('\n\n')[0]  # the versions stand in the table
    return Section('run', 'What was run', [Text(training), _facts(material), *_again(run)])


def configuration(material: Material) -> Section:
    """The whole of it, without folders of the machine."""
    text = yaml.safe_dump(shareable_config(material.run.config), sort_keys=False, allow_unicode=True).strip()
    return Section('configuration', 'Configuration', [
        Text('The whole of `config.yaml`, without folders of the machine that it ran on.'),
        Folded('config.yaml', [Code(text)]),
    ])


def limits(material: Material) -> Section:
    """What the figures do not say."""
    run = material.run
    targets = dict.fromkeys([run.config['data']['dataset'], *run.results['results']])
    return Section('limits', 'Limits', [Items([
        *(facts_of(target).meaning for target in targets),
        *(line.removeprefix('- ') for line in sections.limits(run).splitlines()),
        f'What the paper ({SOURCE}) reports is its authors\' own, of weights that are theirs. This project publishes '
        f'no weights that were trained on SYSU-MM01, RegDB, LLCM, Oulu-CASIA, BUAA-VisNir or CASIA NIR-VIS 2.0.',
        'Other cameras, wavelengths, places and people than those of the data have not been tried.',
    ])])
