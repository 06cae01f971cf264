"""Every YAML in ``params/`` parses, and every stage of every edition says which runs it needs."""

from __future__ import annotations

import shutil

import pytest
from pydantic import ValidationError

from fer_study import models, store
from fer_study.analysis import claim_rows
from fer_study.data import official
from fer_study.jobs import editions, stages
from fer_study.jobs.editions import Live, load_edition
from fer_study.jobs.gan import Gan
from fer_study.jobs.job import Job, graph
from fer_study.jobs.train import Training
from fer_study.settings.checkout import STUDY
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import PARAMS, AugmentConfig, DataConfig, RunConfig
from fer_study.settings.recipes import load_recipe
from fer_study.settings.yaml_files import read_yaml
from jobs_by_config import asked_jobs

EDITIONS = editions.editions()
PAIRS = [
    (edition, stage) for edition in EDITIONS for stage in stages.STAGES if (PARAMS / edition / f"{stage}.yaml").is_file()
]


def test_the_editions_are_there():
    assert {"smoke", "synthetic", "fer2013"} <= set(EDITIONS)


@pytest.mark.parametrize("path", sorted((PARAMS / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_recipes_parse(path):
    recipe = load_recipe(path.stem)
    assert len(recipe.source) > 20 and sum(phase.epochs for phase in recipe.phases) > 0


def test_every_yaml_belongs_somewhere():
    for path in PARAMS.rglob("*.yaml"):
        pages = [page.stem for page in (STUDY / "notebooks").glob("*.ipynb")]
        assert path.parent.name == "recipes" or path.stem in ("edition", "claims", *pages), path
    assert set(stages.STAGES) <= set(pages)


@pytest.mark.parametrize(("edition", "stage"), PAIRS)
def test_every_stage_says_what_it_needs(edition, stage):
    assert "edition" not in read_yaml(PARAMS / edition / f"{stage}.yaml"), "the folder says it"
    jobs = stages.read_stage(edition, stage).jobs()
    assert jobs and len({job.key for job in jobs}) == len(jobs) and all(job.stage == stage for job in jobs)
    for job in jobs:
        assert job.name and all(config.fingerprint for config in job.data())
        if isinstance(job, Training):
            model = job.config.model
            assert job.config.epochs > 0 and models.resolve(model) == model and load_recipe(job.recipe)
            models.create_model(model, 7)


@pytest.mark.parametrize("edition", EDITIONS)
def test_all_jobs_of_an_edition(edition):
    jobs = stages.edition_jobs(edition)
    keys = [job.key for job in jobs]
    assert len(keys) == len(set(keys))
    left_out = editions.load_edition(edition).when_named
    pairs = [(world, stage) for world, stage in PAIRS if world == edition and stage not in left_out]
    assert set(keys) == {job.key for pair in pairs for job in stages.read_stage(*pair).jobs()}
    if "03_model_comparison" not in left_out:
        comparison = [job.key for job in stages.read_stage(edition, "03_model_comparison").jobs()]
        begun = [job.key for job in jobs if job.stage != "01_dataset_audit"]
        assert begun[: len(comparison)] == comparison
    needed = {job.key for job in jobs if isinstance(job, Training | Gan)}
    assert all(set(job.needs()) <= needed for job in jobs)


def test_the_keys_of_published_records_are_those_of_jobs():
    """What a config is named by must not change: records would be lost."""
    systems = [system for system in claim_rows.read_rows()[0].values() if system.parameters]
    jobs = [job for edition in EDITIONS for job in stages.edition_jobs(edition)]
    jobs += [job for system in systems for job in asked_jobs(system)]  # of commands that claims name
    listed = {job.key: job.config for job in jobs}
    published = {path.parent.name for path in store.published_root().glob("*/done")}
    assert published <= set(listed) and len(published) >= 83
    for key in published:
        assert store.lookup(key).config.key == key == listed[key].key


def test_seeds_come_first_in_the_comparison():
    jobs = [job for job in stages.read_stage("fer2013", "03_model_comparison").jobs() if job.model != "hog_svm"]
    seeds = [job.seed for job in jobs if not job.config.data.folds]
    assert seeds == sorted(seeds) and seeds.count(0) == 4


def test_every_fold_of_cross_validation_is_a_job():
    jobs = [job for job in stages.read_stage("fer2013", "03_model_comparison").jobs() if job.config.data.folds]
    listed = [(job.model, job.config.data.folds, job.config.data.fold, job.seed) for job in jobs]
    assert listed == [(model, 3, fold, 0) for model in ("emotion_cnn", "simple_resnet") for fold in range(3)]
    assert jobs[0].arm == "emotion_cnn, fold 1 of 3" and len({job.key for job in jobs}) == 6
    given = {"edition": "smoke", "recipes": ["smoke"], "models": ["cbam_cnn"], "baseline": False, "seeds": [0]}
    for folds, message in (({"cbam_cnn": 1}, "folds.cbam_cnn is 1"), ({"cbam_cn": 2}, "unknown model 'cbam_cn'")):
        with pytest.raises(InputError, match=message):
            stages.check_stage("03_model_comparison", given | {"folds": folds}).jobs()


def test_the_arms_change_one_part():
    jobs = {job.name: job.config for job in stages.read_stage("fer2013", "04_ablations").jobs()}
    others = [jobs.pop(name) for name in list(jobs) if name.startswith("simple_resnet: ")]
    assert all(job.model.name == "simple_resnet" for job in others) and len({job.key for job in others}) == 4
    assert [(job.data.drop_tested, job.data.deduplicate) for job in others][2:] == [(True, False), (False, True)]
    full = jobs.pop("full")
    assert jobs["longer"].epochs == 1.5 * full.epochs == 30
    assert jobs["l2"].optimiser.weight_decay == 1e-4 and full.optimiser.weight_decay == 0
    for job in jobs.values():
        fields = [f for f in RunConfig.model_fields if f != "name" and getattr(job, f) != getattr(full, f)]
        assert len(fields) == 1, fields
    differ = {k for k, v in jobs["no_cbam"].model.options.items() if v != full.model.options[k]}
    assert differ == {"attention"}


def test_an_arm_sets_a_range_or_nothing():
    """The augmentation of the hybrid's source: two shears of one augmentation, and none at all."""
    jobs = {job.name: job.config.augment for job in stages.read_stage("fer2013", "hybrid").jobs()}
    few, many = (jobs[f"emotion_cnn: source_shear_{degrees}"] for degrees in ("04", "23"))
    assert few.zoom == (0.71, 1.67) and few.brightness == (0.5, 1.5) and many == few.replace(shear=23.0)
    assert jobs["emotion_cnn: no_augmentation"] == AugmentConfig(fill="border"), "which then fills nothing"


def test_an_edition_narrows_networks_and_its_live_recipe_takes_fewer_images():
    edition = editions.load_edition("synthetic")
    run = stages.read_stage("synthetic", "03_model_comparison").jobs()[0].config
    assert run.model.options["width"] == edition.width == 0.5 and run.data.max_train == edition.live.max_train
    long = stages.read_stage("synthetic", "07_error_analysis").jobs()[0].config
    assert long.model.options["width"] == 0.5 and long.data.max_train is None
    assert not edition.publishes("core") and edition.publishes("twin") and editions.load_edition("smoke").publishes("smoke")
    narrower = edition.replace(live=edition.live.replace(width=0.25))
    assert (narrower.width_of("core"), narrower.width_of("twin")) == (0.25, 0.5)
    full = stages.read_stage("fer2013", "03_model_comparison").jobs()[0].config
    assert full.model.options["width"] == 1.0 and full.data.max_train is None


def test_fingerprints_need_no_data():
    assert editions.load_edition("fer2013").data.fingerprint == official.FINGERPRINTS["fer2013"]
    data = editions.with_fingerprint(DataConfig(dataset="synthetic"))
    assert (data.faces, data.style) == (12000, "wild") and len(data.fingerprint) == 16


TRAINED = {"edition": "smoke", "recipes": ["smoke"], "model": "cbam_cnn", "seeds": [0]}
NETWORK = TRAINED | {"options": {}, "input_size": 48}


def jobs(stage: str, given: dict, **more: object) -> list[Job]:
    return stages.check_stage(stage, given | more).jobs()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: editions.load_edition("mars"), "unknown edition 'mars'; known: .*smoke"),
        (lambda: stages.read_stage("smoke", "08_nothing"), "unknown stage '08_nothing'; known: 01_dataset_audit"),
        (lambda: editions.dataset_config("mars", editions.load_edition("smoke")), "unknown dataset 'mars'; known: fer2013"),
        (
            lambda: editions.dataset_config("synthetic-oil", editions.load_edition("smoke")),
            "allowed: synthetic-wild, synthetic-lab",
        ),
        (
            lambda: jobs("04_ablations", TRAINED, arms={"no_legs": {"model.legs": 0}}),
            "model has no 'legs'; allowed: name, options",
        ),
        (lambda: jobs("04_ablations", TRAINED, arms={"x": {"phases.1.lr": 1.0}}), "phases has no '1'; allowed: 0"),
        (lambda: jobs("04_ablations", TRAINED, arms={"x": {"seed.x": 1}}), "seed has no 'x'; allowed: nothing"),
        (lambda: jobs("02_class_weighting", TRAINED, recipes=["tea"], arms={"none": {}}), "unknown recipe 'tea'; known: "),
    ],
)
def test_unknown_names_are_refused(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: jobs("05_label_distribution", NETWORK, targets=["labels", "vote"]),
         "data.targets is 'vote': .*'labels', 'votes' or 'majority'"),
        (lambda: jobs("05_label_distribution", NETWORK, options={"dropout": 1.0}, targets=["labels"]),
         r"model cbam_cnn: dropout is 1\.0, allowed: 0 and more, below 1"),
        (lambda: jobs("01_dataset_audit", {"edition": "smoke"}, near_threshold=2.0, others=[]),
         "threshold is 2.0: .*less than or equal to 1"),
        (lambda: jobs("07_error_analysis", {"edition": "smoke", "recipes": ["smoke"]}, models=["cbam_cnn"], seeds=[-1]),
         "07_error_analysis: seeds.0 is -1"),
        (lambda: jobs("07_error_analysis", {"edition": "smoke", "recipes": ["smoke"], "seeds": [0]}, models=["cbam_cnn"],
                      dropout={"kernel_cnn": 20}), "07_error_analysis: dropout is of 'kernel_cnn', allowed: cbam_cnn"),
        (lambda: jobs("07_error_analysis", {"edition": "smoke", "recipes": ["smoke"], "seeds": [0]}, models=["cbam_cnn"],
                      dropout={"cbam_cnn": 1}), "07_error_analysis: dropout.cbam_cnn is not at least 2 passes"),
        (lambda: jobs("twin", {"edition": "fer2013"}, person=3), "edition fer2013 has fer2013, allowed: synthetic"),
        (
            lambda: jobs("method_blocks", TRAINED | {"edition": "fer2013"}, model="cbam_cnn", arms={"one": {}}),
            "stage method_blocks draws faces: edition fer2013",
        ),
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
        ("seeds: [0]\n", "", "seeds is missing"),
        ("heavy: {loss.class_weights: heavy}", "heavy: {loss.class_weights: [three]}", r"arms\.heavy\.\S* is \['three'\]"),
        ("seeds: [0]", "seeds: [-1]", "seeds.0 is -1: .*greater than or equal to 0"),
        ("seeds: [0]", "seeds: [0, 1, 0]", "seeds is .0, 1, 0.: .*0 is listed twice"),
        ("recipes: [smoke]", "recipes: []", "recipes is ..: .*at least 1 item"),
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
        stages.read_stage("smoke", "02_class_weighting").jobs()
    assert str(caught.value).startswith("params/smoke/02_class_weighting.yaml: ") and "\n" not in str(caught.value)


