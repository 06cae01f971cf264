"""Draw figures: arrays and tables in, Axes out.

Nothing is computed here but the layout (and the row shares of a count table).

Every function draws into ``ax`` (a new figure without it), sets a ``title`` and below it a
``note``: n, split and interval. Each class has one colour, marker, line style and hatch; the order
is that of the data. Shares are in [0, 1], shown in per cent. Colours, safe for the colour-blind:
classes by Paul Tol ("bright"), systems and splits by Okabe and Ito.
"""

from .architecture import architecture, block_diagram
from .charts import (
    agreement,
    class_balance,
    confusion,
    duplicates_by_class,
    learning_curves,
    recall_by_class,
    reliability,
    score_intervals,
    transfer_matrix,
    verdict_bars,
)
from .faces import class_saliency, contact_sheet, face_grid, mean_faces, overlay
from .frame import CLASS_COLOURS, GREY, INK, SERIES_COLOURS, STYLE, Head, class_style, panels, style

__all__ = [
    "CLASS_COLOURS",
    "GREY",
    "INK",
    "SERIES_COLOURS",
    "STYLE",
    "Head",
    "agreement",
    "architecture",
    "block_diagram",
    "class_balance",
    "class_saliency",
    "class_style",
    "confusion",
    "contact_sheet",
    "duplicates_by_class",
    "face_grid",
    "learning_curves",
    "mean_faces",
    "overlay",
    "panels",
    "recall_by_class",
    "reliability",
    "score_intervals",
    "style",
    "transfer_matrix",
    "verdict_bars",
]
