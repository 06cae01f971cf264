"""Configs: keys that stay, strictness, YAML."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from pydantic import ValidationError

from fer_study import models
from fer_study.jobs import stages
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import (
    AugmentConfig,
    DataConfig,
    EmaConfig,
    LossConfig,
    ModelConfig,
    PhaseConfig,
    RunConfig,
    TransferConfig,
)
from fer_study.settings.frozen import Frozen, build, parse, run_key
from fer_study.settings.recipes import Recipe, load_recipe
from fer_study.settings.yaml_files import read_yaml

CONTENT = {
    "data": {"dataset": "fer2013", "fingerprint": "d6f4311b00ec234e"},
    "model": {"name": "cbam_cnn"},
    "augment": {"flip": 0.5, "rotate": 10, "crop_area": [0.8, 1.0]},
    "phases": [{"epochs": 20, "lr": 1e-3}],
}


OPTIONS = {
    "width": 1.0, "kernels": True, "attention": True, "convolutions": 1, "hidden": 512, "dropout": 0.25, "head_dropout": 0.5,
}  # fmt: skip
"""Every option spelled out, so that other defaults in the code do not matter to the key."""


@pytest.fixture
def config() -> RunConfig:
    made = parse(RunConfig, CONTENT, "here")
    model = made.model.model_copy(update={"options": OPTIONS})
    assert models.resolve(model) == model
    return made.model_copy(update={"model": model})


def changed(config: RunConfig, **changes: object) -> RunConfig:
    return config.model_copy(update=changes)


def test_the_key_of_a_trained_run_never_changes(config):
    assert config.key == "d0696e1f2d8c16e3"


def test_the_key_survives_the_file(config):
    assert parse(RunConfig, json.loads(json.dumps(config.model_dump(mode="json"))), "file").key == config.key


def test_the_name_is_no_part_of_the_key(config):
    assert changed(config, name="another").key == config.key


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"batch_size": 32},
        {"clip": 1.0},
        {"augment": AugmentConfig()},
        {"phases": (PhaseConfig(epochs=21, lr=1e-3),)},
        {"data": DataConfig(dataset="fer2013")},
        {"model": ModelConfig(name="cbam_cnn", input_size=96)},
    ],
)
def test_everything_else_is(config, change):
    assert changed(config, **change).key != config.key


def test_a_replaced_value_is_checked(config):
    assert config.data.replace(targets="votes").targets == "votes"
    with pytest.raises(
        InputError, match="DataConfig: targets is 'vote': Input should be 'labels', 'votes' or 'majority'"
    ) as caught:
        config.data.replace(targets="vote")
    assert "\n" not in str(caught.value)
    for change in ({"seed": -1}, {"colour": 1}, {"phases": [1]}):
        with pytest.raises(InputError, match=f"RunConfig: .*{next(iter(change))}"):
            config.replace(**change)


def test_one_and_one_point_nought_are_one_option():
    whole, decimal = (models.resolve(ModelConfig(name="cbam_cnn", options={"width": width})) for width in (1, 1.0))
    assert run_key(whole) == run_key(decimal) == run_key(models.resolve(ModelConfig(name="cbam_cnn")))


def test_a_transfer_has_a_key_of_its_own(config):
    here, there = (TransferConfig(run=config, target=DataConfig(dataset=d)) for d in ("muxspace", "fer2013"))
    assert len({here.key, there.key, config.key}) == 3


def test_an_added_field_leaves_the_key_while_it_has_its_default():
    class Before(Frozen):
        a: int = 1

    class After(Before):
        added: ClassVar[frozenset[str]] = frozenset({"b"})
        b: int = 2

    After.__name__ = "Before"
    assert run_key(After()) == run_key(Before())
    assert run_key(After(b=3)) != run_key(Before())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("colour", 1, ["unknown key 'colour'", "batch_size"]),
        ("batch_size", "64", ["batch_size", "'64'", "integer"]),
        ("batch_size", 0, ["batch_size", "0", "greater than or equal to 1"]),
        ("augment", {"fill": "pink"}, ["augment.fill", "'pink'", "zeros"]),
        ("phases", [{"epochs": 1}], ["phases.0.lr is missing"]),
        ("data", {"dataset": "fer2013", "folds": 3, "fold": 3}, ["fold is 3", "0..2"]),
        ("data", {"dataset": "fer2013", "folds": 1}, ["folds is 1", "2 and more"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(path, value, words):
    with pytest.raises(InputError) as caught:
        parse(RunConfig, {**CONTENT, path: value}, "params/x.yaml")
    message = str(caught.value)
    assert message.startswith("params/x.yaml: ") and "\n" not in message
    assert all(word in message for word in words), message


def test_configs_are_frozen(config):
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3


def test_yaml_reads_exponents_as_numbers(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1e-3\nb: 2E+5\nc: 1.5e2\nd: one\ne: 12\n")
    assert read_yaml(path) == {"a": 0.001, "b": 200000.0, "c": 150.0, "d": "one", "e": 12}


@pytest.mark.parametrize(("text", "word"), [("- 1\n", "found list"), ("a: [1\n", "not readable"), (None, "no such file")])
def test_files_that_are_no_mapping_are_refused(tmp_path, text, word):
    path = tmp_path / "a.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=word) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_recipes_know_their_names_and_make_runs(tmp_path):
    with pytest.raises(InputError, match=r"unknown recipe 'nothing'; known: .*ladder"):
        load_recipe("nothing")
    recipe = load_recipe("ladder")
    run = recipe.run(name="x", data=DataConfig(dataset="fer2013"), model=ModelConfig(name="cbam_cnn"), seed=5, batch_size=8)
    assert (run.seed, run.batch_size, run.phases, run.augment) == (5, 8, recipe.phases, recipe.augment)


def test_every_field_of_a_recipe_is_one_of_a_run():
    assert set(Recipe.model_fields) - {"source"} < set(RunConfig.model_fields)
    for name in set(Recipe.model_fields) - {"source"}:
        assert Recipe.model_fields[name].default == RunConfig.model_fields[name].default


def test_class_weights_that_the_loss_would_ignore_are_refused():
    for field, value in (("class_weights", "heavy"), ("reduction", "weights")):
        with pytest.raises(InputError, match=f"{value}.*allowed with distribution 'teacher'"):
            build(LossConfig, {"distribution": "teacher", field: value})
    assert build(LossConfig, {"class_weights": "heavy"}).class_weights == "heavy"


@pytest.mark.parametrize(
    ("place", "key", "allowed"),
    [
        (
            lambda c: c,
            "facez",
            "augment, sampling, loss, optimiser, batch_size, phases, ema, clip, patience, name, data, model, seed",
        ),
        (lambda c: c["model"], "model.facez", "name, options, input_size, weights, source"),
        (lambda c: c["phases"][0], "phases.0.facez", "epochs, lr, schedule, unfreeze, views, input_size"),
        (lambda c: c["ema"], "ema.facez", "decay, every"),
    ],
)
def test_an_unknown_key_is_answered_with_those_of_its_place(tiny_run, place, key, allowed):
    content = tiny_run(ema=EmaConfig(decay=0.9)).model_dump(mode="json")
    place(content)["facez"] = 1
    with pytest.raises(InputError) as caught:
        parse(RunConfig, content, "here")
    assert str(caught.value) == f"here: unknown key {key!r}; allowed: {allowed}"


def test_a_key_of_a_list_in_a_stage():
    network, steps = {"name": "x", "model": "fer48"}, [{"name": "y", "model": "fer48", "optionz": {}}]
    with pytest.raises(InputError, match=r"'steps\.0\.optionz'; allowed: name, model, options, input_size, weights$"):
        given = {
            "edition": "smoke",
            "recipe": "smoke",
            "networks": [network],
            "short": "smoke",
            "steps": steps,
            "seeds": [0],
        }
        stages.check_stage("design", given, "here")
