"""t-SNE maps of some test images' features (the paper's Fig. 2 and Fig. 6 f-j)."""
from typing import TYPE_CHECKING, Any, List, Mapping, Sequence, Tuple, Union

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ._figure import DOUBLE, SINGLE, SMALL, TEXT, new_figure

if TYPE_CHECKING:  # the engine, and torchreid with it, is not needed to draw what it saved
    from ..saved import Samples

__all__ = ['KINDS', 'embed_plane', 'plot_tsne']

KINDS = {'embedding': 'embedding', 'spatial': 'spatial features', 'amplitude': 'amplitude', 'phase': 'phase'}
_PERPLEXITY = 30.
# Okabe and Ito's, without black, of which there is one style, and without yellow, which is lost on white
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
_MARKERS = {0: 'o', 1: '^'}
_WORDS = {0: 'visible', 1: 'infrared'}


def embed_plane(distances: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points (n, 2) of a distance matrix (n, n), by t-SNE with perplexity 30, or (n - 1) / 3 where that is less.

    Raises:
        ValueError: There are fewer than 3 images.
        ImportError: scikit-learn is missing.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError(f'{error}. t-SNE needs it: pip install "fdnm_timm[plots]".') from error
    n = len(distances)
    if n < 3:
        raise ValueError(f'There are {n} images, but t-SNE needs at least 3.')
    perplexity = min(_PERPLEXITY, (n - 1) / 3)
    return TSNE(metric='precomputed', init='random', perplexity=perplexity, random_state=seed).fit_transform(distances)


def _style(place: int) -> Tuple[str, str, float]:
    """Face, edge and width of the edge that tell identity number `place` from 23 others."""
    colour = _COLOURS[place % len(_COLOURS)]
    return [(colour, colour, 0.6), ('white', colour, 0.9), (colour, 'black', 0.6), (f'{colour}55', colour, 0.9)][
        place // len(_COLOURS) % 4]


def plot_tsne(
        samples: Union['Samples', Mapping[str, 'Samples']],
        kinds: Sequence[str] = ('spatial', 'amplitude', 'phase'),
        seed: int = 0,
) -> Figure:
    """Draw each kind of feature of a run, or of several runs, in a plane.

    Circles are visible and triangles infrared images. Six colours and four fills tell 24 identities; in further ones
    they repeat. A plane by t-SNE shows who is near whom; its axes have no unit, and distances between far groups mean
    nothing. The same samples and seed give the same figure.

    Args:
        samples: What `engine.samples` collected of a run; or of several runs, under their names.
        kinds: Of 'embedding', 'spatial', 'amplitude' and 'phase'; see `engine.samples.Samples` for what they are. One
            kind of several runs stands in one row, as in Fig. 6; else each run has a row.
        seed: Of t-SNE.

    Returns:
        The figure: 3.4 inches wide with one panel, else 7.

    Raises:
        ValueError: An unknown kind, no kind, no samples, or fewer than 3 images.
        ImportError: scikit-learn is missing.
    """
    runs = dict(samples) if isinstance(samples, Mapping) else {'': samples}
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or not runs:
        raise ValueError(
            f'kinds is {list(kinds)} of {len(runs)} runs, but one or several of {", ".join(map(repr, KINDS))}, of at '
            f'least one run, are expected.')
    panels = [[(name, kind) for kind in kinds] for name in runs]
    if len(kinds) == 1:
        panels = [[panel for line in panels for panel in line]]
    rows, columns = len(panels), len(panels[0])
    width = DOUBLE if columns > 1 else SINGLE
    figure = new_figure(width, rows * (min(width / columns, 3.2) + 0.1) + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False)
    size = 14. if columns < 4 else 8.
    for line, axis_line in zip(panels, axes):
        for (name, kind), axis in zip(line, axis_line):
            of_run = runs[name]
            _draw(axis, embed_plane(getattr(of_run, kind), seed), of_run, size)
            axis.set_title(', '.join(_titles(name, kind, len(runs), len(kinds))), fontsize=TEXT, pad=3)
    for axis in axes[-1]:
        axis.set_xlabel('t-SNE 1 (no unit)', fontsize=SMALL, labelpad=2)
    for axis in axes[:, 0]:
        axis.set_ylabel('t-SNE 2 (no unit)', fontsize=SMALL, labelpad=2)
    figure.legend(handles=_legend(), loc='outside lower center', ncols=3, frameon=False, fontsize=SMALL,
                  handletextpad=0.2, columnspacing=1.2)
    return figure


def _titles(name: str, kind: str, num_runs: int, num_kinds: int) -> List[str]:
    return [*([name] if num_runs > 1 else []), *([KINDS[kind]] if num_kinds > 1 or num_runs == 1 else [])]


def _draw(axis: Any, points: np.ndarray, samples: 'Samples', size: float) -> None:
    for place, pid in enumerate(np.unique(samples.pids)):
        face, edge, line = _style(place)
        for modality, marker in _MARKERS.items():
            own = points[(samples.pids == pid) & (samples.modality == modality)]
            axis.scatter(*own.T, s=size, marker=marker, facecolor=face, edgecolor=edge, linewidth=line)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_box_aspect(1)
    for spine in axis.spines.values():
        spine.set(edgecolor='#808080', linewidth=0.6)


def _legend() -> List[Line2D]:
    marks = [
        Line2D([], [], linestyle='', marker=marker, markersize=4.5, markerfacecolor='#808080',
               markeredgecolor='#404040', label=_WORDS[modality])
        for modality, marker in _MARKERS.items()]
    return [*marks, Line2D([], [], linestyle='', label='colour and fill: identity')]
