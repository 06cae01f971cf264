"""Networks that a user brings: their code is in the key, or the page says that it was another."""

from __future__ import annotations

import importlib
import json
import re
import sys
from types import ModuleType

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from fer_study import models, store
from fer_study.analysis import report
from fer_study.jobs import plan, stages
from fer_study.models import registry
from fer_study.settings import checkout
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig, RunConfig
from fer_study.settings.recipes import load_recipe
from jobs_by_config import run_job
from page_records import make_record

NETWORK = """
from torch import nn
from fer_study.models import FaceModel, register

@register("mine")
class Mine(FaceModel):
    def __init__(self, num_classes, in_channels, input_size, filters=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, filters, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(filters, num_classes)

    @property
    def cam_layer(self):
        return self.body

    def forward(self, images):
        return self.head(self.body(images).mean(dim=(2, 3)))

    def stages(self):
        return [self.head, self.body]
"""
CHANGED = NETWORK.replace("nn.ReLU()", "nn.GELU()")  # of the same size
GIVEN = {"edition": "smoke", "recipes": ["smoke"], "models": ["mine"], "baseline": False, "seeds": [0]}


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Write a module of this test, run it, and give the run of its network ``mine`` in stage 03."""
    for table in ("_REGISTRY", "_SOURCES"):
        monkeypatch.setattr(registry, table, dict(getattr(registry, table)))

    def write(text: str, name: str = "my_network") -> RunConfig:
        path, module = tmp_path / f"{name}.py", ModuleType(name)
        path.write_bytes(text.encode())
        module.__file__ = str(path)
        registry._REGISTRY.pop("mine", None)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(text, str(path), "exec"), vars(module))
        return stages.check_stage("03_model_comparison", GIVEN).jobs()[0] if "mine" in models.names() else None

    return write


def test_changed_code_is_another_run(bring, runs_folder):
    """A new record, and the old one is found again when the old code is."""
    first = bring(NETWORK)
    plan.train_jobs([first])
    assert store.lookup(first.key).config.model.source == first.config.model.source != ""
    changed = bring(CHANGED)
    assert changed.key != first.key and store.lookup(changed.key) is None
    assert bring(NETWORK.replace("\n", "\r\n")).key == first.key, "other line ends are no change"
    assert bring(NETWORK).key == first.key


def test_what_a_network_derives_from_counts_too(bring):
    base = NETWORK.replace('@register("mine")\n', "")
    own = "from my_base import Mine\nfrom fer_study.models import register\n@register('mine')\nclass Own(Mine): pass\n"
    keys = []
    for text in (base, base.replace("nn.ReLU()", "nn.GELU()"), base):
        bring(text, "my_base")
        keys.append(bring(own).key)
    assert keys[0] == keys[2] != keys[1]


def test_a_config_by_hand_has_the_code_in_its_key_too(bring, runs_folder, tiny_run):
    bring(NETWORK)
    config = tiny_run(model=ModelConfig(name="mine", input_size=16))
    old = run_job(config)
    bring(CHANGED)
    new = run_job(config)
    assert old.key != new.key and old.config.model.source != new.config.model.source
    with pytest.raises(InputError, match="mine: its code has changed"):
        models.create_model(old.config.model, 7)
    registry._REGISTRY.pop("mine")
    registry._SOURCES.pop("mine")
    assert run_job(new.config).key == new.key, "a record is found without its network"
    with pytest.raises(InputError, match="unknown model 'mine'"):
        models.create_model(new.config.model, 7)


def test_keys_of_our_networks_hold_no_code():
    for job in stages.edition_jobs("smoke"):
        assert "source" not in json.dumps(job.config.resolved())


def test_code_in_a_cell_is_in_the_key(runs_folder):
    """As in JupyterLab: the same name, registered in three cells."""
    made = f"print(stages.check_stage('03_model_comparison', {GIVEN}).jobs()[0].key)"
    cells = [
        "from fer_study.jobs import stages\nfrom fer_study.models import registry",
        *(text for cell in (NETWORK, CHANGED, NETWORK) for text in (
            "registry._REGISTRY.pop('mine', None);", cell, made
        )),
    ]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    first, second, third = (cell.outputs[0].text for cell in notebook.cells[3::3])
    assert first == third != second


def test_code_that_nobody_can_read_is_refused(bring):
    with pytest.raises(InputError, match=r"mine.*source") as refusal:
        exec(NETWORK, {"__name__": "nowhere"})
    assert "\n" not in str(refusal.value) and "mine" not in models.names()


@pytest.mark.parametrize(
    "factory",
    ["class Mine(nn.Module): pass", "def Mine(num_classes, in_channels, input_size): return nn.Identity()", "Mine = 3"],
)
def test_a_network_that_keeps_no_contract_is_refused(bring, factory):
    """A class at once, a function when it makes something else."""
    text = f"from torch import nn\nfrom fer_study.models import register\n{factory}\nregister('mine')(Mine)\n"
    with pytest.raises(InputError, match=r"mine.*FaceModel") as refusal:
        bring(text)
        models.create_model(ModelConfig(name="mine"), 7)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("filters=4", "filters", "filters"), ("filters=4", "filters=4, **rest", "rest"), ("input_size, ", "", "input_size")],
)
def test_a_constructor_that_cannot_be_called_is_refused(bring, old, new, words):
    with pytest.raises(InputError, match=f"mine.*{words}") as refusal:
        bring(NETWORK.replace(old, new))
    assert "\n" not in str(refusal.value)


PLAIN = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self, num_classes, in_channels=1, width=8, activation=nn.ReLU):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, width, 3, 2, 1), activation())
        self.head = nn.LazyLinear(num_classes)

    def forward(self, images):
        return self.head(self.body(images).mean(dim=(2, 3)))

class Open(Small):  # with what Grad-CAM and phases need
    @property
    def cam_layer(self):
        return self.body

    def stages(self):
        return [self.head, self.body]
"""


