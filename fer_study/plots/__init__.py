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
    dots_by_group,
    dumbbells,
    duplicates_by_class,
    forest,
    learning_curves,
    recall_by_class,
    reliability,
    score_intervals,
    slopes,
    stacked_shares,
    transfer_matrix,
    verdict_bars,
)
from .faces import class_saliency, contact_sheet, face_grid, mean_faces, overlay
from .frame import CLASS_COLOURS, GREY, INK, SERIES_COLOURS, STYLE, Head, class_style, panels, style
from .scatter import scatter

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
    "dots_by_group",
    "dumbbells",
    "duplicates_by_class",
    "face_grid",
    "forest",
    "learning_curves",
    "mean_faces",
    "overlay",
    "panels",
    "recall_by_class",
    "reliability",
    "scatter",
    "score_intervals",
    "slopes",
    "stacked_shares",
    "style",
    "transfer_matrix",
    "verdict_bars",
]
