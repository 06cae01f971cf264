"""The pages of methods hold their own code against the module: a fault in the module stops the page."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study.analysis import metrics
from fer_study.audit import crowd
from fer_study.training import losses
from notebook_cells import run_notebook

DIVISORS = [f"losses-{cell}" for cell in ("01", "02", "06")]
BOOTSTRAP = [f"stat-{cell}" for cell in ("01", "02", "06")]
VOTES = [f"labels-{cell}" for cell in ("01", "02", "14", "16")]


@pytest.mark.parametrize("divisor", ["count", "weights"])
def test_a_loss_with_one_divisor_only_stops_the_page(monkeypatch, divisor):
    right = losses.soft_cross_entropy
    monkeypatch.setattr(losses, "soft_cross_entropy", lambda *given: right(*given[:3], divisor))
    with pytest.raises(AssertionError):
        run_notebook("method_losses", only=DIVISORS)


def test_a_bootstrap_without_replacement_stops_the_page(monkeypatch):
    def drawn_once_each(per_image: np.ndarray, groups: None, repetitions: int, seed: int) -> np.ndarray:
        return np.repeat(per_image.sum(axis=0, keepdims=True), 1 + repetitions, axis=0)

    monkeypatch.setattr(metrics, "resampled", drawn_once_each)
    with pytest.raises(AssertionError):
        run_notebook("method_statistics", only=BOOTSTRAP)


def test_votes_that_are_not_weighed_stop_the_page(monkeypatch):
    right = crowd.weigh
    monkeypatch.setattr(crowd, "weigh", lambda votes, labels, passes: right(votes, labels, 0))
    with pytest.raises(AssertionError):
        run_notebook("method_labels", only=VOTES)


def test_without_a_fault_the_same_cells_run():
    ours = run_notebook("method_losses", only=DIVISORS)["ours"]
    assert ours["count"] != ours["weights"]
    assert run_notebook("method_labels", only=VOTES)["belief"].sum(axis=1) == pytest.approx(1)
    names = run_notebook("method_statistics", only=[*BOOTSTRAP, "stat-14", "stat-23"])
    assert names["low"] < names["value"] < names["high"]
    # three seeds find one point: as tables of the noncentral t say
    chances = [names["power"](1, spread, 3) for spread in (0.4, 0.6, 1.2)]
    assert chances == pytest.approx([0.398, 0.225, 0.097], abs=0.003)
    assert names["power"](0, 1.0, 5) == pytest.approx(0.05, abs=0.002)
