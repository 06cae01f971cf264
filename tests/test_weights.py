"""Initial weights: every kind gives the logits of its source, and whatever does not fit is refused in one line."""

from __future__ import annotations

import json
import logging
import pickle

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from fer_study import cli, imagenet, runs, stages, study, train, weight_origin, weights
from fer_study.checkpoint import copy_state
from fer_study.config import EmaConfig, ModelConfig, PhaseConfig, RunConfig, TransferConfig, parse
from fer_study.errors import InputError
from fer_study.models import create_model, names
from fer_study.models.timm_models import build
from fer_study.sources import faces_of
from fer_study.weights import SourceMissing, network_of

NARROW = {"width": 0.125, "hidden": 8}
EMOTION = {"name": "emotion_cnn", "input_size": 16}
TIMM = ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"]


def network(config: ModelConfig, channels: int = 1, classes: int = 7, seed: int = 0):
    torch.manual_seed(seed)
    return create_model(config, classes, channels).eval()


def timm_file(folder, name: str, seed: int = 3, **options: object) -> torch.nn.Module:
    """timm's network of a name with seeded weights, and its file where the study looks for it; all tensors differ from
    those of a fresh network."""
    torch.manual_seed(seed)
    net = timm.create_model(name, **options).eval()
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.add_(0.05 * torch.rand_like(value))
    folder.mkdir(exist_ok=True)
    save_file(net.state_dict(), folder / f"{name}.safetensors")
    return net


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The folder of local weights, of this test alone."""
    monkeypatch.setenv("FER_STUDY_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def no_hub(monkeypatch):
    """Calls of the hub, all of which fail as they do without a network."""
    calls = []

    def fails(*given: object, **named: object) -> str:
        calls.append(given)
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fails)
    return calls


def one_line(words: str, call, *given: object, kind: type = InputError) -> None:
    with pytest.raises(kind, match=words) as caught:
        call(*given)
    assert "\n" not in str(caught.value)


# --- imagenet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TIMM)
def test_imagenet_weights_on_gray_are_the_colour_network_on_three_equal_channels(files, no_hub, name):
    reference = timm_file(files, name)
    config = ModelConfig(name=f"timm:{name}", input_size=160, weights="imagenet")
    model, images = network(config), torch.rand(2, 1, 160, 160)
    before = copy_state(model)
    report = weights.load(model, config, 7)
    with torch.no_grad():
        ours, theirs = model.net.forward_features(images), reference.forward_features(images.expand(-1, 3, -1, -1))
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    layer = reference.pretrained_cfg["first_conv"]
    assert [change.split(":")[0] for change in report.adapted] == [f"{layer}.weight"]
    head = reference.pretrained_cfg["classifier"]
    assert set(report.unused) == {f"{head}.weight", f"{head}.bias"}
    assert set(report.fresh) == {f"net.{head}.weight", f"net.{head}.bias"}
    assert all(torch.equal(model.state_dict()[n], before[n]) for n in report.fresh)
    assert report.loaded == len(before) - 2 and not no_hub
    same = {n for n, value in before.items() if value.is_floating_point() and torch.equal(value, model.state_dict()[n])}
    assert same == set(report.fresh)  # every other tensor was filled
    assert str(report).startswith(f"weights imagenet ({name}.safetensors, sha256 ") and "\n" not in str(report)


def test_in_colour_nothing_is_adapted_and_with_its_own_classes_nothing_is_left_out(files):
    reference = timm_file(files, "test_convnext")
    config = ModelConfig(name="timm:test_convnext", input_size=160, weights="imagenet")
    model, images = network(config, 3, 1000), torch.rand(2, 3, 160, 160)
    report = weights.load(model, config, 1000)
    assert not report.adapted + report.fresh + report.unused
    assert torch.equal(model(images), reference(images))


def test_position_embeddings_are_resized_by_timm(files):
    timm_file(files, "test_vit")
    config = ModelConfig(name="timm:test_vit", input_size=64, weights="imagenet")
    model = network(config)
    report = weights.load(model, config, 7)
    expected = timm.create_model("test_vit", pretrained=True, img_size=64, in_chans=1,
                                 pretrained_cfg_overlay={"file": str(files / "test_vit.safetensors")})  # fmt: skip
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(model.net.forward_features(images), expected.eval().forward_features(images))
    assert any(change.startswith("pos_embed: 1x101x64") for change in report.adapted), report.adapted


def test_a_trunk_inside_a_network(files):
    """ConvNeXt in EmoNeXt: it gives timm's features, with linear layers where timm has 1x1 convolutions; all around it keeps
    its random start."""
    config = ModelConfig(
        name="emonext_atto", input_size=64, weights="imagenet", options={"se": "none", "drop_path_rate": 0.0}
    )
    model = network(config)
    published, net = model.trunk()
    reference, before = timm_file(files, published), copy_state(model)
    report = weights.load(model, config, 7)
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        ours, theirs = net.forward_features(images), reference.forward_features(images.expand(-1, 3, -1, -1))
    assert torch.allclose(ours, theirs, atol=1e-4) and theirs.std() > 0.01
    assert {n.split(".")[0] for n in report.fresh} == {"stn", "attention", "net"}
    assert [n for n in report.fresh if n.startswith("net")] == ["net.head.fc.weight", "net.head.fc.bias"]
    assert all(torch.equal(before[n], model.state_dict()[n]) for n in report.fresh)
    assert len(report.adapted) == 1 + 12 * 2  # the stem, and two layers in each of twelve blocks


def test_the_hub_is_asked_for_safetensors_where_there_is_no_file(files, tmp_path, monkeypatch):
    reference, calls = timm_file(tmp_path / "hub", "test_convnext"), []

    def download(repository: str, filename: str, revision: str | None = None) -> str:
        calls.append((repository, filename, revision))
        return str(tmp_path / "hub" / "test_convnext.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    config = ModelConfig(name="timm:test_convnext", input_size=160, weights="imagenet")
    model, images = network(config, 3), torch.rand(1, 3, 160, 160)
    report = weights.load(model, config, 7)
    assert calls == [("timm/test_convnext.r160_in1k", "model.safetensors", None)]
    assert report.file == "timm/test_convnext.r160_in1k"
    assert torch.equal(model.net.forward_features(images), reference.forward_features(images))


def test_without_hub_and_file_it_says_which_file_to_put_where(files, no_hub):
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    words = r"model\.safetensors of timm/test_convnext\.r160_in1k .*put it at .*/weights/test_convnext\.safetensors"
    one_line(words, weights.load, network(config), config, 7)
    unpublished = ModelConfig(name="timm:test_vit4", input_size=64, weights="imagenet")
    one_line("test_vit4: timm names none on its hub", weights.load, network(unpublished), unpublished, 7)
    none = ModelConfig(**EMOTION, weights="imagenet")
    one_line("model emotion_cnn: there are no ImageNet weights for it", weights.load, network(none), none, 7)
    assert len(no_hub) == 1


def test_the_client_of_the_hub_without_a_network(files, tmp_path, monkeypatch):
    """As above, with nothing replaced but the switch that keeps the client off the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    one_line(r"model\.safetensors of timm/resnet50\.a1_in1k \(LocalEntryNotFoundError\)", imagenet.find, "resnet50")


