"""The runs of the page on our network, and its parameters; what its cells compute: ``test_cells``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fer_study.jobs import stages
from fer_study.models.cost import size
from fer_study.settings.errors import InputError


def test_the_runs_of_the_page():
    jobs = [job.config for job in stages.read_stage("fer2013", "design").jobs()]
    ours, *_ = jobs
    assert ours.model.name == "fer48" and ours.name == "fer48"
    full = [job for job in jobs if ", " not in job.name and job.seed == 0]
    assert {job.epochs for job in full} == {ours.epochs} and len({job.model.name for job in full}) == 4
    fields = {field for job in full for field in type(job).model_fields if getattr(job, field) != getattr(ours, field)}
    assert fields == {"name", "model"}, "the same recipe, data and seed"
    short = [job for job in jobs if job.name.endswith("_short") and job.seed == 0]
    assert short and all(job.epochs < ours.epochs and job.model.name == "fer48" for job in short)
    assert short[-1].model == ours.model, "the last step is the network"
    options = [job.model.options for job in short]
    assert all(sum(a[k] != b[k] for k in a) == 1 for a, b in pairwise(options)), "one part at a time"
    fast = {job.name: job for job in jobs if ", fast_" in job.name and job.seed == 0}
    assert list(fast) == ["fast48, fast_10", "fast48, fast_45"] and {job.model.name for job in fast.values()} == {"fast48"}


def test_networks_of_equal_cost():
    jobs = stages.read_stage("fer2013", "design").jobs()[:4]
    found = {job.name: size(job.config.model)["mflops"] for job in jobs}
    assert np.ptp(list(found.values())) <= 0.1 * found["fer48"], found


@pytest.mark.parametrize(("change", "words"), [
    ({"networks": []}, "networks"), ({"networks": [{"name": "x", "model": "y"}]}, "unknown model 'y'"),
    ({"steps": [{"name": "x", "model": "fer48", "options": {"nose": 1}}]}, "unknown option 'nose'"),
    ({"steps": [{"name": "x", "model": "fer48", "colour": 1}]}, "colour"), ({"short": "none"}, "unknown recipe 'none'"),
])  # fmt: skip
def test_wrong_parameters(change, words):
    with pytest.raises(InputError, match=words) as caught:
        stages.check_stage("design", stages.parameters("smoke", "design") | change).jobs()
    assert "\n" not in str(caught.value)


def test_a_network_may_start_from_weights(tmp_path):
    given = {"name": "tuned", "model": "timm:resnet18", "input_size": 64, "weights": "imagenet"}
    job, *_ = stages.check_stage("design", stages.parameters("smoke", "design") | {"networks": [given]}).jobs()
    model = job.config.model
    assert (job.name, model.input_size, model.weights) == ("tuned", 64, "imagenet")
    with pytest.raises(InputError, match="weights is 'nowhere'"):
        wrong = {"networks": [given | {"weights": "nowhere"}]}
        stages.check_stage("design", stages.parameters("smoke", "design") | wrong).jobs()
