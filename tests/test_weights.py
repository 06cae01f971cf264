"""Weights of a file: the logits of its network, its content in the key; what does not fit is refused in one line."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig, RunConfig
from fer_study.settings.frozen import parse
from fer_study.store.record_files import sha256
from fer_study.training import weights
from fer_study.training.checkpoint import copy_state
from jobs_by_config import run_job
from weight_files import EMOTION, NARROW, from_file, load_into, network, one_line


@pytest.fixture
def saved(tmp_path):
    """A network and its file."""
    model = network(ModelConfig(**EMOTION, options=NARROW), seed=5)
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    return model, tmp_path / "net.safetensors"


def test_a_file_gives_the_logits_of_its_network(saved):
    reference, path = saved
    model, report = load_into(from_file(path))
    images = torch.rand(3, 1, 16, 16)
    assert torch.equal(model(images), reference(images))
    assert not torch.equal(network(from_file(path))(images), reference(images))
    assert report["loaded"] == len(reference.state_dict()) and report["fresh"] == []
    assert report["sha256"] == sha256(path) and report["file"] == "net.safetensors"


def test_the_content_is_in_the_key_and_the_place_is_not(saved, tmp_path, tiny_run):
    _, path = saved
    (tmp_path / "elsewhere").mkdir()
    copy, other = tmp_path / "elsewhere" / "copy.safetensors", tmp_path / "other.safetensors"
    copy.write_bytes(path.read_bytes())
    save_file(network(from_file(path), seed=6).state_dict(), other)
    keys = [tiny_run(model=from_file(p)).key for p in (path, copy, other)]
    assert keys[0] == keys[1] != keys[2] and tiny_run(model=from_file("scratch")).key not in keys
    config = tiny_run(model=from_file(path))
    written = json.dumps(config.model_dump(mode="json"))
    assert str(tmp_path) not in written and sha256(path)[:16] in written
    assert parse(RunConfig, json.loads(written), "file").key == config.key
    path.write_bytes(other.read_bytes())  # the experiment is what it was defined on
    assert config.replace(seed=1).model == config.model and config.key == keys[0]
    one_line("no file there with SHA-256", load_into, config.model)


def test_a_record_names_content_that_is_looked_up_in_the_folder(saved, files, runs_folder, tiny_run):
    reference, path = saved
    written = ModelConfig(**from_file(path).model_dump(mode="json"))
    assert written.weights == f"file:{sha256(path)[:16]}"
    one_line(r"weights/\*\.safetensors: no file there", load_into, written)
    path.rename(files / "any.safetensors")
    model, _ = load_into(written)
    assert torch.equal(model(torch.ones(1, 1, 16, 16)), reference(torch.ones(1, 1, 16, 16)))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("net.pt", "model.weights is 'net.pt': .*a pickle can run code"),
        ("net.PTH", "a pickle can run code"),
        ("net.bin", "a pickle can run code"),
        ("net.pkl", "save its state dict with safetensors"),
        ("imagnet", "model.weights is 'imagnet': .*allowed: scratch, imagenet, run:"),
        ("run:12ab", "allowed: scratch, imagenet, run:"),
        ("run:0123456789abcdef:worst", "allowed: scratch, imagenet, run:"),
        ("file:0123456789abcdef:net.pt", "a pickle can run code"),
    ],
)
def test_what_is_no_origin_is_refused_when_the_config_is_made(tiny_run, weights, words):
    content = tiny_run().model_dump(mode="json")
    content["model"]["weights"] = weights
    one_line(words, parse, RunConfig, content, "here")


def test_making_a_config_touches_no_disk_and_a_path_alone_has_no_key(tiny_run, tmp_path):
    """Whether a file is there, and what is in it, is asked when a run is resolved."""
    config = tiny_run().replace(model=dict(tiny_run().model) | {"weights": str(tmp_path / "none.safetensors")})
    one_line(r"none\.safetensors: their content is part of the key", lambda: config.key)
    one_line(r"weights .*none\.safetensors: there is no such file", weights.pin, config.model)
    one_line(r"weights .*none\.safetensors: there is no such file", run_job, config)
    (tmp_path / "none.safetensors").write_bytes(b"anything")
    pinned = weights.pin(config.model)
    assert pinned == weights.pin(pinned) and len(pinned.key) == 16


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_path_in_the_checkout_is_found_from_the_folder_of_the_notebooks(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "notebooks").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "weights" / "a.safetensors")
    monkeypatch.setattr(weights, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    given = weights.pin(ModelConfig(name="emotion_cnn", weights="weights/a.safetensors"))
    monkeypatch.chdir(tmp_path / "notebooks")
    there = weights.pin(ModelConfig(name="emotion_cnn", weights="weights/a.safetensors"))
    assert given.key == there.key and weights.weights_file(there).is_file()


@pytest.mark.parametrize("name", ["evil.pt", "evil.bin", "evil.safetensors"])
def test_a_pickle_is_never_opened(files, tmp_path, tiny_run, runs_folder, name):
    evil, ran = files / name, tmp_path / "ran"
    evil.write_bytes(pickle.dumps(Malicious(str(ran))))
    with pytest.raises(InputError, match=r"a pickle can run code|not a whole safetensors file"):
        run_job(tiny_run().replace(model=dict(tiny_run().model) | {"weights": str(evil)}))
    if name == "evil.safetensors":
        evil.rename(files / "test_convnext.safetensors")
        config = ModelConfig(name="timm:test_convnext", weights="imagenet")
        one_line("not a whole safetensors file", weights.load, network(config), config, 7)
    assert not ran.exists()
    pickle.loads(pickle.dumps(Malicious(str(ran))))
    assert ran.exists()  # it would have


def permuted(state):
    names = [n for n in state if n.endswith("weight")]
    return state | {one: state[two] for one, two in zip(names, reversed(names), strict=True)}


BROKEN = {
    "a tensor is missing": (lambda s: {n: s[n] for n in list(s)[1:]}, r"missing 1 \(blocks\.0\.0\.weight\), unknown none"),
    "one too many": (lambda s: s | {"more": torch.zeros(1)}, r"missing none, unknown 1 \(more\)"),
    "permuted": (permuted, r"of another network: \d \(blocks\.0\.0\.weight: 7x8 float32 -> 4x1x3x3 float32"),
    "of DataParallel": (lambda s: {f"module.{n}": v for n, v in s.items()}, r"with 'module\.' before each name"),
    "compiled": (lambda s: {f"_orig_mod.{n}": v for n, v in s.items()}, r"with '_orig_mod\.' before each name"),
    "averaged": (lambda s: {f"module.{n}": v for n, v in s.items()} | {"n_averaged": torch.ones(1)}, r"with 'module\.'"),
    "head alone": (lambda s: {"weight": s["head.4.weight"]}, r"missing \d+ .*unknown 1 \(weight\)"),
    "whole numbers": (lambda s: {n: v.to(torch.int8) for n, v in s.items()}, "int8 -> 4x1x3x3 float32"),
    "not finite": (lambda s: s | {"head.4.bias": torch.full((7,), torch.nan)}, r"head\.4\.bias has values .* not finite"),
    "empty": (lambda s: {}, "holds no tensor"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_state_dict_that_does_not_fit_is_refused_and_changes_nothing(saved, how):
    reference, path = saved
    spoil, words = BROKEN[how]
    save_file({n: v.clone() for n, v in spoil(copy_state(reference)).items()}, path)
    config = from_file(path)
    model = network(config)
    before = copy_state(model)
    one_line(words, weights.load, model, config, 7)
    assert all(torch.equal(before[n], value) for n, value in model.state_dict().items())


def test_the_file_of_a_network_inside_this_one_is_told_apart(tmp_path):
    """timm's own network has no ``net.`` before its names."""
    config = ModelConfig(name="timm:test_resnet", input_size=64, weights="scratch")
    save_file(network(config).net.state_dict(), tmp_path / "net.safetensors")
    config = config.replace(weights=str(tmp_path / "net.safetensors"))
    one_line(r"net\.safetensors .*without 'net\.' before each name", weights.load, network(config), config, 7)


