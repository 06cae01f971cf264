"""What networks cost, and the page that shows it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from jobs_by_config import run_job
from page_records import rewrite
from torch import nn

from fer_study import models, plots, store
from fer_study.analysis import metrics, verdicts
from fer_study.book.pages import gallery
from fer_study.jobs import stages
from fer_study.jobs.job import job_for
from fer_study.models import cost, resface_sizes
from fer_study.models.registry import FaceModel
from fer_study.models.trace import trace
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import CostConfig, ModelConfig
from fer_study.store import lookup


class Tiny(FaceModel):
    """A convolution, ReLU, an average and a linear layer: what autograd keeps of it can be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 7)

    def forward(self, images):
        return self.head(torch.relu(self.conv(images)).mean(dim=(2, 3)))


def test_activations_by_hand():
    """The map behind ReLU (the one before it is not needed), and the mean that the linear layer takes; not the images."""
    assert cost.activation_mb(Tiny(), torch.zeros(2, 1, 8, 8)) * 1e6 == 4 * (4 * 8 * 8 + 4)


def test_activations_grow_with_the_input():
    small, large = (cost.size(ModelConfig(name="simple_resnet", input_size=side)) for side in (32, 64))
    assert large["activation_mb"] == pytest.approx(4 * small["activation_mb"], rel=0.02)
    assert large["mflops"] == pytest.approx(4 * small["mflops"], rel=0.02) and large["parameters"] == small["parameters"]


def test_calls_take_turns():
    seen = []
    found = cost.alternating({name: lambda name=name: seen.append(name) for name in "ab"}, repeats=3)
    assert "".join(seen) == "ab" * 4 and set(found) == {"a", "b"} and all(seconds >= 0 for seconds in found.values())


@pytest.fixture
def no_compiler(monkeypatch):
    """``torch.compile`` takes a minute; here it compiles nothing."""
    monkeypatch.setattr(torch, "compile", lambda function: function)


def test_speeds_of_a_step(no_compiler, monkeypatch):
    config = ModelConfig(name="emotion_cnn", options={"width": 0.25}, input_size=16)
    speeds = cost.step_speeds(config, batch_size=4, repeats=1)
    assert tuple(speeds) == cost.WAYS and all(speed > 0 for speed in speeds.values())

    def refuses(function):
        def call(*_given):
            raise torch._dynamo.exc.Unsupported("no", case_name="no")

        return call

    monkeypatch.setattr(torch, "compile", refuses)
    speeds = cost.step_speeds(config, batch_size=4, repeats=1)
    assert math.isnan(speeds["compiled"]) and speeds["bfloat16"] > 0


def test_a_step_trains_in_every_way(no_compiler):
    for level in range(len(cost.WAYS)):
        made = []
        real = cost.create_model
        cost.create_model = lambda *given, real=real, made=made: made.append(real(*given)) or made[0]
        try:
            step = cost._step(ModelConfig(name="emotion_cnn", options={"width": 0.25}, input_size=16), 7, 1, 4, level)
        finally:
            cost.create_model = real
        before = made[0].head[1].weight.clone()
        step()
        assert not torch.equal(before, made[0].head[1].weight)
        assert made[0].blocks[0][0].weight.grad.abs().sum() > 0


NETWORKS = [
    {"name": "emotion_cnn", "size": 16, "options": {"width": 0.25}, "batch": 4},
    {"name": "emonext_atto", "size": 32, "channels": 3, "batch": 2, "without": {"se": "none"}},
    {"name": "emonext_atto", "size": 32, "channels": 3, "batch": 2, "without": {"stn": False}},
    {"name": "emotion_cnn", "size": 16, "options": {"width": 0.5}, "timed": False},
]


def configs_of(networks: list[dict]) -> list[CostConfig]:
    given = {"edition": "fer2013", "networks": networks}
    return [job.config for job in stages.check_stage("gallery", given).jobs()]


