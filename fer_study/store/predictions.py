"""Stored predictions: what every system said of every validation and test image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Predictions:
    """Stored predictions.

    Attributes:
        table: N rows: ``row`` (in the FaceSet), ``split``, ``label``, and flags ``copy_in_train``,
            ``copy_in_validation`` (an exact copy of the image is there).
        views: view -> (N, K) float32 log-probabilities, rounded to half precision.
    """

    table: pd.DataFrame
    views: dict[str, np.ndarray]

    def subset(self, name: str) -> np.ndarray:
        """Mask the images of a subset, (N,) bool.

        ``validation``, ``test``, ``test_clean`` (no copy in train or validation), ``merged``
        (validation and test) or ``merged_clean`` (no copy in train).

        Raises:
            ValueError: unknown name.
        """
        in_test, in_train = self.table["split"] == "test", self.table["copy_in_train"]
        masks = {
            "validation": self.table["split"] == "validation",
            "test": in_test,
            "test_clean": in_test & ~in_train & ~self.table["copy_in_validation"],
            "merged": in_test | (self.table["split"] == "validation"),
            "merged_clean": ~in_train,
        }
        if name not in masks:
            raise ValueError(f"subset is {name!r}, allowed: {', '.join(masks)}")
        return masks[name].to_numpy()


SUBSETS = ("validation", "test", "test_clean", "merged", "merged_clean")


def write_predictions(
    path: Path | io.BytesIO, table: pd.DataFrame, views: dict[str, np.ndarray]
) -> None:
    """One parquet file: the table's columns and one fixed-size list of K half floats per view."""
    columns = {name: pa.array(table[name]) for name in table.columns}
    columns["split"] = columns["split"].dictionary_encode()
    for view, logits in views.items():
        values = pa.array(np.ascontiguousarray(logits, dtype=np.float16).ravel())
        columns[view] = pa.FixedSizeListArray.from_arrays(values, logits.shape[1])
    # lossless; the bytes of a number apart and the steps between rows pack a quarter smaller
    packed = {"row": "DELTA_BINARY_PACKED"}
    packed |= {f"{view}.list.element": "BYTE_STREAM_SPLIT" for view in views}
    pq.write_table(
        pa.table(columns),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=[name for name in columns if name != "row" and name not in views],
        column_encoding=packed,
    )


def read_predictions(path: Path | io.BytesIO) -> Predictions:
    """What ``write_predictions`` wrote."""
    table = pq.read_table(path)
    is_view = [pa.types.is_fixed_size_list(f.type) for f in table.schema]
    names = [n for n, view in zip(table.column_names, is_view, strict=True) if view]
    views = {}
    for name in names:
        column = table[name].combine_chunks()
        flat = (
            (column if isinstance(column, pa.Array) else column.chunk(0))
            .flatten()
            .to_numpy(zero_copy_only=False)
        )
        views[name] = flat.reshape(len(table), -1).astype(np.float32)
    frame = table.drop(names).to_pandas()
    frame["split"] = frame["split"].astype(str)
    return Predictions(frame, views)
