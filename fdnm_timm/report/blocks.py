"""What a page is made of; the template knows how each kind looks."""
from dataclasses import dataclass
from typing import ClassVar, Sequence, Tuple, Union

__all__ = [
    'Block', 'Code', 'Column', 'Folded', 'Heading', 'Items', 'Missing', 'Note', 'Picture', 'Section', 'Table', 'Text',
]


@dataclass(frozen=True)
class Text:
    """A paragraph; it may hold Markdown's `code`, **strong** and [title](address)."""
    text: str
    kind: ClassVar[str] = 'text'


@dataclass(frozen=True)
class Note:
    """A paragraph that must not be overlooked."""
    text: str
    kind: ClassVar[str] = 'note'


@dataclass(frozen=True)
class Missing:
    """In the place of what the run has no material for."""
    text: str
    kind: ClassVar[str] = 'missing'


@dataclass(frozen=True)
class Heading:
    """Within a section."""
    text: str
    kind: ClassVar[str] = 'heading'


@dataclass(frozen=True)
class Items:
    items: Sequence[str]
    kind: ClassVar[str] = 'items'


@dataclass(frozen=True)
class Code:
    text: str
    kind: ClassVar[str] = 'code'


@dataclass(frozen=True)
class Column:
    title: str
    number: bool = True
    reported: bool = False  # by the paper, not measured


@dataclass(frozen=True)
class Table:
    """The first cell of a row names it. Groups are (title, number of columns, reported) from the second column on.

    Titles and cells of numbers break where they have line ends, and nowhere else.
    """
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    groups: Sequence[Tuple[str, int, bool]] = ()
    kind: ClassVar[str] = 'table'


@dataclass(frozen=True)
class Picture:
    uri: str  # 'data:...'
    width: int  # in CSS pixels
    height: int
    alt: str  # its content in words
    caption: str
    kind: ClassVar[str] = 'picture'


@dataclass(frozen=True)
class Folded:
    """Blocks that a click shows."""
    summary: str
    blocks: Sequence['Block']
    kind: ClassVar[str] = 'folded'


Block = Union[Text, Note, Missing, Heading, Items, Code, Table, Picture, Folded]


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block]
