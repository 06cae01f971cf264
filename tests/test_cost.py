"""What a network costs, against a count by hand."""

from __future__ import annotations

import pytest

from fer_study.models.cost import cost
from fer_study.settings.experiment import ModelConfig


def test_cost_of_the_smallest_network_by_hand():
    found = cost(ModelConfig(name="emotion_cnn"))
    convolutions = [(48, 1, 32), (24, 32, 64), (12, 64, 128)]  # side, filters in, filters out
    operations = sum(2 * 9 * side**2 * i * o for side, i, o in convolutions) + 2 * (128 * 6**2 * 128 + 128 * 7)
    parameters = sum(9 * i * o + o for _, i, o in convolutions) + 128 * 6**2 * 128 + 128 + 128 * 7 + 7
    assert found["mflops"] == pytest.approx(operations / 1e6)
    assert found["parameters"] == parameters
    assert found["latency_ms"] > 0 and found["images_per_second"] > 0