def test_without_a_setting_the_folder_is_in_the_checkout(monkeypatch):
    monkeypatch.delenv("FER_STUDY_WEIGHTS", raising=False)
    assert weight_origin.folder() == runs.ROOT / "weights"


@pytest.mark.parametrize("other", ["test_resnet", "test_convnext2", "test_convnext3"])
def test_imagenet_weights_of_another_network(files, other):
    timm_file(files, other)
    (files / f"{other}.safetensors").rename(files / "test_convnext.safetensors")
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    model = network(config)
    before = copy_state(model)
    one_line("not the weights of timm's test_convnext", weights.load, model, config, 7)
    assert all(torch.equal(before[n], value) for n, value in model.state_dict().items())


def test_a_deeper_network_of_the_same_widths_is_another(files):
    """Every tensor of ConvNeXt-T is in ConvNeXt-S, so a lenient loader takes it without a word."""
    timm_file(files, "convnext_atto", depths=(2, 2, 7, 2))
    config = ModelConfig(name="timm:convnext_atto", weights="imagenet")
    one_line(r"Unexpected key.*stages\.2\.blocks\.6", weights.load, network(config), config, 7)


def test_a_trunk_that_is_not_timms_is_refused(files, monkeypatch):
    timm_file(files, "test_convnext")
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    model = network(config)
    model.net.extra = torch.nn.Linear(2, 2)
    one_line(r"missing 2 \(extra\.weight, extra\.bias\)", weights.load, model, config, 7)
    model = network(config)
    model.net.stages[0].blocks[0].gamma = torch.nn.Parameter(torch.zeros(5))
    one_line(r"of other shape 1 \(stages\.0\.blocks\.0\.gamma: ", weights.load, model, config, 7)


