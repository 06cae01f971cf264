"""Every YAML in ``params/`` parses, and every stage of every edition says which runs it needs."""

from __future__ import annotations

import shutil

import pytest

from fer_study import models
from fer_study.data import official
from fer_study.jobs import editions, obstacles, stages
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import PARAMS, DataConfig, RunConfig, TransferConfig
from fer_study.settings.recipes import load_recipe
from fer_study.settings.yaml_files import read_yaml

EDITIONS = editions.editions()
PAIRS = [(edition, stage) for edition in EDITIONS for stage in stages.STAGES if (edition, stage) != ("synthetic", "design")]


def test_the_editions_are_there():
    assert {"smoke", "synthetic", "fer2013"} <= set(EDITIONS)


@pytest.mark.parametrize("path", sorted((PARAMS / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_parse(path):
    recipe = load_recipe(path.stem)
    assert len(recipe.source) > 20 and sum(phase.epochs for phase in recipe.phases) > 0


def test_every_yaml_belongs_somewhere():
    for path in PARAMS.rglob("*.yaml"):
        assert path.parent.name == "recipes" or path.stem in ("edition", "twin", "gallery", *stages.STAGES), path


@pytest.mark.parametrize(("edition", "stage"), PAIRS)
def test_every_stage_says_what_it_needs(edition, stage):
    assert "edition" not in read_yaml(PARAMS / edition / f"{stage}.yaml"), "the folder says it"
    jobs = stages.jobs_of(edition, stage)
    assert len({job.key for job in jobs}) == len(jobs)
    assert bool(jobs) == (stage != "01_dataset_audit")
    for job in jobs:
        run = job.run if isinstance(job, TransferConfig) else job
        assert run.data.fingerprint and job.name
        assert models.resolve(run.model) == run.model
        if run.model.name not in models.registry.NOT_NETWORKS:
            assert run.epochs > 0
            models.create_model(run.model, 7)


@pytest.mark.parametrize("edition", EDITIONS)
def test_all_jobs_of_an_edition(edition):
    jobs = stages.jobs(edition)
    keys = [job.key for job in jobs]
    assert len(keys) == len(set(keys))
    assert set(keys) == {job.key for world, stage in PAIRS if world == edition for job in stages.jobs_of(edition, stage)}
    comparison = [job.key for job in stages.jobs_of(edition, "03_model_comparison")]
    assert keys[: len(comparison)] == comparison
    trained = {job.key for job in jobs if isinstance(job, RunConfig)}
    assert all(job.run.key in trained for job in jobs if isinstance(job, TransferConfig))


def test_seeds_come_first_in_the_comparison():
    seeds = [job.seed for job in stages.jobs_of("fer2013", "03_model_comparison") if job.name != "hog_svm"]
    assert seeds == sorted(seeds) and seeds.count(0) == 4


def test_the_arms_change_one_part():
    jobs = {job.name: job for job in stages.jobs_of("fer2013", "04_ablations")}
    full = jobs.pop("full")
    assert jobs["longer"].epochs == 1.5 * full.epochs == 30
    assert jobs["l2"].optimiser.weight_decay == 1e-4 and full.optimiser.weight_decay == 0
    for job in jobs.values():
        fields = [f for f in RunConfig.model_fields if f != "name" and getattr(job, f) != getattr(full, f)]
        assert len(fields) == 1, fields
    differ = {k for k, v in jobs["no_cbam"].model.options.items() if v != full.model.options[k]}
    assert differ == {"attention"}


def test_the_live_recipe_narrows_networks():
    (run, *_), edition = stages.jobs_of("synthetic", "03_model_comparison"), editions.load_edition("synthetic")
    assert run.model.options["width"] == edition.live.width and run.data.max_train == edition.live.max_train
    (full, *_) = stages.jobs_of("fer2013", "03_model_comparison")
    assert full.model.options["width"] == 1.0 and full.data.max_train is None


def test_fingerprints_need_no_data():
    assert editions.load_edition("fer2013").data.fingerprint == official.FINGERPRINTS["fer2013"]
    data = editions.with_fingerprint(DataConfig(dataset="synthetic"))
    assert (data.faces, data.style) == (12000, "wild") and len(data.fingerprint) == 16


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: editions.load_edition("mars"), "unknown edition 'mars'; known: .*smoke"),
        (lambda: stages.jobs("mars"), "unknown edition 'mars'"),
        (lambda: stages.jobs_of("smoke", "08_nothing"), "unknown stage '08_nothing'; known: 01_dataset_audit"),
        (lambda: editions.domain("mars", editions.load_edition("smoke")), "unknown dataset 'mars'; known: fer2013"),
        (lambda: editions.domain("synthetic-oil", editions.load_edition("smoke")), "allowed: synthetic-wild, synthetic-lab"),
        (
            lambda: stages.ablations(edition="smoke", recipes=["smoke"], model="cbam_cnn", arms=["no_legs"], seeds=[0]),
            "unknown arm 'no_legs'; allowed: full, no_cbam",
        ),
        (
            lambda: stages.class_weighting(edition="smoke", recipes=["tea"], model="cbam_cnn", schemes=["none"], seeds=[0]),
            "unknown recipe 'tea'; known: ",
        ),
    ],
)
def test_unknown_names_are_refused(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stages.label_distribution(edition="smoke", recipes=["smoke"], model="cbam_cnn", options={}, input_size=48,
                                           targets=["labels", "vote"], seeds=[0]),
         "targets is 'vote': .*'labels' or 'votes'"),
        (lambda: stages.label_distribution(edition="smoke", recipes=["smoke"], model="cbam_cnn", options={"dropout": 1.0},
                                           input_size=48, targets=["labels"], seeds=[0]),
         r"model cbam_cnn: dropout is 1\.0, allowed: 0 and more, below 1"),
        (lambda: stages.dataset_audit(edition="smoke", near_threshold=2.0, others=[]),
         "threshold is 2.0: .*less than or equal to 1"),
        (lambda: stages.error_analysis(edition="smoke", recipes=["smoke"], models=["cbam_cnn"], seeds=[-1]),
         "error_analysis: seeds.0 is -1"),
    ],
)  # fmt: skip
def test_a_notebook_is_refused_what_a_file_is(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds: [0]", "seeds: 0", "seeds is 0: .*array"),
        ("seeds: [0]", "seeds: ['0']", "seeds.0 is '0': .*integer"),
        ("seeds: [0]\n", "", "seeds is missing"),
        ("schemes: [none, inverse, heavy]", "schemes: [none, 3]", "schemes.1 is 3: .*string"),
        ("seeds: [0]", "seeds: [-1]", "seeds.0 is -1: .*greater than or equal to 0"),
        ("seeds: [0]", "seeds: [0, 1, 0]", "seeds is .0, 1, 0.: .*0 is listed twice"),
        ("recipes: [smoke]", "recipes: [smoke, smoke]", "recipes is .*'smoke' is listed twice"),
        ("recipes: [smoke]", "recipes: []", "recipes is ..: .*at least 1 item"),
        ("schemes: [none, inverse, heavy]", "schemes: [none, none]", "schemes is .*'none' is listed twice"),
        ("seeds: [0]", "seeds: [0]\nsedes: [1]", "unknown key 'sedes'"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, monkeypatch, old, new, words):
    shutil.copytree(PARAMS / "smoke", tmp_path / "smoke")
    path = tmp_path / "smoke" / "02_class_weighting.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    monkeypatch.setattr(stages, "parameters", lambda edition, stage: editions.parameters(edition, stage, tmp_path))
    with pytest.raises(InputError, match=words) as caught:
        stages.jobs_of("smoke", "02_class_weighting")
    assert str(caught.value).startswith("params/smoke/02_class_weighting.yaml: ") and "\n" not in str(caught.value)


def test_the_four_arms_of_resface():
    """A, A+B, A+C and A+B+C: without and with attention, taught by labels or by one and the same generator."""
    arms = {}
    for arm, options in (("A", {"attention": "none"}), ("A+B", {})):
        given = {"edition": "smoke", "recipes": ["smoke"], "model": "resface18", "options": options, "input_size": 64}
        plain, generator, taught = stages.label_distribution(**given, targets=["labels", "generator"], seeds=[0])
        arms |= {arm: plain, f"{arm}+C": taught}
        assert taught.loss.teacher == generator.key and generator.model.name == "ldg" and taught.model == plain.model
    assert arms["A+C"].loss == arms["A+B+C"].loss, "one teacher"
    assert [run.model.options["attention"] for run in arms.values()] == ["none", "none", "sum", "sum"]
    assert len({run.key for run in arms.values()}) == 4 and {run.model.input_size for run in arms.values()} == {64}


def test_a_generator_is_trained_before_its_student():
    given = {"edition": "smoke", "recipes": ["smoke"], "model": "cbam_cnn", "options": {}, "input_size": 48}
    jobs = stages.label_distribution(**given, targets=["labels", "generator"], seeds=[0, 1])
    assert [job.name for job in jobs] == ["labels", "ldg", "generator"] * 2
    assert [obstacles.wave_of(job) for job in jobs] == [0, 0, 1] * 2
    for _, teacher, student in (jobs[:3], jobs[3:]):
        assert student.loss.teacher == teacher.key and student.seed == teacher.seed and teacher.model.name == "ldg"
