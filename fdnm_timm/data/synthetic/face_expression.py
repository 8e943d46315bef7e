"""What a face does at the moment of an image."""
from dataclasses import dataclass, fields

import numpy as np

__all__ = ['EXPRESSIONS', 'Expression', 'draw_expression']


@dataclass(frozen=True)
class Expression:
    """Shares of the strongest change: 0 at rest, negative the other way round."""

    smile: float = 0.0
    opening: float = 0.0  # of the mouth
    brows: float = 0.0
    frown: float = 0.0
    eyes: float = 0.0  # wider


EXPRESSIONS = {
    'Anger': Expression(smile=-0.3, brows=-0.7, frown=1.0, eyes=-0.1),
    'Disgust': Expression(smile=-0.6, opening=0.1, brows=-0.4, frown=0.5, eyes=-0.45),
    'Fear': Expression(smile=-0.2, opening=0.35, brows=0.7, frown=0.3, eyes=0.3),
    'Happiness': Expression(smile=1.0, opening=0.3, brows=0.1, eyes=-0.3),
    'Sadness': Expression(smile=-0.7, brows=0.3, frown=0.6, eyes=-0.25),
    'Surprise': Expression(opening=1.0, brows=1.0, eyes=0.4),
}


def draw_expression(rng: np.random.Generator, name: str) -> Expression:
    """The expression of this name, more or less strong."""
    strength = rng.uniform(0, 1)
    drawn = {field.name: strength * getattr(EXPRESSIONS[name], field.name) + rng.normal(0, 0.08)
             for field in fields(Expression)}
    drawn['opening'] = max(0.0, drawn['opening'])
    return Expression(**drawn)