def test_half_precision_is_reported(files):
    reference = timm_file(files, "test_convnext")
    path = files / "test_convnext.safetensors"
    save_file({n: value.half() for n, value in reference.state_dict().items()}, path)
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    report = weights.load(network(config, 3), config, 7)
    assert len(report.adapted) == report.loaded and "stem.0.bias: 24 float16 -> 24 float32" in report.adapted


# --- a file -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A network and its file."""
    model = network(ModelConfig(**EMOTION, options=NARROW), seed=5)
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    return model, tmp_path / "net.safetensors"


def from_file(path, **changes: object) -> ModelConfig:
    return ModelConfig(**{**EMOTION, "options": NARROW, "weights": str(path), **changes})


def load_into(config: ModelConfig, classes: int = 7):
    model = network(config, classes=classes)
    return model, weights.load(model, config, classes)


def test_a_file_gives_the_logits_of_its_network(saved):
    reference, path = saved
    model, report = load_into(from_file(path))
    images = torch.rand(3, 1, 16, 16)
    assert torch.equal(model(images), reference(images))
    assert not torch.equal(network(from_file(path))(images), reference(images))
    assert report.loaded == len(reference.state_dict()) and not report.fresh + report.unused + report.adapted
    assert report.sha256 == weight_origin.sha256(path) and report.file == "net.safetensors"


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
    assert str(tmp_path) not in written and weight_origin.sha256(path)[:16] in written
    assert parse(RunConfig, json.loads(written), "file").key == config.key
    path.write_bytes(other.read_bytes())  # the experiment is what it was defined on
    assert config.replace(seed=1).model == config.model and config.key == keys[0]
    one_line("no file there with SHA-256", load_into, config.model)


def test_a_record_names_content_that_is_looked_up_in_the_folder(saved, files, store, tiny_run):
    reference, path = saved
    written = ModelConfig(**from_file(path).model_dump(mode="json"))
    assert written.weights == f"file:{weight_origin.sha256(path)[:16]}"
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
        ("none.safetensors", "model.weights is 'none.safetensors': .*there is no such file"),
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


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["evil.pt", "evil.bin", "evil.safetensors"])
def test_a_pickle_is_never_opened(files, tmp_path, tiny_run, store, name):
    evil, ran = files / name, tmp_path / "ran"
    evil.write_bytes(pickle.dumps(Malicious(str(ran))))
    with pytest.raises(InputError, match=r"a pickle can run code|not a whole safetensors file"):
        study.run(tiny_run().replace(model=dict(tiny_run().model) | {"weights": str(evil)}))
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


# --- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source_store(tmp_path_factory):
    return tmp_path_factory.mktemp("source")