def test_the_four_arms_of_resface():
    """A, A+B, A+C and A+B+C: without and with attention, taught by labels or by one and the same generator."""
    arms, targets = {}, ["labels", "generator"]
    for arm, options in (("A", {"attention": "none"}), ("A+B", {})):
        given = TRAINED | {"model": "resface18", "options": options, "input_size": 64}
        made = jobs("05_label_distribution", given, targets=targets)
        plain, generator, taught = (job.config for job in made if isinstance(job.config, RunConfig))
        arms |= {arm: plain, f"{arm}+C": taught}
        assert taught.loss.teacher == generator.key and generator.model.name == "ldg" and taught.model == plain.model
    assert arms["A+C"].loss == arms["A+B+C"].loss, "one teacher"
    assert [run.model.options["attention"] for run in arms.values()] == ["none", "none", "sum", "sum"]
    assert len({run.key for run in arms.values()}) == 4 and {run.model.input_size for run in arms.values()} == {64}


def test_the_hybrid_and_its_rivals_are_trained_alike():
    """The parts are taken from the hybrid one by one; the rivals differ in the network alone."""
    made = {job.name: job.config for job in stages.read_stage("fer2013", "hybrid").jobs()}
    full = made["full"]
    options = full.model.options
    parts = {
        "no_transformer": "transformer",
        "no_branches": "branches",
        "no_fusion": "fusion",
        "channel_attention": "attention",
    }
    for arm, option in parts.items():
        changed = {key for key, value in made[arm].model.options.items() if options[key] != value}
        assert changed == {option} and made[arm].replace(name=full.name, model=full.model) == full
    rivals = [name for name in made if name.endswith(": full")]
    assert len(rivals) == 4 and len({made[name].key for name in rivals} | {full.key}) == 5
    assert all(made[name].replace(name=full.name, model=full.model) == full for name in rivals)


