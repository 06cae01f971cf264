"""Faces that a generator draws: its training, the gates, and the runs that learn from them; planted faults are caught."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fer_study import store
from fer_study.analysis import claim_rows, evidence
from fer_study.data import official
from fer_study.data.twin import synthetic
from fer_study.jobs import gan, train
from fer_study.jobs.job import graph, job_for
from fer_study.jobs.stages import check_stage, read_stage, shipped_sha256
from fer_study.models.gan import Discriminator, Generator
from fer_study.settings.checkout import sha256
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, DataConfig, GanConfig, LossConfig
from fer_study.training import adversarial, drawn_faces, loop
from fer_study.training.batches import Batches
from fer_study.training.checkpoint import CHECKPOINT
from fer_study.training.device import make_fabric
from fer_study.training.drawn_faces import Judge, gates, nearest_correlation, statistics, with_drawn_faces
from fer_study.training.sources import faces_of
from fer_study.training.weights import SourceMissing
from jobs_by_config import run_job

WORLD = DataConfig(dataset="synthetic", faces=400, style="wild", fingerprint=synthetic.fingerprint(400, 0, "wild"))
SHAPE = (1, 16)


def config_of(**changes: object) -> GanConfig:
    """A generator that learns for seconds."""
    parts = {"name": "generator of happy", "data": WORLD, "target_class": "happy", "images": 24, "judge": "0" * 16}
    small = {"steps": 6, "batch_size": 4, "latent": 4, "width": 2}
    return GanConfig(**{**parts, **small, **changes})


@pytest.fixture
def faces():
    """(40, 1, 16, 16) uint8: smooth pictures, no two alike."""
    coarse = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    smooth = nn.functional.interpolate(coarse, size=16, mode="bilinear")
    return (255 * smooth).round().to(torch.uint8)


@pytest.fixture
def judge(runs_folder, tiny_run, monkeypatch):
    """Its key; and three held-out images are enough here."""
    monkeypatch.setattr(gan, "LEAST_HELD_OUT", 3)
    return run_job(tiny_run(data=WORLD)).key


def test_the_networks_draw_faces_and_score_them():
    generator, discriminator = Generator(4, 2, 48, 3), Discriminator(2, 48, 3)
    drawn = generator(torch.randn(5, 4))
    assert drawn.shape == (5, 3, 48, 48) and drawn.min() >= 0 and drawn.max() <= 1
    assert discriminator(drawn).shape == (5,)
    with pytest.raises(InputError, match="side is 44, allowed: multiples of 8"):
        Generator(4, 2, 44, 1)


def test_real_and_drawn_faces_are_changed_alike_and_gradients_pass(faces):
    images = (faces[:8].float() / 255).requires_grad_()
    views = [adversarial.augmented(images, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*views), "by the numbers of the generator alone"
    views[0].sum().backward()
    assert images.grad.abs().sum() > 0
    assert not torch.equal(views[0], images)


def test_a_round_takes_the_hinge_loss(faces, monkeypatch):
    """A discriminator that says b of every face: its loss is |1 - b|+ + |1 + b|+, the generator's -b."""

    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Parameter(torch.tensor(0.25))

        def forward(self, images):
            return self.b + 0 * images.sum((1, 2, 3))

    networks = adversarial.make_adversaries(config_of(), SHAPE, torch.device("cpu"))
    networks.discriminator = Constant()
    networks.optimisers = (networks.optimisers[0], torch.optim.Adam(networks.discriminator.parameters(), 0.0))
    row = adversarial.train_round(config_of(), networks, faces, 0, 3)
    assert row["judging"] == pytest.approx(0.75 + 1.25) and row["drawing"] == pytest.approx(-0.25)
    assert row["real"] == row["drawn"] == pytest.approx(0.25)