def test_records_and_their_page(runs_folder, no_compiler, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "published_root", lambda: tmp_path / "results")
    configs = configs_of(NETWORKS)
    records = [run_job(config) for config in configs]
    assert [record.config for record in records] == configs and records[0] == run_job(configs[0])
    table = gallery.table(records)
    narrow = [f"emotion_cnn, width {width} (1 x 16)" for width in (0.25, 0.5)]
    assert list(table.index) == [narrow[0], "emonext_atto (3 x 32)", narrow[1]]
    assert (table[["latency_ms", "images_per_second"]] > 0).all(axis=1).tolist() == [True, True, False], (
        "the last: not timed"
    )
    model = models.create_model(configs[0].model, 7)
    assert table["parameters"].iloc[0] == sum(p.numel() for p in model.parameters())
    assert f">{table['parameters'].iloc[1] / 1e6:.2f}<" in gallery.shown(table).to_html()
    assert ">x " in gallery.ways(records).to_html() and "width 0.5" not in gallery.ways(records).to_html()
    parts = gallery.parts(records)
    squeezed = 2 * (80**2 + 160**2 + 320**2) // 16
    plain = models.create_model(configs[1].without, 7, 3)
    assert parts["part"].tolist() == ["se none -> before", "stn False -> True"]
    assert parts["parameters (%)"][0] == pytest.approx(100 * squeezed / sum(p.numel() for p in plain.parameters()))
    text = gallery.overheads(records)
    assert text.count("\n") == 1 and "1 to 2 % (claim emonext-09): **below**" in text and "emonext-08" in text
    assert lookup(records[0].key).cost["latency_ms"] > 0
    assert table["threads"].tolist() == [records[0].env["threads"]] * 3
    low, high = parts["time of a step (%), low"][1], parts["time of a step (%), high"][1]
    assert low <= parts["time of a step (%)"][1] <= high and f" [{low:.1f}, {high:.1f}]" in text


def test_a_record_by_other_code_of_the_network_is_measured_again(runs_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "published_root", lambda: tmp_path / "results")
    (config,) = configs_of([NETWORKS[-1]])
    first = run_job(config)
    source = first.env["network_source"].rpartition(" ")[0]
    rewrite(first.folder, "env.json", store.as_json({**first.env, "network_source": f"{source} {'0' * 16}"}))
    assert job_for(config).record() is None
    assert run_job(config).cost == first.cost and job_for(config).record()


def test_published_costs_are_of_the_present_form():
    """Else the page shows less than it says, and is measured anew by whoever executes it."""
    configs = [job.config for job in stages.read_stage("fer2013", "gallery").jobs()]
    assert [config.model.name for config in configs if job_for(config).record() is None] == []
    timed = [lookup(config.key) for config in configs if config.timed]
    assert len({record.env["threads"] for record in timed}) == 1, "times side by side are of as many threads"


def test_verdict_on_a_range():
    nan = float("nan")
    exact = [verdicts.within(metrics.Estimate(x, nan, 1, nan, nan), 1, 2) for x in (0.9, 1, 1.5, 2, 2.1, nan)]
    assert exact == ["below", "right", "right", "right", "above", "open"]
    bounds = [(0.5, 0.9), (0.9, 1.1), (1.1, 1.9), (1.9, 2.1), (2.1, 3.0), (0.5, 3.0)]
    words = [verdicts.within(metrics.Estimate(1.5, nan, 1, *pair), 1, 2) for pair in bounds]
    assert words == ["below", "undecided", "right", "undecided", "above", "undecided"]


def test_the_interval_of_a_median_by_hand():
    """Of nine values the second and the eighth: both lie beyond the median with probability 20 / 512 = 3.9 % in all."""
    found = metrics.median([9, 1, 8, 2, 7, 3, 6, 4, 5])
    assert (found.value, found.low, found.high, found.n) == (5, 2, 8, 9)
    assert (metrics.median(range(6)).low, metrics.median(range(6)).high) == (0, 5)
    draws = np.random.default_rng(0).exponential(size=(2000, 15))
    covered = [one.low <= np.log(2) <= one.high for one in map(metrics.median, draws)]
    assert 0.95 <= np.mean(covered) <= 0.98  # 1 - 2 * binom.cdf(3, 15, .5) = .965


def test_the_ratio_of_steps_is_paired(monkeypatch):
    """The machine slows to a tenth half way through: the ratio of neighbours does not see it."""
    monkeypatch.setattr(cost, "_step", lambda *given: None)
    monkeypatch.setattr(cost, "only_contiguous", lambda *given: False)
    monkeypatch.setattr(cost, "turns", lambda steps, n: {"with": [1.1] * 8 + [11.0] * 7, "without": [1.0] * 8 + [10.0] * 7})
    found = metrics.median(cost.step_ratios(None, None))
    assert (found.value, found.low, found.high) == pytest.approx((1.1, 1.1, 1.1))


def test_what_the_printed_numbers_equal():
    row = {"trunk": "x", "printed": 77.4, "classifier": 25.6, "hybrid": 77.37, "plain": 23.6}
    assert gallery.meets(row) == "hybrid" and gallery.meets(row | {"printed": 70.0}) == "none"
    assert gallery.meets({"trunk": "x", "printed": 2.5, "plain": 2.59}) == "plain"
    shown = gallery.printed().data
    assert shown["printed is"].to_dict() == {
        "resnet50": "hybrid", "legacy_xception": "hybrid", "mobilenetv3_small_100": "classifier",
    }  # fmt: skip