def test_a_generator_is_trained_before_its_student():
    made = jobs("05_label_distribution", NETWORK, targets=["labels", "generator"], seeds=[0, 1])
    assert [job.arm for job in made if isinstance(job.config, RunConfig)] == ["labels", "ldg", "generator"] * 2
    order = list(graph(reversed(made)).static_order())
    for _, teacher, student in (made[:3], made[3:6]):
        assert student.needs() == (teacher.key,) and order.index(teacher.key) < order.index(student.key)
        assert student.seed == teacher.seed and teacher.model == "ldg"


@pytest.mark.parametrize(
    "live", [None, Live(recipe="smoke", max_train=30), Live(recipe="smoke"), Live(recipe="other", max_train=30)]
)
def test_every_system_of_a_stage_is_trained_on_the_same_images(monkeypatch, live):
    """Those of the edition, of which its pages take a part where they train by themselves."""
    edition = load_edition("smoke")
    edition = edition.replace(data=edition.data.replace(max_train=50), live=live)
    monkeypatch.setattr(stages, "load_edition", lambda _: edition)
    systems = [job for job in stages.read_stage("smoke", "03_model_comparison").jobs() if not job.config.data.folds]
    networks = {job.config.data for job in systems if job.model in ("hog_svm", "emotion_cnn")}
    expected = 30 if live and live.recipe == "smoke" and live.max_train else 50
    assert [data.max_train for data in networks] == [expected]


def test_a_live_recipe_trains_on_some_images():
    with pytest.raises(ValidationError, match="max_train"):
        Live(recipe="smoke", max_train=0)


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("01_dataset_audit", "near_threshold: 0.95", "near_threshold: 2.0"),
        ("02_class_weighting", "recipes: [smoke]", "recipes: [unknown]"),
        ("03_model_comparison", "emotion_cnn", "unknown"),
    ],
)
def test_a_value_that_only_its_jobs_refuse_is_named_with_its_file(tmp_path, monkeypatch, stage, old, new):
    shutil.copytree(PARAMS / "smoke", tmp_path / "smoke")
    path = tmp_path / "smoke" / f"{stage}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    monkeypatch.setattr(stages, "PARAMS", tmp_path)
    monkeypatch.setattr(stages, "parameters", lambda edition, stage: editions.parameters(edition, stage, tmp_path))
    with pytest.raises(InputError, match=f"^params/smoke/{stage}.yaml: .*{new.split()[-1].strip('[]')}") as caught:
        stages.edition_jobs("smoke")
    assert "\n" not in str(caught.value)