def test_weights_are_as_readable_as_the_rest_of_a_record(runs_folder, tiny_run):
    folder = run_job(tiny_run()).folder
    modes = {path.name: path.stat().st_mode for path in folder.iterdir() if path.name != ".lock"}
    assert "last.safetensors" in modes and len(set(modes.values())) == 1, modes


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_truncated_file(saved, length):
    _, path = saved
    path.write_bytes(path.read_bytes()[:length])
    one_line("net.safetensors: not a whole safetensors file", load_into, from_file(path))


def test_another_architecture_another_size_other_classes(saved):
    _, path = saved
    one_line("of another network: missing", load_into, from_file(path, name="cbam_cnn"))
    one_line(r"of another network: \d+ \(blocks\.0\.0\.weight", load_into, from_file(path, options=NARROW | {"width": 0.25}))
    one_line(r"of another network: 1 \(head\.1\.weight: 8x64", load_into, from_file(path, input_size=32))
    one_line("net.safetensors holds weights of 7 classes, this network has 8", load_into, from_file(path), 8)


def test_a_file_that_names_no_network_loads_as_ever(saved):
    _, path = saved
    assert load_into(from_file(path, options=NARROW | {"dropout": 0.1}))[1]["loaded"] == 10
    assert load_into(from_file(path, name="baseline_cnn"))[1]["loaded"] == 10


@pytest.mark.parametrize("written", ["[" * 100_000, "emotion_cnn", "null", '{"options": {}}', '{"name": 3, "options": {}}'])
def test_a_file_that_names_its_network_in_another_way(saved, written):
    reference, path = saved
    save_file(reference.state_dict(), path, metadata={weights.NETWORK: written})
    one_line("fer_study_network is .*, allowed: a name and options", load_into, from_file(path))


def test_a_path_is_pinned_for_every_folder(files, tmp_path, monkeypatch):
    """A worker and a notebook stand elsewhere."""
    monkeypatch.chdir(tmp_path)
    config = ModelConfig(**EMOTION)
    weights.save(network(config).state_dict(), config, tmp_path / "mine.safetensors")
    pinned = weights.pin(config.replace(weights="mine.safetensors"))
    monkeypatch.chdir("/")
    assert weights.weights_file(pinned) == tmp_path / "mine.safetensors"


def test_a_number_in_the_place_of_a_layer_is_refused(tmp_path):
    config = ModelConfig(**EMOTION)
    state = network(config).state_dict()
    bias = [name for name in state if name.endswith("bias")][-1]
    save_file(state | {bias: torch.tensor(1.0)}, tmp_path / "scalar.safetensors")
    with pytest.raises(InputError, match=f"{bias}: scalar float32"):
        weights.load(network(config), config.replace(weights=str(tmp_path / "scalar.safetensors")), 7)