@pytest.fixture
def source(source_store, tiny_run, monkeypatch):
    """The record of a finished run, in a store that tests of this file share."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(source_store))
    return study.run(tiny_run(ema=EmaConfig(decay=0.9)))


def test_a_run_is_found_by_its_key_and_predicts_what_it_stored(source):
    config, model = network_of(source.key)
    assert config == source.config and not model.training
    faces, table = faces_of(config.data), source.predictions.table
    images = torch.from_numpy(faces.images[table["row"].to_numpy()])
    for kind in ("last", "ema"):
        _, model = network_of(source.key, kind)
        found = train.log_probabilities(model, images, config.augment, config.model.input_size)
        stored = source.predictions.views[f"{kind}_single"]
        assert abs(found - stored).max() < 0.01  # half precision, and bfloat16 where the hardware has it
    same = [torch.equal(a, b) for a, b in zip(load_file(source.weights("last")).values(),
                                              load_file(source.weights("ema")).values(), strict=True)]  # fmt: skip
    assert not all(same)


def test_the_network_of_a_run_has_the_channels_of_its_images(store, tiny_run):
    config = tiny_run(model=ModelConfig(name="timm:test_convnext", input_size=32))
    study.run(config)
    state = create_model(config.model, 7, 3).state_dict()
    save_file(state, runs.lookup(config.key).weights("last"))  # as if trained on colour
    assert network_of(config.key)[1](torch.rand(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("kind", ["", ":last", ":best", ":ema"])
def test_weights_of_a_run_give_its_logits(source, kind):
    config = source.config.model.replace(weights=f"run:{source.key}{kind}")
    model, report = load_into(config)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(model(images), network_of(source.key, kind[1:] or "last")[1](images))
    assert report.file == f"{kind[1:] or 'last'}.safetensors" and report.source == config.weights
    assert config.weights == f"run:{source.key}{kind.replace(':last', '')}"  # last is the default, so it has one name


def test_a_run_of_another_network_is_refused(source, tiny_run):
    def other(**changes: object) -> ModelConfig:
        return source.config.model.replace(weights=f"run:{source.key}", **changes)

    options = source.config.model.options
    one_line("they are of emotion_cnn, this network is kernel_cnn", load_into, other(name="kernel_cnn"))
    one_line("dropout is 0.25 there, 0.1 in this network", load_into, other(options={**options, "dropout": 0.1}))
    one_line(r"of another network: 1 \(head\.1\.weight", load_into, other(input_size=32))
    one_line("of 7 classes, this network has 8", load_into, other(), 8)
    free = other(options={**options, "dropout": 0.1}).replace(weights=str(source.weights("last")))
    assert load_into(free)[1].loaded == len(load_file(source.weights("last")))  # by its path it is meant


def test_a_run_without_weights_here(store, tiny_run):
    one_line(
        r"run \(0123456789abcdef\) is not trained; train it with: ", network_of, "0" + "123456789abcdef", kind=SourceMissing
    )
    job = next(job for job in stages.jobs("smoke") if isinstance(job, TransferConfig)).run
    one_line(rf"fer-study train smoke --only '\*/{job.key}'", network_of, job.key, kind=SourceMissing)
    record = study.run(tiny_run())
    one_line("has no ema weights, allowed: last, best", network_of, record.key, "ema")
    for kind in ("last", "best"):
        record.weights(kind).unlink()  # what a published record looks like
    one_line("has a record without weights; train it with: ", network_of, record.key, kind=SourceMissing)


def test_a_record_that_is_no_network(store, tiny_run):
    configs = {record.key: record.config for record in runs.records()}
    published = {c.model.name if isinstance(c, RunConfig) else type(c).__name__: key for key, c in configs.items()}
    one_line("a record of hog_svm, not of a network", network_of, published["hog_svm"])
    one_line("a record of AuditConfig, not of a network", network_of, published["AuditConfig"])
    run = tiny_run(model=ModelConfig(name="hog_svm", weights="imagenet"), phases=())
    one_line("model hog_svm: weights are 'imagenet', allowed: scratch", study.run, run)


# --- training ---------------------------------------------------------------------------------------------------------

THREE = (
    PhaseConfig(epochs=1, lr=1e-3, unfreeze=1),
    PhaseConfig(epochs=1, lr=1e-3, unfreeze=2),
    PhaseConfig(epochs=1, lr=1e-4),
)


def test_progressive_unfreezing_starts_from_the_weights_of_a_run(source, tiny_run, monkeypatch, caplog):
    """The first phase moves the head only, the second one stage more: what they leave alone is the source's to the bit."""
    before, states = load_file(source.weights("last")), []
    real = train.save_checkpoint
    monkeypatch.setattr(train, "save_checkpoint", lambda path, model, *rest: (states.append(copy_state(model)),
                                                                             real(path, model, *rest)))  # fmt: skip
    config = tiny_run(model=source.config.model.replace(weights=f"run:{source.key}"), phases=THREE)
    with caplog.at_level(logging.INFO):
        record = study.run(config)
    moved = [{n.split(".")[0] + n.split(".")[1] * n.startswith("blocks") for n in s if not torch.equal(s[n], before[n])}
             for s in states]  # fmt: skip
    assert moved == [{"head"}, {"head", "blocks2"}, {"head", "blocks2", "blocks1", "blocks0"}]
    note = record.env["initial_weights"]
    assert note["source"] == f"run:{source.key}" and note["loaded"] == len(before) and note["fresh"] == []
    assert note["sha256"] == weight_origin.sha256(source.weights("last"))
    assert f"tiny: weights run:{source.key} (last.safetensors" in caplog.text
    assert not (record.folder / weights.NOTE).exists()
    assert "initial_weights" not in source.env