@pytest.fixture
def by_place(tmp_path, monkeypatch):
    """Write ``my_nets.py`` where Python finds it, as if this process had never seen it."""
    for table in ("_REGISTRY", "_SOURCES"):
        monkeypatch.setattr(registry, table, dict(getattr(registry, table)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str) -> None:
        (tmp_path / "my_nets.py").write_text(text)
        sys.modules.pop("my_nets", None)
        importlib.invalidate_caches()
        for name in [name for name in registry._REGISTRY if ":" in name]:
            del registry._REGISTRY[name], registry._SOURCES[name]

    yield write
    sys.modules.pop("my_nets", None)


def test_a_plain_module_is_named_where_it_lies(by_place, runs_folder, caplog):
    """Its code is in the key, as that of a registered class; what it lacks costs it the maps alone."""
    by_place(PLAIN)
    given = GIVEN | {"models": ["my_nets:Small", "my_nets:Open"]}
    small, opened = stages.check_stage("03_model_comparison", given).jobs()[:2]
    assert small.config.model.options == {"width": 8}, "smoke's factor of widths is of our networks"
    plan.train_jobs([small, opened])
    without, with_maps = (store.lookup(job.key) for job in (small, opened))
    assert not (without.folder / "cam.npz").is_file() and (with_maps.folder / "cam.npz").is_file()
    assert "no saliency maps of my_nets:Small" in caplog.text
    assert without.metrics["last_single"]["test"]["n"] == with_maps.metrics["last_single"]["test"]["n"] > 0
    by_place(PLAIN.replace("nn.ReLU", "nn.GELU"))
    changed = stages.check_stage("03_model_comparison", given).jobs()[0]
    assert changed.key != small.key and changed.config.model.source != small.config.model.source
    by_place(PLAIN)
    assert stages.check_stage("03_model_comparison", given).jobs()[0].key == small.key
    assert not any(":" in name for name in models.names())


def test_a_network_of_the_contract_is_named_where_it_lies(by_place):
    by_place(NETWORK.replace('@register("mine")\n', ""))
    made = models.create_model(ModelConfig(name="my_nets:Mine", options={"filters": 3}, input_size=16), 5, 3)
    assert made(torch.zeros(2, 3, 16, 16)).shape == (2, 5) and len(made.stages()) == 2


def test_a_module_is_built_as_by_hand(by_place):
    """The look at its output draws no random number and leaves it ready to learn."""
    by_place(PLAIN.replace("nn.LazyLinear(", "nn.Linear(width, ").replace("mean(dim=(2, 3))", "mean(dim=(2, 3)).relu()"))
    torch.manual_seed(3)
    made = models.create_model(ModelConfig(name="my_nets:Small", input_size=16), 7)
    after = torch.rand(4)
    torch.manual_seed(3)
    by_hand = sys.modules["my_nets"].Small(7)
    assert torch.equal(torch.rand(4), after) and made.training
    for ours, theirs in zip(made.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_page_that_brings_a_network_brings_one(by_place, tmp_path):
    """Its code and its recipe are taken from the page as they stand."""
    page = (checkout.CHECKOUT / "book" / "bring.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", page, re.DOTALL))
    by_place(blocks["python"])
    made = models.create_model(ModelConfig(name="my_nets:Small"), 7)
    assert made.cam_layer is made.network.body and sum(p.numel() for p in made.parameters()) > 1000
    (tmp_path / "mine.yaml").write_text(blocks["yaml"], encoding="utf-8")
    recipe = load_recipe("mine", tmp_path)
    assert recipe.phases[0].epochs == 6


@pytest.mark.parametrize(
    ("old", "new", "name", "words"),
    [
        ("", "", "nowhere:Small", "module nowhere cannot be imported, .*ModuleNotFoundError"),
        ("class Small", "class Small(", "my_nets:Small", "module my_nets cannot be imported, .*SyntaxError"),
        ("", "", "my_nets:Smal", "my_nets has no network 'Smal'; it has Small, Open"),
        ("", "", "my_nets:torch", "my_nets has no network 'torch'"),
        ("num_classes", "classes", "my_nets:Small", "constructor has no argument num_classes"),
        ("in_channels=1, width=8", "in_channels, width", "my_nets:Small", "option width has no default"),
        ("LazyLinear(num_classes)", "LazyLinear(10)", "my_nets:Small", r"makes \(2, 10\) .*allowed: a tensor \(2, 7\)"),
        ("return self.head", "return dict(a=0) or self.head", "my_nets:Small", "makes dict of 2 images of 1 x 16 x 16"),
        ("Conv2d(in_channels", "Conv2d(3", "my_nets:Small", "cannot take images of 1 x 16 x 16: RuntimeError"),
        ("super().__init__()", "raise OSError('gone')", "my_nets:Small", "my_nets:Small: OSError: gone"),
    ],
)
def test_what_is_no_network_is_refused_in_a_line(by_place, old, new, name, words):
    by_place(PLAIN.replace(old, new) if old else PLAIN)
    with pytest.raises(InputError, match=words) as refusal:
        models.create_model(ModelConfig(name=name, input_size=16), 7)
    assert "\n" not in str(refusal.value)


@pytest.fixture
def checkout_with(tmp_path, monkeypatch):
    """Puts a file beside a package of this test alone; records name ``models/ours.py`` as their network's."""
    monkeypatch.setattr(checkout, "PACKAGE", tmp_path / "fer_study")
    (tmp_path / "models").mkdir()

    def write(text: str) -> None:
        (tmp_path / "models" / "ours.py").write_bytes(text.encode())

    return write


def test_a_page_says_that_other_code_made_a_record(tmp_path, checkout_with):
    env = {"network_source": f"models/ours.py {checkout.code_hash('one')}", "parameters": 5031}
    named, old = make_record(tmp_path / "a", 20, env=env), make_record(tmp_path / "b", 20, seed=1, published=True)
    jobs = [named.config, old.config]

    def origin() -> str:
        return report.coverage(jobs, [named, old])["origin"].item()

    checkout_with("one\n")
    same = origin()
    for layout in ("one\r\n", '"""Documented."""\n\n(  # why\n    one\n)\n'):
        checkout_with(layout)
        assert origin() == same and "changed" not in same
    checkout_with("two\n")
    assert "changed since" in origin() and "5,031" in origin() and "published record" in origin().split(", ")
    (tmp_path / "models" / "ours.py").unlink()
    assert "changed since" in origin()


def test_new_records_name_the_code_of_their_network(runs_folder, tiny_run):
    record = run_job(tiny_run())
    assert record.env["network_source"].startswith("fer_study/models/ladder.py ")
    assert record.env["parameters"] == sum(p.numel() for p in models.create_model(record.config.model, 7).parameters())
    assert checkout.other_code(record.env) == ""
