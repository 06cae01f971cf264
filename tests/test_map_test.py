"""Maps of a trained network against what moved, and against networks with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study import store
from fer_study.analysis.saliency import blob, inside_regions, rank_correlation
from fer_study.data.twin import synthetic
from fer_study.jobs import map_test, stages
from fer_study.settings.experiment import MapTestConfig
from fer_study.training.sources import faces_of
from fer_study.training.weights import SourceMissing
from jobs_by_config import run_job


def test_a_map_inside_outside_and_none_at_all():
    maps, regions = np.zeros((4, 2, 2)), np.zeros((4, 2, 2), bool)
    regions[:, 0] = True
    maps[0, 0, 0], maps[1, 1, 1] = 2, 3
    maps[2] = [[1, 2], [5, 0]]
    inside, pointing = inside_regions(maps, regions)
    assert inside.tolist() == [1, 0, 3 / 8, 0] and pointing.tolist() == [True, False, False, False]


def test_maps_in_the_same_order_are_alike():
    ramp = np.arange(9.0).reshape(1, 3, 3)
    maps = np.concatenate([ramp, ramp**2, -ramp, 0 * ramp])
    found = rank_correlation(maps, np.repeat(ramp, 4, axis=0))
    np.testing.assert_allclose(found[:3], [1, 1, -1])
    assert np.isnan(found[3])


def test_the_blob_is_highest_in_the_middle():
    spot = blob(5)
    assert spot.argmax() == 12 and spot[2, 2] == 1 and spot[2, 4] == pytest.approx(np.exp(-2))


def test_maps_get_the_size_of_the_picture():
    maps = np.full((2, 4, 4), 0.5, np.float32)
    assert map_test.resized(maps, 4) is maps
    assert map_test.resized(maps, 12).shape == (2, 12, 12) and (map_test.resized(maps, 12) == 0.5).all()


@pytest.fixture
def config(tiny_run):
    mark = synthetic.fingerprint(120, 78, "wild")
    target = tiny_run().data.replace(faces=120, world_seed=78, fingerprint=mark)
    return MapTestConfig(name="maps of tiny", run=tiny_run(), target=target, random=2)


def test_without_weights_it_says_so(runs_folder, config):
    with pytest.raises(SourceMissing, match=r"is not trained$"):
        run_job(config)


def test_a_record_of_maps(runs_folder, config):
    run_job(config.run)
    record = run_job(config)
    assert store.lookup(config.key).config == config
    found, stage_count = record.map_test, len(map_test.load(config.run, faces_of(config.target)).stages())
    cascade = [f"from the top, {number}" for number in range(1, stage_count + 1)]
    assert found["networks"].tolist() == ["trained", "random 0", "random 1", *cascade, "blob"]
    n = len(found["classes"])
    assert 0 < n < 120 and len(synthetic.CLASS_REGIONS["neutral"]) == 0
    assert 6 not in found["classes"], "a neutral face moves nothing"
    for name in ("inside", "pointing", "alike"):
        assert found[name].shape == (len(found["networks"]), n)
    assert ((found["inside"] >= 0) & (found["inside"] <= 1)).all() and ((found["area"] > 0) & (found["area"] < 1)).all()
    known = ~np.isnan(found["alike"][0])
    assert known.any() and (found["alike"][0][known] > 0.99).all(), "it is like itself"


def test_the_maps_are_of_the_trainings_of_the_page():
    jobs = stages.read_stage("synthetic", "twin_networks").jobs()
    tests = [job for job in jobs if job.model == "map test"]
    keys = {job.key: job for job in jobs}
    assert len(tests) == 3
    for job in tests:
        (source,) = job.needs()
        assert keys[source].recipe == job.recipe == "twin" and keys[source].seed == job.seed
        assert job.config.target.world_seed != keys[source].config.data.world_seed, "unseen faces"
    repeated = [job for job in jobs if job.arm == stages.REPEATED]
    assert len({job.key for job in repeated}) == 8 and len({job.config.replace(seed=0).key for job in repeated}) == 1