def test_a_resumed_run_goes_on_from_its_checkpoint_without_its_first_weights(source, tiny_run, monkeypatch, tmp_path):
    path = tmp_path / "start.safetensors"
    path.write_bytes(source.weights("last").read_bytes())
    config = tiny_run(model=source.config.model.replace(weights=str(path)), phases=THREE, seed=3)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "straight"))
    whole = study.run(config)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "stopped"))
    clock = iter([0.0, 2.0])
    with monkeypatch.context() as patch:
        patch.setattr(train.time, "monotonic", lambda: next(clock))
        with pytest.raises(train.OutOfTime, match="stopped after epoch 1 of 3"):
            study.run(config, deadline=1.0)
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load", lambda *_: pytest.fail("loaded again"))
        resumed = study.run(config)
    assert resumed.weights("last").read_bytes() == whole.weights("last").read_bytes()
    assert resumed.env["initial_weights"] == whole.env["initial_weights"]
    scratch = study.run(config.replace(model=config.model.replace(weights="scratch")))
    assert scratch.history["train_loss"].tolist() != whole.history["train_loss"].tolist()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "timm:test_convnext", "weights": "imagenet"}, "no ImageNet weights of test_convnext"),
        ({**EMOTION, "weights": "imagenet"}, "there are no ImageNet weights for it"),
    ],
)
def test_the_command_line_says_it_in_one_line(store, files, no_hub, tiny_run, monkeypatch, caplog, model, words):
    monkeypatch.setattr(stages, "jobs", lambda edition: [tiny_run(model=ModelConfig(**model))])
    assert cli.main(["train", "smoke"]) == 2
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 1 and words in errors[0] and "\n" not in errors[0]


def test_a_run_whose_source_is_not_trained_yet_is_left_over(store, tiny_run, monkeypatch, caplog):
    monkeypatch.setattr(runs, "published_root", lambda: store / "none")
    first = tiny_run()
    second = tiny_run(model=first.model.replace(weights=f"run:{first.key}"))
    monkeypatch.setattr(stages, "jobs", lambda edition: [second])
    with caplog.at_level(logging.INFO):
        assert cli.main(["train", "smoke"]) == 0
    assert f"left over: run ({first.key}) is not trained" in caplog.text
    monkeypatch.setattr(stages, "jobs", lambda edition: [first, second])
    assert cli.main(["train", "smoke"]) == 0 and runs.lookup(second.key).env["initial_weights"]["loaded"] == 10


@pytest.mark.parametrize("name", [*(n for n in names() if n != "timm"), "timm:test_vit"])
def test_the_trunk_of_every_network_takes_all_of_its_body(name):
    """Shapes only, so that the largest take a second."""
    with torch.device("meta"):
        model = create_model(ModelConfig(name=name, input_size=224), 7)
        trunk = model.trunk()
        if trunk is None:
            assert not name.startswith(("emonext", "hybrid", "timm:"))
            return
        source = build(trunk[0], 224)
        chosen = imagenet.taken(source, trunk[1], name)
    left = set(trunk[1].state_dict()) - set(chosen)
    assert {n.rpartition(".")[0] for n in left} <= {source.pretrained_cfg["classifier"]} and len(chosen) > 50
