"""Claims beside records: the effect, its interval, and the verdict by the rule."""

from __future__ import annotations

import numpy as np
import pytest
from page_records import TEST, VALIDATION, labels_of, make_record, predictions

from fer_study.book.pages import claimed
from fer_study.data.labels import FER2013


def named(predicted: np.ndarray, **changes: int) -> np.ndarray:
    """Predictions with the validation and test images of a label (``label_3=4``) named as another class."""
    labels = np.concatenate([labels_of(VALIDATION), labels_of(TEST)])
    for label, other in changes.items():
        predicted[labels == int(label.removeprefix("label_"))] = other
    return predicted


@pytest.fixture
def ablations(tmp_path) -> dict:
    """The penalty raises the log loss (as sure, but more often wrong), more epochs change nothing, no CBAM loses fear and
    disgust."""
    whole = predictions(40, validation_right=10)
    hits = {"full": whole, "l2": predictions(40, validation_right=0), "longer": whole.copy(),
            "no_cbam": named(whole.copy(), label_1=3, label_2=3)}  # fmt: skip
    names = {"full": "full network", "l2": "with L2 1e-4", "longer": "half as many epochs again", "no_cbam": "without CBAM"}
    return {names[n]: [make_record(tmp_path, p, name=n)] for n, p in hits.items()}


def test_ablations(ablations):
    l2, longer, cbam = claimed.ablations(ablations, "fer2013").split("\n- ")
    assert l2.startswith("- Claim `ladder-06`, validation: L2 penalty lowers validation loss and overfitting (1.8 -> 1.4).")
    assert 'full network minus "with L2 1e-4": log loss -2.' in l2 and l2.endswith("**one seed: contradicted**")
    assert longer.startswith("Claim `ladder-07`") and "accuracy +0.0 [-27." in longer
    assert longer.endswith("**one seed: undecided**")
    assert "recall fear +100.0 [+61.0, +100.0] points, recall disgust +100.0 [+" in cbam
    assert cbam.endswith("**one seed: reproduced**")


def test_other_faces_and_missing_records_have_no_verdict(ablations):
    text = claimed.ablations(ablations, "synthetic")
    assert text.count("**no verdict, not FER2013**") == 3 and not any(w in text for w in ("reproduced", "contradicted"))
    assert claimed.ablations({}, "fer2013").count("not measured: **open**") == 3


def test_counts():
    every = dict(zip(FER2013, (4953, 547, 5121, 8989, 6077, 4002, 6198), strict=True), total=35887)
    merged = {"disgust": 111, "fear": 1024, "happy": 1774}
    splits = {name: {"total": total} for name, total in (("train", 28709), ("validation", 3589), ("test", 3589))}
    crowd = {"ten columns": {"all": {"not_face": 177}}, "eight emotions": {"all": {"fear": 825}}}
    audit = {"name": "fer2013", "images": 35887, "balance": {"all": every, "validation+test": merged, **splits},
             "transitions": crowd}  # fmt: skip
    text = claimed.counts(audit)
    assert text.count("**right**") == 7 and text.index("data-01") < text.index("data-13") < text.index("data-14")
    assert "  - 28709/3589/3589: **right**" in text and "  - 5121 -> 825: **right**" in text and "0.0152" in text
    merged["fear"], every["disgust"] = 1023, 3000
    assert claimed.counts(audit).count("**wrong**") == 3, "data-03, data-13, data-14"
    assert claimed.counts(audit | {"transitions": {}}).count("Claim") == 5
    assert "Claim" not in claimed.counts(audit | {"name": "synthetic"})