def test_it_learns_to_draw_what_it_sees():
    """Real faces are dark, those of a fresh generator gray: after some rounds they are dark, too."""
    dark = torch.randint(0, 30, (64, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    config = config_of(batch_size=16, lr=2e-3, width=4)
    networks = adversarial.make_adversaries(config, SHAPE, torch.device("cpu"))
    seen = adversarial.latents(config, 32, torch.Generator().manual_seed(0))
    before = float(networks.generator(seen).detach().mean())
    for number in range(3):
        adversarial.train_round(config, networks, dark, number, 40)
    assert before == pytest.approx(0.5, abs=0.1)
    assert networks.generator(seen).mean() < 0.2


def test_a_stopped_generator_goes_on_to_the_same_bits(tmp_path, faces, monkeypatch):
    monkeypatch.setattr(adversarial, "ROUND", 2)
    config, fabric = config_of(), make_fabric("32-true")
    folders = {name: tmp_path / name for name in ("whole", "stopped")}
    for folder in folders.values():
        folder.mkdir()
    whole, history = adversarial.fit(config, faces, folders["whole"], fabric)
    clock = iter([0.0, 2.0])
    with monkeypatch.context() as patch:
        stopping = SimpleNamespace(monotonic=clock.__next__, perf_counter=time.perf_counter)
        patch.setattr(adversarial, "time", stopping)
        with pytest.raises(loop.OutOfTime, match="generator of happy: stopped after round 1 of 3"):
            adversarial.fit(config, faces, folders["stopped"], fabric, deadline=1.0)
    torch.manual_seed(99)  # another process
    resumed, again = adversarial.fit(config, faces, folders["stopped"], fabric)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert history.drop(columns="seconds").equals(again.drop(columns="seconds"))
    assert list(history["round"]) == [1, 2, 3]
    (folders["stopped"] / CHECKPOINT).write_bytes(b"not a checkpoint")
    begun, _ = adversarial.fit(config, faces, folders["stopped"], fabric)  # damaged: begins anew
    assert torch.equal(begun.end.weight, whole.end.weight)


def test_a_loss_that_is_no_number_is_said(faces, monkeypatch):
    networks = adversarial.make_adversaries(config_of(), SHAPE, torch.device("cpu"))
    nn.init.constant_(networks.generator.end.bias, torch.nan)
    with pytest.raises(loop.TrainingFailed, match="a loss is not finite in round 1; lr 0"):
        adversarial.train_round(config_of(), networks, faces, 0, 1)


def test_distances_are_those_of_the_formulas():
    """Frechet distance on a line: (m - n)^2 + (s - t)^2; the kernel's has no bias, so two halves of one set are at 0."""
    source = torch.Generator().manual_seed(0)
    one = torch.randn(500, 1, generator=source, dtype=torch.float64)
    other = 3 + 2 * one
    by_hand = (one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2
    assert drawn_faces.frechet_distance(one, other) == pytest.approx(float(by_hand), rel=1e-4)
    assert drawn_faces.frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    many = torch.randn(400, 3, generator=source)
    state = torch.get_rng_state()
    assert abs(drawn_faces.kernel_distance(many[:200], many[200:])) < 0.05
    assert drawn_faces.kernel_distance(many[:200], many[200:] + 1) > 0.5
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left as it was"


def test_the_nearest_face_may_be_shifted_and_a_mirror_image(faces):
    """By hand: the middle 12 x 12 of a face of 16 x 16 against every part of the others, up to two pixels away."""
    some, others = faces[:3], faces[3:20].clone()
    others[5] = some[1].flip(-1).roll((2, -1), (-2, -1))
    both = torch.cat([others, others.flip(-1)]).numpy()
    table = [[np.corrcoef(a[:, 2:14, 2:14].ravel(), b[:, y : y + 12, x : x + 12].ravel())[0, 1]
              for b in both for y in range(5) for x in range(5)] for a in some.numpy()]  # fmt: skip
    found = nearest_correlation(some, others)
    assert found.numpy() == pytest.approx(np.max(table, axis=1), abs=1e-5)
    assert found[1] == pytest.approx(1, abs=1e-6)
    assert nearest_correlation(torch.full((1, 1, 16, 16), 7, dtype=torch.uint8), others) == 0


def test_the_distance_to_the_nearest_other():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0], [9.0, 13.0]])
    assert drawn_faces.nearest_other(features) == 1.0  # 5, 1, 1 and 10: the lower of the two in the middle


