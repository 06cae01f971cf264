"""The synthetic twin of FER2013: drawn faces of which every answer is known.

Example:
    >>> from fer_study.data import twin
    >>> faces = twin.make(600, seed=0, style="wild")
    >>> faces.truth["mixture"].shape, faces.fingerprint
    ((600, 7), 'da8df78382f82ea5')

``synthetic`` draws who is in a picture, what is felt and how it is tagged, ``parameters`` people,
expressions and surroundings; ``geometry`` places the features, and ``drawing`` paints them.
"""

from .synthetic import fingerprint, make, moved_region

__all__ = ["fingerprint", "make", "moved_region"]
