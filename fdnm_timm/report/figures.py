"""The sections that are pictures, each with its content in words, or a line that says what would make it."""
from typing import Callable, Dict, List, Sequence

import numpy as np

from ..hub import card_sections as sections_of_card
from ..hub.facts import facts_of
from ..plots import plot_cmc, plot_distances, plot_roc, plot_training, plot_trials
from ..plots.tsne import KINDS, plot_tsne
from ..saved import Outcomes, RankedQuery, Samples
from .blocks import Block, Folded, Missing, Section, Text
from .material import Material, lacking
from .pictures import picture_of, stored_picture
from .results import trials as trial_tables

__all__ = ['sections']

_KINDS = ('spatial', 'amplitude', 'phase')
_LOSSES = {'loss': 'total loss', 'loss_id': 'L_id', 'loss_tri': 'L_tri', 'loss_cnm': 'L_cnm'}


def sections(material: Material) -> List[Section]:
    """All of them, in the order of the page."""
    return [
        Section('training', 'Training', _training(material)),
        Section('cmc', 'CMC curves', _of_targets(material, _cmc)),
        Section('roc', 'ROC curves', _of_targets(material, _roc)),
        Section('distances', 'Distances within and between identities', _of_targets(material, _distances)),
        Section('trials', 'Trials', _trials(material)),
        Section('tsne', 't-SNE', _tsne(material)),
        Section('ranked', 'Ranked results', _ranked(material)),
    ]


def _of_targets(material: Material, draw: Callable[[str, Dict[str, Outcomes]], Sequence[Block]]) -> List[Block]:
    """What `draw` makes of each target's outcomes."""
    blocks = [block for target, settings in material.outcomes.items() for block in draw(target, settings)]
    return blocks or [Missing(lacking('outcomes.npz', '--outcomes RUN/outcomes.npz'))]


def _training(material: Material) -> List[Block]:
    history = material.run.results.get('history')
    if not history:
        return [Text('This run has no epochs: its weights are those that it began with.')]
    first, last = history[0], history[-1]
    words = [
        *(f'{name} from {first[key]:.2f} to {last[key]:.2f}' for key, name in _LOSSES.items() if key in first),
        f'training accuracy from {100 * first["accuracy"]:.1f} to {100 * last["accuracy"]:.1f} percent']
    return [picture_of(
        plot_training(history), f'Curves over {len(history)} epochs: {", ".join(words)}.',
        'Means of each epoch. The accuracy is that of the training identities\' classifier, no measure of retrieval.')]


def _cmc(target: str, settings: Dict[str, Outcomes]) -> List[Block]:
    words = [
        f'{name} has {_mean(outcome, "R1"):.1f} percent at rank 1, {_mean(outcome, "R10"):.1f} at rank 10 and '
        f'{_mean(outcome, "R20"):.1f} at rank 20' for name, outcome in settings.items()]
    return [picture_of(
        plot_cmc(settings), f'CMC curves on {facts_of(target).title}: {"; ".join(words)}.',
        f'{facts_of(target).title}: how often a right image is among the first r, means over the trials.')]


def _roc(target: str, settings: Dict[str, Outcomes]) -> List[Block]:
    title, verified = facts_of(target).title, {n: o for n, o in settings.items() if o.roc.shape[1]}
    if not verified:
        return [Text(f'The protocol of {title} ranks and does not verify: there are no ROC curves. Those of faces do.')]
    words = [
        f'{name} has ' + ', '.join(f'{metric} of {_mean(outcome, metric):.1f} percent' for metric in outcome.verified)
        for name, outcome in verified.items()]
    return [picture_of(
        plot_roc(verified), f'ROC curves on {title}: {"; ".join(words)}.',
        f'{title}: accepted genuine pairs against accepted impostor pairs.')]


def _distances(target: str, settings: Dict[str, Outcomes]) -> List[Block]:
    counted = {name: outcome for name, outcome in settings.items() if outcome.distances.shape[1]}
    both = {name: outcome for name, outcome in counted.items() if outcome.distances.sum(axis=1).all()}
    blocks: List[Block] = []
    if both:
        words = [
            f'{name} has means {intra:.3f} within and {inter:.3f} between identities, a gap of {inter - intra:.3f}'
            for name, (intra, inter) in ((name, outcome.distance_means) for name, outcome in both.items())]
        blocks.append(picture_of(
            plot_distances(both), f'Histograms of cosine distances on {facts_of(target).title}: {"; ".join(words)}.',
            f'{facts_of(target).title}: cosine distances of queries and gallery images, which are of different '
            f'modalities, over all trials; d is the gap between the means.'))
    blocks += [
        Text(f'`{name}` has no pairs of one identity, or none of two: there is nothing to compare.')
        for name in counted.keys() - both.keys()]
    if len(counted) < len(settings):
        blocks.append(Missing(lacking('distances in its outcomes.npz', '--outcomes RUN/outcomes.npz')))
    return blocks