def test_verdicts_on_the_printed_numbers(monkeypatch):
    text = gallery.printed_reading()
    lines = text.split("\n")
    assert lines[0] == (
        "- 77.4 million of `resnet50` (claim hybrid-14): **right** as *hybrid*; with its map averaged instead of flattened "
        "it would be 26.0."
    )
    assert lines[2] == "- 2.5 million of `mobilenetv3_small_100` (claim hybrid-14): **right** as *classifier*."
    assert "53.8 and 53.7 million, about 53.7 are stated" in lines[3] and lines[3].endswith("(claim hybrid-24): **right**.")
    rows = [row | {"printed": row["printed"] + 3} for row in gallery.printed_counts()]
    monkeypatch.setattr(gallery, "printed_counts", lambda: rows)
    assert gallery.printed_reading().count("**wrong**") == 4, "another number is not explained"


def test_squeeze_and_excitation_by_hand():
    """2 C^2 / 16 weights a block, behind each of the stages of 40, 80, 160 and 320 channels."""
    text = gallery.squeeze(["atto"])
    plain = cost.parameters(ModelConfig(name="emonext_atto", input_size=224, options={"se": "none"}), in_channels=3)
    added = sum(2 * channels**2 // 16 for channels in (40, 80, 160, 320))
    assert f"would add {100 * added / plain:.2f} % (atto)" in text and "(claim emonext-09): **below**" in text
    assert "96 channels has 1,152 parameters, the stated C/r + C gives 102 (claim emonext-22): **wrong**" in text


def test_operations_of_a_reading_of_resface():
    """A whole ResNet-50 at 224 px needs 3,800 to 4,100 million multiply-adds (He et al., 2016, table 1; torchvision)."""
    whole = {"trunk50": "3-4-6-3", "local": "none", "local_kernel": np.nan, "local_channels": np.nan}
    assert resface_sizes.operations(whole) == pytest.approx(4090, rel=0.15)
    assert (
        "of the 30 readings near it 6 need that, give or take 5 %, the nearest with trunk 2-2-1-1" in gallery.resface_sizes()
    )


def test_no_reading_of_resface_has_both_sizes(monkeypatch):
    text = gallery.resface_sizes()
    assert "10.4 and 12.4 million" in text and "0 of both" in text and text.endswith("**wrong**.")
    found = gallery.search()
    found.loc[3, ["error18", "error50"]] = 0.001
    monkeypatch.setattr(gallery, "search", lambda: found)
    assert "1 of both" in gallery.resface_sizes() and gallery.resface_sizes().endswith("**right**.")


def test_every_network_is_in_the_gallery():
    configs = [job.config for job in stages.read_stage("fer2013", "gallery").jobs()]
    named = {config.model.name for config in configs}
    assert named >= set(models.names()) - {"timm"} and set(gallery.DIAGRAMS) <= named
    assert len({config.key for config in configs}) == len(configs)


@pytest.mark.parametrize("name", gallery.DIAGRAMS)
def test_a_diagram_shows_the_network(name):
    size = 48 if name in ("cbam_cnn", "fer48") else 64
    table = gallery.diagram(name, size, 1)
    assert table["part"].tolist() == list(gallery.DIAGRAMS[name]), "the parts run in the order of the diagram"
    assert table["channels"].iloc[-1] == 7 and table["side"].iloc[-1] == 1
    ax = plots.architecture(table, title=name)
    assert len(ax.patches) == len(table)
    heights = [patch.get_height() for patch in ax.patches]
    assert max(heights) == heights[table["side"].argmax()] == pytest.approx(1) and heights[-1] == min(heights)
    shapes = [text.get_text().split("\n")[0] for text in ax.texts]
    assert all(str(channels) in shapes for channels in table["channels"])


def test_a_diagram_of_what_is_not_there():
    for path, words in (("nose", "no module 'nose'"), ("head.9", "no module 'head.9'")):
        with pytest.raises(ValueError, match=words):
            trace(ModelConfig(name="cbam_cnn"), {"x": path})
    with pytest.raises(ValueError, match="does not call 'blocks'"):
        trace(ModelConfig(name="cbam_cnn"), {"x": "blocks"})


@pytest.mark.parametrize(("given", "words"), [
    ({"size": 48}, "name is missing"), ({"name": "x"}, "unknown model 'x'"),
    ({"name": "cbam_cnn", "colour": 1}, "unknown key 'networks.0.colour'"),
    ({"name": "cbam_cnn", "without": {"nose": 1}}, "unknown option 'nose'"),
    ({"name": "cbam_cnn", "batch": 1}, "batch_size is 1"),
])  # fmt: skip
def test_wrong_rows(given, words):
    with pytest.raises(InputError, match=words) as caught:
        configs_of([given])
    assert "\n" not in str(caught.value)