class Pixels(nn.Module):
    """A network whose last map is the picture in four coarse cells a channel."""

    def __init__(self):
        super().__init__()
        self.cam_layer = nn.PixelUnshuffle(4)
        self.end = nn.Linear(16, 2)

    def cam_map(self, activations):
        return activations

    def forward(self, images):
        return self.end(self.cam_layer(images).mean((2, 3)))


COPIED, ALIKE = "correlation with the nearest", "nearest other drawn face"
BLUR, NOISE = "(mean face)", "(noise)"


@pytest.mark.parametrize(
    ("fault", "missed"),
    [
        ("none", []),
        ("copied", [COPIED, "share of near copies"]),
        ("a third copied", ["its highest tenth", "share of near copies"]),
        ("mirrored copies", [COPIED, "share of near copies"]),
        ("shifted copies", [COPIED, "share of near copies"]),
        ("one face", ["distance between two drawn faces", ALIKE]),
        ("three faces", [ALIKE]),
        ("noise", [BLUR, NOISE]),
        ("mean face", [BLUR, "distance between two drawn faces", ALIKE]),
    ],
)
def test_planted_faults_miss_their_gate(fault, missed):
    """Other real faces pass; copies, few faces over and over, noise and the mean face do not."""
    source = torch.Generator().manual_seed(13)
    coarse = torch.rand(60, 1, 8, 8, generator=source)
    faces = (255 * nn.functional.interpolate(coarse, size=16, mode="bilinear")).round().to(torch.uint8)
    real, held_out, other = faces[:20], faces[20:40], faces[40:]
    nearly = (real.float() + 3 * torch.randn(real.shape, generator=source)).clamp(0, 255).to(torch.uint8)
    count = {"three faces": 3, "one face": 1}.get(fault, 20)
    planted = {
        "copied": nearly,
        "a third copied": torch.cat([nearly[:7], other[:13]]),
        "mirrored copies": real.flip(-1),
        "shifted copies": real.roll((1, 2), (-2, -1)),
        "noise": torch.randint(256, real.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
        "mean face": real.float().mean(0).round().to(torch.uint8).expand_as(real),
    }.get(fault, other[torch.arange(20) % count])
    network = Pixels()
    found = statistics(planted, real, held_out, Judge(network, AugmentConfig(), 16))
    failed = [gate.name for gate in gates(found) if not gate.passed]
    assert all(any(part in name for name in failed) for part in missed), failed
    assert failed if missed else not failed
    assert all(parameter.requires_grad for parameter in network.parameters()), "what was touched came back"


def other_faces(config: GanConfig, *_: object) -> torch.Tensor:
    """Faces of the class from another world: real ones that nobody saw."""
    there = synthetic.make(600, 1, "wild")
    rows = np.flatnonzero(there.labels == there.classes.index(config.target_class))
    return torch.from_numpy(there.images[rows[: config.images]])


def test_a_run_learns_from_drawn_faces_too(judge, published, tiny_run, monkeypatch):
    """They are trained on and nothing else: the scored images, and every other run, stay as they are."""
    monkeypatch.setattr(adversarial, "draw", other_faces)
    monkeypatch.setattr(gan, "gates", lambda found: [])  # whether these pass is not the question
    config = config_of(judge=judge)
    job = job_for(config)
    assert job.needs() == (judge,) and job.data() == (WORLD,) and job.model == "gan"
    made = run_job(config)
    assert not (made.folder / CHECKPOINT).exists()
    assert made.gan["images"]["drawn"] == 24 and list(made.history["round"]) == [1]
    drawn = load_file(made.folder / store.DRAWN)["images"]
    assert torch.equal(drawn, other_faces(config))

    shown = []
    monkeypatch.setattr(train, "Batches", lambda *given, **named: shown.append(given) or Batches(*given, **named))
    plain, taught = (tiny_run(data=data) for data in (WORLD, WORLD.replace(generated=made.key)))
    assert plain.key == judge, "the key of a run without them is as it was"
    assert made.key in job_for(taught).needs()
    record, before = run_job(taught), store.lookup(judge)
    assert record.env["drawn_faces"] == made.env["drawn_faces"] == sha256(made.folder / store.DRAWN)
    assert "drawn_faces" not in before.env
    images, targets, rows, *_ = shown[-1]
    seen = np.flatnonzero(faces_of(WORLD).split == "train")
    assert np.array_equal(rows, np.arange(len(seen) + 24)) and np.array_equal(images[:-24], faces_of(WORLD).images[seen])
    assert np.array_equal(images[-24:], drawn.numpy()) and len(targets) == len(images)
    assert np.array_equal(targets[-24:], np.tile(np.eye(7, dtype=np.float32)[3], (24, 1)))
    assert record.predictions.table.equals(before.predictions.table)
    assert not np.array_equal(record.predictions.views["last_single"], before.predictions.views["last_single"])

    second_head = np.zeros((len(faces_of(WORLD)), 14), np.float32)
    _, both, _ = with_drawn_faces(taught.data, faces_of(WORLD), second_head, seen)
    assert both[-1].sum() == 2, "a second head learns the same class"
    run_job(tiny_run(data=taught.data, loss=LossConfig(votes_weight=1.0)))


def test_the_faces_are_not_published(judge, published, tiny_run, monkeypatch):
    monkeypatch.setattr(adversarial, "draw", other_faces)
    monkeypatch.setattr(gan, "gates", lambda found: [])
    monkeypatch.setattr("fer_study.settings.environment.commit", lambda: "abc")
    made = run_job(config_of(judge=judge))
    folder = store.publish(made)
    assert {path.name for path in folder.iterdir()} == {"config.json", "env.json", "gan.json", "history.csv", "done"}
    assert store.Record(folder, published=True).gan == made.gan
    for path in made.folder.iterdir():
        path.unlink()
    with pytest.raises(SourceMissing, match=f"generator \\({made.key}\\) has no faces here"):
        run_job(tiny_run(data=WORLD.replace(generated=made.key)))


def test_what_misses_a_gate_is_no_record(judge, monkeypatch):
    """It fails by name, and to ask again takes no training."""
    monkeypatch.setattr(adversarial, "draw", lambda config, *_: other_faces(config)[:1].expand(24, -1, -1, -1).clone())
    config = config_of(judge=judge)
    with pytest.raises(loop.TrainingFailed, match=r"generator of happy: drawn faces missed a gate: .*two drawn faces is 0,"):
        run_job(config)
    assert store.lookup(config.key) is None
    monkeypatch.setattr(adversarial, "train_round", None)
    with pytest.raises(loop.TrainingFailed, match="missed a gate"):
        run_job(config)


def test_what_cannot_be_drawn_is_refused(judge, tiny_run, monkeypatch):
    with pytest.raises(InputError, match="target_class is 'smiling', allowed: angry, disgust"):
        run_job(config_of(judge=judge, target_class="smiling"))
    assert "allowed: angry, disgust" in job_for(config_of(judge=judge, target_class="smiling")).refusal({})
    assert not job_for(config_of(judge=judge)).refusal({})
    with pytest.raises(InputError, match=r"\d+ training and \d+ validation images of disgust, allowed: 200 and 3 or more"):
        run_job(config_of(judge=judge, target_class="disgust", batch_size=200))
    with pytest.raises(InputError, match="judge is another model than comes with this version"):
        run_job(config_of(judge="0" * 64))
    with pytest.raises(SourceMissing):
        run_job(config_of(judge="1" * 16))
    with pytest.raises(ValueError, match=r"data.generated is a key, allowed: none"):
        config_of(data=WORLD.replace(generated="0" * 16))
    monkeypatch.setattr(gan, "gates", lambda found: [])
    made = run_job(config_of(judge=judge))
    other = tiny_run(data=WORLD.replace(protocol="resplit", generated=made.key))
    with pytest.raises(InputError, match="its data is not that of this run"):
        run_job(other)
    gray = faces_of(WORLD)
    colour = dataclasses.replace(gray, images=gray.images.repeat(3, axis=1))
    with pytest.raises(InputError, match="judge sees 1 channels, the images have 3"):
        gan.judge_of(config_of(judge=shipped_sha256()), colour)


def stage(**changes: object):
    """Class weights on drawn faces of the smoke edition, with an arm that learns from drawn faces."""
    given = {"edition": "smoke", "recipes": ["smoke"], "model": "cbam_cnn", "arms": {"none": {}}, "seeds": [0, 1]}
    arms = {"none": {}, "more": {"data.generated": "drawn"}}
    small = {"small_recipe": "smoke", "small_model": "fer48", "small_arms": arms}
    drawn = {"drawn": {"target_class": "disgust", "images": 50}}
    return check_stage("02_class_weighting", {**given, **small, **drawn, **changes})


@pytest.mark.parametrize("judge", ["self", "shipped"])
def test_a_stage_lists_a_generator_a_seed(judge):
    jobs = stage(drawn={"target_class": "disgust", "images": 50, "judge": judge}).jobs()
    drawing = [job for job in jobs if job.model == "gan"]
    more = [job for job in jobs if job.arm == "more, small"]
    base = [job for job in jobs if job.arm == "none, small"]
    assert [job.seed for job in drawing] == [job.seed for job in more] == [0, 1]
    for one, run, other in zip(drawing, more, base, strict=True):
        assert run.config.data.generated == one.key and run.config.data.replace(generated="") == other.config.data
        assert one.config.data == other.config.data and one.config.images == 50
        assert one.needs() == ((other.key,) if judge == "self" else ())
    order = list(graph(jobs).static_order())
    assert all(order.index(one.key) < order.index(run.key) for one, run in zip(drawing, more, strict=True))


def test_a_stage_without_a_generator_refuses_its_arm():
    with pytest.raises(InputError, match=r"more, small: data.generated is drawn, but drawn is not given"):
        stage(drawn=None).jobs()
    with pytest.raises(InputError, match="target_class"):
        stage(drawn={"images": 3})


def test_the_ledger_knows_the_generator_of_every_seed():
    """A system of the claims is the arm that the stage lists, whatever the seed; another generator makes another arm."""
    systems, _ = claim_rows.read_rows()
    data = DataConfig(dataset="fer2013", fingerprint=official.FINGERPRINTS["fer2013"])
    wanted = claim_rows.config_of("generated", systems, data)
    jobs = read_stage("fer2013", "02_class_weighting").jobs()
    drawing = [job.config for job in jobs if job.model == "gan"]
    listed = [job.config for job in jobs if job.arm == "generated, small"]
    assert listed[0].key == wanted.key and len({config.key for config in listed}) == 3
    common = {config.key: evidence.seedless(config) for config in drawing}
    assert {evidence.seedless(config, common) for config in listed} == {evidence.seedless(wanted)}
    other = drawing[1].replace(steps=drawing[1].steps + 1)
    changed = listed[1].replace(data=listed[1].data.replace(generated=other.key))
    assert evidence.seedless(changed, common | {other.key: evidence.seedless(other)}) != evidence.seedless(wanted)