def _trials(material: Material) -> List[Block]:
    blocks: List[Block] = []
    for target, settings in material.run.results['results'].items():
        several = {name: [result] for name, result in settings.items() if len(result['trials']) > 1}
        if several:
            metrics = ['R1', *([m for m in next(iter(settings.values()))['std'] if m.startswith('VR@')] or ['mAP'])][:2]
            words = [
                f'{name}: ' + ', '.join(
                    f'{sections_of_card.metric_name(metric)} from {min(t[metric] for t in result["trials"]):.1f} to '
                    f'{max(t[metric] for t in result["trials"]):.1f}, mean {result[metric]:.1f}' for metric in metrics)
                for name, (result,) in several.items()]
            blocks.append(picture_of(
                plot_trials(several, metrics), f'Trials on {facts_of(target).title}, in percent. {"; ".join(words)}.',
                f'{facts_of(target).title}: one model, other galleries.'))
    return [*blocks, *trial_tables(material)] or [Text('Each setting has one trial, whose figures are the results.')]


def _mean(outcome: Outcomes, metric: str) -> float:
    """Over the trials, in percent."""
    return float(np.mean(outcome.per_trial(metric)))


def _tsne(material: Material) -> List[Block]:
    if not material.samples:
        return [Missing(lacking('samples.npz', '--samples RUN/samples.npz'))]
    blocks: List[Block] = []
    for target, samples in material.samples.items():
        title, ids = facts_of(target).title, len(np.unique(samples.pids))
        if len(samples.pids) < 3:
            blocks.append(Text(f'{title}: {len(samples.pids)} images are too few.'))
            continue
        words = ', '.join(f'{100 * _crossing(samples, kind):.0f} percent in {KINDS[kind]}' for kind in _KINDS)
        blocks.append(picture_of(
            plot_tsne(samples, _KINDS),
            f't-SNE planes of {len(samples.pids)} images of {ids} test identities of {title}. How often the nearest '
            f'image of the other modality shows the same identity, before the planes are made: {words}.',
            f'{title}, {ids} test identities: the last stage\'s maps before ANM, their amplitudes and phases. Circles '
            f'are visible, triangles infrared. Who is near whom can be read from it; axes have no unit.'))
    return blocks


def _crossing(samples: Samples, kind: str) -> float:
    """The part of the images whose nearest one of the other modality is of the same identity."""
    distances = np.where(samples.modality[:, None] != samples.modality, getattr(samples, kind), np.inf)
    return float(np.mean(samples.pids[distances.argmin(axis=1)] == samples.pids))


def _ranked(material: Material) -> List[Block]:
    blocks: List[Block] = []
    for target, setting, _ in sections_of_card.settings_of(material.run):
        file = material.folder / f'ranked_{setting}.png'
        if not file.exists():
            continue
        name = f'{facts_of(target).title}, {setting}'
        picture = stored_picture(
            file, f'Rows of images of {name}: on the left a query, then the gallery images found for it, nearest '
            f'first; right ones with a green solid frame and a tick, wrong ones with a red dashed frame and a cross.'
            f'{_firsts(material.ranked.get(target, {}).get(setting, []))}',
            f'{name}: queries, evenly over all identities, and their first places; the camera rule is applied.')
        blocks.append(Folded(setting, [picture]) if blocks else picture)
    if blocks:
        return blocks
    return [
        *([] if material.ranked else [Missing(lacking('ranked.json', '--ranked RUN/ranked.json'))]),
        Missing('This run has no ranked_SETTING.png. `fdnm plot ranked RUN --setting SETTING --out '
                'RUN/ranked_SETTING.png` draws it from ranked.json, where the images of the data set are at hand.')]


def _firsts(queries: Sequence[RankedQuery]) -> str:
    """In how many of the saved queries the first place is right."""
    right = sum(bool(places) and places[0][1] == query[1] for query, places in queries)
    return f' The first place is right for {right} of the {len(queries)} queries that were saved.' if queries else ''
