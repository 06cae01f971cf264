"""Claims beside records: the effect, its interval, and the verdict by the rule."""

from __future__ import annotations

import numpy as np
import pytest
from page_records import TEST, VALIDATION, labels_of, make_record, predictions, two_epochs

from fer_study.analysis import claims
from fer_study.book.pages import claimed


def named(predicted: np.ndarray, **changes: int) -> np.ndarray:
    """Predictions with the validation and test images of a label (``label_3=4``) named as another class."""
    labels = np.concatenate([labels_of(VALIDATION), labels_of(TEST)])
    for label, other in changes.items():
        predicted[labels == int(label.removeprefix("label_"))] = other
    return predicted


def test_missing_records_have_no_verdict():
    assert claimed.errors({}, "fer2013").count("**open**") == 3


def test_the_ladder(tmp_path):
    """The network with fixed kernels alone does not overfit; the residual one beats it, and the goal."""
    hits = {"EmotionCNN": ("emotion_cnn", 16, 1.5), "CNN + fixed kernels": ("kernel_cnn", 12, 0.7),
            "SimpleResNetFER": ("simple_resnet", 32, 1.5), "CBAM + kernels": ("cbam_cnn", 16, 1.5)}  # fmt: skip
    runs = {
        title: [make_record(tmp_path, right + s, name=name, seed=s, history=two_epochs(loss + s / 100)) for s in range(3)]
        for title, (name, right, loss) in hits.items()
    }
    shortcuts, goal, overfitting = claimed.ladder(runs, "fer2013").split("\n- ")
    own, ours = shortcuts.split("\n")[1:]
    assert own == "  - in its own table 53.13 % with them and 59.72 % without: **refuted by its source**"
    assert ours == "  - SimpleResNetFER minus CNN + fixed kernels: +50.0 [+50.0, +50.0] points: **reproduced**"
    assert goal.startswith("Claim `ladder-14`, test") and "SimpleResNetFER 82.5 % [" in goal and "contradicted**" in goal
    assert overfitting.startswith("Claim `ladder-15`, validation: overfitting is not solved by any of the four.\n")
    assert "EmotionCNN +0.510 [+0.485, +0.535]" in overfitting and "fixed kernels -0.290 [-0.315, -0.265]" in overfitting
    assert overfitting.endswith("**contradicted**")
    runs["CNN + fixed kernels"] = runs["EmotionCNN"]
    assert claimed.ladder(runs, "fer2013").endswith("**reproduced**")
    assert claimed.ladder({}, "fer2013").count("**open**") == 3


def looking(third: int) -> dict[str, np.ndarray]:
    maps = np.zeros((7, 3, 3), np.float16)
    maps[:, third] = 1
    return {"maps": maps, "counts": np.full(7, 30)}


def test_errors(tmp_path):
    predicted = named(predictions(40, validation_right=10), label_4=6)  # all sad are called neutral
    runs = {"CBAM + kernels": [make_record(tmp_path, predicted, name="cbam_cnn", cam=looking(2))]}
    pair, recall, looks = claimed.errors(runs, "fer2013").split("\n- ")
    assert pair.startswith("- Claim `ladder-09`") and "confuse most, +15.0 [+" in pair
    assert pair.endswith("**one seed: reproduced**")
    first, second = recall.split("\n")[1:]
    assert first.startswith("  - above 70 %: angry 100.0 % [") and "sad" not in first
    assert second.startswith("  - surprise 100.0 % [") and second.endswith("**one seed: reproduced**"), (
        "of one image: 20.7 to 100"
    )
    assert "happy 100.0 % in the lower third (not told apart from even), surprise 0.0 % in the middle third (not" in looks
    assert looks.endswith("**one seed: undecided**"), "one map has no interval"


@pytest.mark.parametrize(("third", "verdict"), [(2, "contradicted"), (0, "contradicted")])
def test_where_three_seeds_look(tmp_path, third, verdict):
    """All in the lower third: right for the mouth of the happy, wrong for the eyes of the surprised."""
    runs = {"x": [make_record(tmp_path, 20, seed=s, cam=looking(third)) for s in range(3)]}
    assert claimed.errors(runs, "fer2013").endswith(f"**{verdict}**")


def test_where_three_seeds_look_as_claimed(tmp_path):
    stored = looking(2)
    stored["maps"][5] = looking(1)["maps"][5]
    runs = {"x": [make_record(tmp_path, 20, seed=s, cam=stored) for s in range(3)]}
    assert claimed.errors(runs, "fer2013").endswith(
        "happy 100.0 % [100.0, 100.0] in the lower third (more than even), surprise 100.0 % [100.0, 100.0] in the middle "
        "third (more than even), angry 100.0 % [100.0, 100.0] in the lower third (more than even): **reproduced**"
    )


def test_every_claim_is_one_of_the_table():
    text = "".join(part({}, "fer2013") for part in (claimed.ladder, claimed.errors))
    assert [text.count(f"`ladder-{n:02d}`") for n in (9, 10, 12, 13, 14, 15)] == [1] * 6
    assert all(claims.load().loc["ladder-10", "value"].count(f"{x}") for x in (0.7, 0.361))
