"""Features of whatever a command line names: a file of features, or images that a model embeds first."""
import csv
from pathlib import Path
from typing import List, Mapping, NamedTuple, Optional

from ..extraction._names import NUMBERS
from ..extraction.embedder import Embedder, load_embedder
from ..extraction.extract import extract
from ..extraction.features import SUFFIXES, Features, read_features
from ..extraction.images import list_entries
from ..extraction.modality import BY_FOLDER, modalities_of
from .folder import is_index

__all__ = ['MODALITY_WORDS', 'FeatureReader', 'Source']

MODALITY_WORDS = (*NUMBERS, BY_FOLDER)
_SHOWN = 3


class Source(NamedTuple):
    """What is to be read, and as what."""
    role: str  # 'query', 'gallery' or 'validation'; --ROLE-modality is its option
    name: str  # a file of features, a folder, a glob, a list file, or an image
    modality: str = BY_FOLDER  # of images; features tell their own


class FeatureReader:
    """Reads features, and embeds images with one model, which is loaded when it is needed first.

    Attributes:
        notes: Sentences about what was left out.
    """

    def __init__(
            self,
            model: Optional[str],
            scratch: Path,
            device: str = 'cpu',
            batch_size: int = 64,
            workers: int = 4,
            progress: bool = False,
    ) -> None:
        """
        Args:
            model: As for `load_embedder`; None for the one that the first features name.
            scratch: Folder for the features of images; they are mapped from there.
            device: As for `load_embedder`.
            batch_size: As for `extract`, as are `workers` and `progress`.
        """
        self.model = model
        self.scratch = scratch
        self.device = device
        self.batch_size = batch_size
        self.workers = workers
        self.progress = progress
        self.notes: List[str] = []
        self._embedder: Optional[Embedder] = None

    def suggest_model(self, metadata: Mapping[str, str]) -> None:
        """Embed with this model where none was named."""
        self.model = self.model or metadata.get('model')

    def read(self, source: Source) -> Features:
        """The source's features.

        Raises:
            ValueError: Images without a model, images whose modality cannot be told, or an index.
            FileNotFoundError, DatasetError: As `read_features`, `list_entries` and `extract`.
        """
        if Path(source.name).suffix in SUFFIXES and not Path(source.name).is_dir():
            features = read_features(source.name)
            self.suggest_model(features.metadata)
            return features
        if is_index(Path(source.name)):
            raise ValueError(f'"{source.name}" is an index, which only --gallery takes: give images or features.')
        return self._embed(source)

    def _embed(self, source: Source) -> Features:
        entries = list_entries(source.name)
        try:
            modality = modalities_of(entries, NUMBERS.get(source.modality))
        except ValueError as error:
            raise ValueError(f'{error} The option is --{source.role}-modality here.') from error
        if self._embedder is None:
            if self.model is None:
                raise ValueError(
                    f'"{source.name}" is images, which a model must embed: give --model, the folder of a finished run, '
                    f'"local-dir:FOLDER" or "hf-hub:ORG/NAME".')
            self._embedder = load_embedder(self.model, self.device)
        out = self.scratch / f'{len(list(self.scratch.iterdir()))}.safetensors'
        done = extract(
            [entry.path for entry in entries], modality, self._embedder, out, self.batch_size, self.workers,
            progress=self.progress)
        if done.skipped:
            self.notes.append(_skipped(source, done.errors, done.skipped))
        return read_features(out)


def _skipped(source: Source, errors: Path, number: int) -> str:
    with open(errors, newline='', encoding='utf-8') as lines:
        shown = [f'"{line["path"]}" ({line["reason"]})' for _, line in zip(range(_SHOWN), csv.DictReader(lines))]
    more = ', ...' if number > _SHOWN else ''
    return f'{number} of the {source.role} images could not be read and were left out: {", ".join(shown)}{more}.'
