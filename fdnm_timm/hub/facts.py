"""What a model card must say about the data, by data set."""
from typing import Dict, NamedTuple, Optional, Tuple

__all__ = ['Facts', 'facts_of']


class Facts(NamedTuple):
    """A data set, as far as weights made from it and figures measured on it depend on it."""
    title: str
    subject: str  # 'person', 'face', 'place' or, where nothing is known, 'identity'
    licence: Tuple[str, Optional[str]]  # of weights made from it, as the Hub has it: identifier, name where 'other'
    terms: str
    meaning: str  # of figures measured on it

    @property
    def task(self) -> str:
        """What the field calls it."""
        return 'visible-infrared ' + {
            'person': 'person re-identification', 'face': 'face recognition', 'place': 'place retrieval',
            'identity': 're-identification'}[self.subject]


def _collected(title: str, subject: str, more: str = '') -> Facts:
    return Facts(
        title, subject, ('other', 'terms-of-the-training-data'),
        f'{title} is given out by its authors, under terms of their own. These weights were made from it: read its '
        f'terms before you use or share them.',
        f'{title} shows real {"faces" if subject == "face" else "people"}, before few cameras and in few places: what '
        f'was measured on it need not hold elsewhere.{more}')


def _drawn(title: str, subject: str) -> Facts:
    what = 'faces' if subject == 'face' else 'people'
    return Facts(
        title, subject, ('apache-2.0', None),
        f'{title} is drawn by fdnm_timm itself, so that nobody else has a right in it.',
        f'**The {what} of {title} are drawn by a program.** The figures say that the parts work together. They say '
        f'nothing about real {what}, and nothing about how well the method works.')


_FACTS: Dict[str, Facts] = {
    'sysu_mm01': _collected('SYSU-MM01', 'person'),
    'regdb': _collected(
        'RegDB', 'person', ' This model is of one of its ten splits; published figures are means over ten models.'),
    'llcm': _collected('LLCM', 'person'),
    'oulu_casia': _collected('Oulu-CASIA NIR-VIS', 'face'),
    'buaa_visnir': _collected('BUAA-VisNir', 'face'),
    'casia_nirvis2': _collected(
        'CASIA NIR-VIS 2.0', 'face',
        ' This model is of one of its ten folds; published figures are means over ten models.'),
    'synthetic_vi': _drawn('SyntheticVI', 'person'),
    'synthetic_faces': _drawn('SyntheticFaces', 'face'),
    'roadscene': Facts(
        'RoadScene', 'place', ('other', 'training-data-without-a-stated-licence'),
        'RoadScene (https://github.com/hanna-xu/RoadScene) may be downloaded by anyone, but states no licence for its '
        'pictures, so what may be done with weights made from them is open.',
        '**The identities of RoadScene are places in street pictures, not people**, cut from aligned visible and '
        'thermal pairs as a benchmark of this project. They are few, and the figures say nothing about people.'),
}


def facts_of(dataset: str) -> Facts:
    """Of a data set that is not the package's own, only that nothing is known."""
    return _FACTS.get(dataset) or Facts(
        dataset, 'identity', ('other', 'terms-of-the-training-data'),
        f'fdnm_timm does not know the data set "{dataset}": whoever publishes these weights must add its terms here.',
        f'fdnm_timm does not know the data set "{dataset}": whoever publishes these weights must add here what it '
        f'shows, and what figures measured on it mean.')
