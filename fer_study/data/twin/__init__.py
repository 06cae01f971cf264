"""The synthetic twin of FER2013: drawn faces of which every answer is known.

Example:
    >>> from fer_study.data import twin
    >>> faces = twin.make(600, seed=0, style="wild")
    >>> faces.truth["mixture"].shape, faces.fingerprint
    ((600, 7), 'da8df78382f82ea5')
    >>> twin.draw_face({12: 1.0, 6: 0.7}, person=3).shape
    (48, 48)

``synthetic`` draws who is in a picture, what is felt and how it is tagged, ``parameters`` people,
expressions and surroundings; ``geometry`` places the features, and ``drawing`` paints them.
``portraits`` draws chosen faces for show.
"""

from .parameters import ACTION_UNITS
from .portraits import draw_face
from .synthetic import PLANTED_GAP, fingerprint, make, moved_region

__all__ = ["ACTION_UNITS", "PLANTED_GAP", "draw_face", "fingerprint", "make", "moved_region"]
