"""From finished runs to a table, with spread over the runs and intervals over the identities."""
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..metrics import bootstrap, bootstrap_difference
from ..reported import SOURCE, reported
from ..saved import Outcomes, read_outcomes
from .reproduce import Job
from .rows import ROWS, STUDIES

__all__ = ['StudyResult', 'collect', 'format_study']


class StudyResult(NamedTuple):
    """Everything that a study's table says, as JSON values; percent throughout."""
    study: str
    dataset: str
    measured: Dict[str, Dict[str, Dict[str, Dict[str, Any]]]]  # [row][setting][metric]
    differences: List[Dict[str, Any]]  # 'row', 'to' which control, and [setting][metric]
    reported: Dict[str, Dict[str, Dict[str, float]]]  # [row][setting][metric], the paper's


def _metrics(outcome: Outcomes) -> List[str]:
    """What a table shows of a setting: the verification rates where there are some, as with faces, else mAP."""
    return ['R1', *(outcome.verified.tolist() or ['mAP'])]


def _read(jobs: Sequence[Job]) -> Dict[str, Dict[Tuple[Optional[int], int], Mapping[str, Outcomes]]]:
    """[row][(split, seed)][setting]; of one target, the last."""
    found: Dict[str, Dict[Tuple[Optional[int], int], Mapping[str, Outcomes]]] = {}
    for job in jobs:
        outcomes = read_outcomes(job.folder / 'outcomes.npz')
        found.setdefault(job.row, {})[job.split, job.seed] = list(outcomes.values())[-1]
    return found


def _values(
        runs: Mapping[Tuple[Optional[int], int], Mapping[str, Outcomes]],
        setting: str,
        metric: str,
) -> Tuple[np.ndarray, np.ndarray, List[float]]:
    """Each query's outcome, the mean over the seeds; its identity, told apart between splits; each run's mean."""
    queries, pids, means = [], [], []
    for number, split in enumerate(dict.fromkeys(split for split, _ in runs)):
        outcomes = [outcomes[setting] for (of, _), outcomes in runs.items() if of == split]
        values = np.stack([outcome.per_query(metric) for outcome in outcomes])
        means += [float(np.nanmean(value)) for value in values]
        queries.append(values.mean(axis=0))
        pids.append(outcomes[0].pids.astype(np.int64) + number * 2 ** 32)
    return np.concatenate(queries), np.concatenate(pids), means


def collect(study: str, dataset: str, jobs: Sequence[Job]) -> StudyResult:
    """Read the finished runs of `jobs` and put their figures together.

    Raises:
        FileNotFoundError: A run has no outcomes.npz: it is not finished.
        ValueError: Two rows were evaluated in different settings.
    """
    runs = _read(jobs)
    settings = {row: tuple(next(iter(of_row.values()))) for row, of_row in runs.items()}
    names = next(iter(settings.values()))
    odd = next((row for row, own in settings.items() if own != names), None)
    if odd is not None:
        raise ValueError(f'The rows were evaluated in different settings: {names}, but {odd!r} in {settings[odd]}.')
    metrics = {name: _metrics(outcome) for name, outcome in next(iter(next(iter(runs.values())).values())).items()}
    measured: Dict[str, Any] = {}
    differences: List[Dict[str, Any]] = []
    for row, of_row in runs.items():
        measured[row] = {name: {} for name in names}
        controls = [
            control for control in ROWS[row].controls if control in runs and of_row.keys() & runs[control].keys()]
        differences += [{'row': row, 'to': control, **{name: {} for name in names}} for control in controls]
        for name in names:
            for metric in metrics[name]:
                values, pids, means = _values(of_row, name, metric)
                interval = bootstrap(values, pids)
                measured[row][name][metric] = {
                    'mean': float(np.mean(means)), 'runs': means, 'low': interval.low, 'high': interval.high,
                    'std': float(np.std(means, ddof=1)) if len(means) > 1 else None,
                }
                for control, entry in zip(controls, differences[len(differences) - len(controls):]):
                    both = of_row.keys() & runs[control].keys()  # the same seeds on both sides
                    (a, pids, _), (b, _, _) = (
                        _values({key: of[key] for key in of if key in both}, name, metric)
                        for of in (of_row, runs[control]))
                    entry[name][metric] = bootstrap_difference(a, b, pids)._asdict()
    return StudyResult(study, dataset, measured, differences, _reported(study, dataset, list(runs), jobs[0]))


def _reported(study: str, dataset: str, rows: Sequence[str], job: Job) -> Dict[str, Dict[str, Dict[str, float]]]:
    """The paper's figures of the same rows in the same settings, where it has them."""
    table = STUDIES[study].table
    results = json.loads((job.folder / 'results.json').read_text(encoding='utf-8'))['results']
    protocols = {setting: result['reported_as'] for setting, result in list(results.values())[-1].items()}
    out: Dict[str, Dict[str, Dict[str, float]]] = {}
    for row in rows:
        method = ROWS[row].reported.get(table) if table is not None else None
        for setting, protocol in protocols.items():
            values = reported(dataset, protocol, method, table) if method is not None else {}
            if values:
                out.setdefault(row, {})[setting] = values
    return out


def _cell(figure: Mapping[str, Any]) -> str:
    spread = f' ± {figure["std"]:.1f}' if figure['std'] is not None else ''
    return f'{figure["mean"]:.1f}{spread} [{figure["low"]:.1f}, {figure["high"]:.1f}]'


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def _span(figure: Mapping[str, Any]) -> str:
    return f'{figure["mean"]:+.1f} [{figure["low"]:+.1f}, {figure["high"]:+.1f}]'


def format_study(result: StudyResult) -> str:
    """Markdown: what was measured, each row against its control, and what the paper reports, in tables of their own."""
    first = next(iter(result.measured.values()))
    cells = [(setting, metric) for setting, figures in first.items() for metric in figures]
    columns = [f'{setting} {metric}' for setting, metric in cells]
    num_runs = {row: len(of[cells[0][0]]['R1']['runs']) for row, of in result.measured.items()}
    most = max(num_runs.values())
    parts = [
        f'## {STUDIES[result.study].title}: measured on {result.dataset}',
        f'Percent; mean ± sample standard deviation over the runs (up to {most}), and in brackets the 95 % interval '
        f'when the test identities are drawn anew (identity bootstrap of the mean over the runs).',
        _markdown(['row', 'runs', *columns], [
            [row, str(num_runs[row]), *(_cell(of[s][m]) for s, m in cells)]
            for row, of in result.measured.items()]),
    ]
    if result.differences:
        parts += [
            'Against the rows that lack only what is asked about: differences over the seeds that both have, paired '
            'over the queries, with their 95 % intervals.',
            _markdown(['row', 'against', *columns], [
                [of['row'], of['to'], *(_span(of[s][m]) for s, m in cells)]
                for of in result.differences]),
        ]
    if not result.reported:
        parts.append(f'The paper ({SOURCE}) reports nothing on {result.dataset} that these rows could be held against.')
        return '\n\n'.join(parts)
    shown = [(s, m) for s, m in cells if any(m in of.get(s, {}) for of in result.reported.values())]
    parts += [
        f'## Reported by the paper ({SOURCE}), not measured here',
        _markdown(['row', *(f'{s} {m}' for s, m in shown)], [
            [row, *(f'{of[s][m]:.1f}' if m in of.get(s, {}) else '-' for s, m in shown)]
            for row, of in result.reported.items()]),
    ]
    return '\n\n'.join(parts)
