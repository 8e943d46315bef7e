"""The little Markdown that sentences hold, as HTML."""
import re
from typing import List, Tuple

from markupsafe import Markup, escape

__all__ = ['inline', 'table_cells']

_MARKS = re.compile(r'`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\[(?P<title>[^\]]+)\]\((?P<address>[^)\s]+)\)')


def inline(text: str) -> Markup:
    """Escaped text, with `code` and **strong** marked up; [title](address) becomes 'title (address)', since a page that
    needs nothing else leads nowhere else.

    >>> inline('`a<b` is **so**, see [it](https://b.c)')
    Markup('<code>a&lt;b</code> is <strong>so</strong>, see it (https://b.c)')
    """
    return Markup(_MARKS.sub(_html, str(escape(text))))


def _html(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == 'address':
        return f'{match["title"]} ({match["address"]})'
    return f'<{kind}>{match[kind]}</{kind}>' if kind else match[0]


def table_cells(markdown: str) -> Tuple[List[str], List[List[str]]]:
    """Header and rows of a table as model cards hold it.

    >>> table_cells('| a | b |\\n| --- | --- |\\n| 1 | 2 |')
    (['a', 'b'], [['1', '2']])
    """
    lines = [line.removeprefix('| ').removesuffix(' |').split(' | ') for line in markdown.splitlines()]
    return lines[0], lines[2:]
