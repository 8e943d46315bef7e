"""What a run's folder holds for a report."""
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ..hub.finished import FinishedRun, read_finished_run
from ..saved import Outcomes, RankedQuery, Samples, read_outcomes, read_ranked, read_samples

__all__ = ['Material', 'lacking', 'read_material']


class Material(NamedTuple):
    """A finished run, and what only some runs have: empty where the folder lacks the file."""
    run: FinishedRun
    outcomes: Dict[str, Dict[str, Outcomes]]  # [target][setting], of outcomes.npz
    samples: Dict[str, Samples]  # [target], of samples.npz
    ranked: Dict[str, Dict[str, List[RankedQuery]]]  # [target][setting], of ranked.json
    seconds: Optional[float]  # of training and evaluation, None where it is not known

    @property
    def folder(self) -> Path:
        return self.run.folder


def read_material(folder: Path) -> Material:
    """Read a run's folder.

    Raises:
        FileNotFoundError: The folder is no run, or the run is not finished; the message names what is missing.
        ValueError: A file is damaged, or is of another run.
    """
    run = read_finished_run(folder)

    def read(reader: Callable[[Path], Dict[str, Any]], name: str) -> Dict[str, Any]:
        found = reader(folder / name) if (folder / name).exists() else {}
        return {target: found[target] for target in run.results['results'] if target in found}

    return Material(
        run, read(read_outcomes, 'outcomes.npz'), read(read_samples, 'samples.npz'), read(read_ranked, 'ranked.json'),
        _seconds(folder))


def lacking(what: str, option: str) -> str:
    """The line in the place of a part that the run has no material for, with the command that makes it."""
    return (
        f'This run has no {what}. `fdnm evaluate RUN {option}` makes it, RUN being its folder; then `fdnm report '
        f'RUN` shows it.')


def _seconds(folder: Path) -> Optional[float]:
    """Between the first and the last entry of each TensorBoard file; a run that was continued has several."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    except ImportError:
        return None
    total = 0.
    for file in folder.glob('events.out.tfevents.*'):
        times = [event.wall_time for event in LegacyEventFileLoader(str(file)).Load()]
        total += max(times, default=0.) - min(times, default=0.)
    return total or None
