"""The figures as tables: measured, with the reported ones beside them in columns of their own; intervals; trials."""
from typing import Any, Dict, List, Mapping

import numpy as np

from ..hub import card_sections as sections
from ..hub.facts import facts_of
from ..hub.finished import FinishedRun
from ..metrics import bootstrap
from ..reported import SOURCE
from ..saved import Outcomes
from .blocks import Block, Column, Folded, Heading, Items, Missing, Note, Section, Table, Text
from .material import Material, lacking
from .text import table_cells

__all__ = ['measured', 'protocol', 'trials']


def _metrics(result: Mapping[str, Any]) -> List[str]:
    return list(result['std'])


def _measured_table(target: str, settings: Mapping[str, Mapping[str, Any]], seed: int) -> Table:
    """Measured and reported side by side, in groups of columns that say which is which."""
    own = _metrics(next(iter(settings.values())))
    paper = list(dict.fromkeys(metric for result in settings.values() for metric in result.get('reported', ())))
    rows = []
    for setting, result in settings.items():
        several, reported = len(result['trials']) > 1, result.get('reported', {})
        rows.append([
            setting,
            *(f'{result[m]:.2f}' + (f'\n± {result["std"][m]:.2f}' if several else '') for m in own),
            *(f'{reported[m]:.1f}' if m in reported else '-' for m in paper)])
    return Table(
        f'{facts_of(target).title}, in percent',
        [Column('setting', False), *(Column(sections.metric_name(m)) for m in own),
         *(Column(sections.metric_name(m), reported=True) for m in paper)],
        rows,
        [(f'measured here (seed {seed})', len(own), False),
         *([(f'reported by the paper ({SOURCE}), not measured', len(paper), True)] if paper else [])])


def measured(material: Material) -> Section:
    """The results of every target and setting, and their intervals."""
    run = material.run
    blocks: List[Block] = []
    for target, settings in run.results['results'].items():
        blocks.append(_measured_table(target, settings, run.config['train']['seed']))
        if not any(result.get('reported') for result in settings.values()):
            blocks.append(Text(f'The paper ({SOURCE}) reports nothing on {facts_of(target).title}.'))
    results = [result for _, _, result in sections.settings_of(run)]
    if any(len(result['trials']) > 1 for result in results):
        blocks.append(Text(
            '± is the standard deviation over the trials, which draw other galleries for the same weights.'))
    if any(result.get('reported') for result in results):
        blocks.append(Text('What the paper reports is its full method, trained by its authors. It is no target that '
                           'another model, image size or number of epochs must reach.'))
    return Section('results', 'Results', [*blocks, *_other_evaluations(material), *_intervals(material)])


def _other_evaluations(material: Material) -> List[Block]:
    """Where outcomes.npz was made by another evaluation than results.json: what rests on it does not fit the table."""
    found = [
        (setting, result['R1'], float(np.mean(outcome.per_trial('R1'))))
        for target, settings in material.outcomes.items() for setting, outcome in settings.items()
        if (result := material.run.results['results'][target].get(setting)) is not None]
    return [Note(
        f'`{setting}` has Rank-1 {own:.2f} in results.json, but {other:.2f} in outcomes.npz: that file is of another '
        f'evaluation, and so are the intervals, curves and distances below. `fdnm evaluate RUN --outcomes '
        f'RUN/outcomes.npz`, with the options of the first one, makes it again.')
        for setting, own, other in found if abs(own - other) > 0.005]


def _intervals(material: Material) -> List[Block]:
    """95 % intervals over the test identities, where every query's outcome is known."""
    heading = Heading('95 % intervals over the test identities')
    if not material.outcomes:
        return [heading, Missing(lacking('outcomes.npz', '--outcomes RUN/outcomes.npz'))]
    blocks: List[Block] = [heading]
    for target, settings in material.outcomes.items():
        metrics = list(dict.fromkeys(metric for outcome in settings.values() for metric in _known(outcome)))
        rows = [
            [setting, str(len(np.unique(outcome.pids))), *(_interval(outcome, metric) for metric in metrics)]
            for setting, outcome in settings.items()]
        blocks.append(Table(
            f'{facts_of(target).title}, in percent',
            [Column('setting', False), Column('identities'), *map(Column, map(sections.metric_name, metrics))], rows))
    return [*blocks, Text(
        'By resampling identities with their queries (bootstrap, 2,000 draws): how far the figures of this one model '
        'would move with other test identities. They say nothing about another seed.')]


def _known(outcome: Outcomes) -> List[str]:
    """What each query's outcome tells."""
    return ['R1', 'mAP', 'mINP', *outcome.verified.tolist()]


def _interval(outcome: Outcomes, metric: str) -> str:
    values = outcome.per_query(metric)
    if len(np.unique(outcome.pids[~np.isnan(values)])) < 2:
        return 'one identity'
    interval = bootstrap(values, outcome.pids)
    return f'[{interval.low:.1f}, {interval.high:.1f}]'


def trials(material: Material) -> List[Block]:
    """Every trial's figures, folded; nothing where each setting has one trial."""
    found = [(target, setting, result) for target, setting, result in sections.settings_of(material.run)
             if len(result['trials']) > 1]
    return [
        Folded(f'{facts_of(target).title}, {setting}: {len(result["trials"])} trials', [_trials_table(setting, result)])
        for target, setting, result in found]


def _trials_table(setting: str, result: Mapping[str, Any]) -> Table:
    metrics, counts = _metrics(result), {'valid_queries': 'queries with a match', 'gallery': 'gallery images'}
    return Table(
        f'{setting}, in percent',
        [Column('trial', False), *(Column(sections.metric_name(m)) for m in metrics), *map(Column, counts.values())],
        [[str(number), *(f'{trial[m]:.2f}' for m in metrics), *(f'{trial[count]:,}' for count in counts)]
         for number, trial in enumerate(result['trials'])])


def protocol(material: Material) -> Section:
    """Who is query, who is gallery, by which rule, and whatever makes a figure incomparable."""
    table, _, notes = sections.protocol(material.run).partition('\n\n')
    names, rows = table_cells(table)
    numbers = {'queries (with a match)': 'queries\n(with a match)', 'gallery': 'gallery', 'trials': 'trials'}
    columns = [Column(numbers.get(name, name), name in numbers) for name in names]
    return Section('protocol', 'Protocol, warnings and notes', [
        Table('Who is searched for among whom', columns, rows),
        *([Text(notes)] if notes else []), _warnings(material.run)])


def _warnings(run: FinishedRun) -> Block:
    found = list(sections.settings_of(run))
    said: Dict[str, List[str]] = {}  # what, of which settings
    for _, setting, result in found:
        for what in (
                *(['**re-ranked** (k-reciprocal): not to be compared with figures that are not'] * result['reranked']),
                *(['**mirrored images embedded too**: not to be compared with figures without'] * result['flipped']),
                *result.get('warnings', ())):
            said.setdefault(what, []).append(f'`{setting}`')
    lines = [
        *(['**Measured on held-out training identities**, not on the test set: not to be compared with published '
           'figures.'] if run.config['data']['hold_out'] else []),
        *(f'{", ".join(dict.fromkeys(settings))}: {what.removesuffix(".")}.' for what, settings in said.items()),
    ]
    return Items(lines) if lines else Text('No warnings; nothing is re-ranked, and no mirrored images were embedded.')
