"""The ledger: a row a claim, read strictly, and verdicts that follow the records."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy

from fer_study import cli, store
from fer_study.analysis import arithmetic, claim_rows, claims, evidence, ledger, metrics, places
from fer_study.analysis.measurements import MEASUREMENTS, Scored, measure
from fer_study.analysis.runs_table import runs_table
from fer_study.jobs.editions import load_edition
from fer_study.jobs.stages import listed_jobs, read_stage
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import (
    AuditConfig,
    AugmentConfig,
    CostConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    SamplingConfig,
)
from fer_study.settings.yaml_files import read_yaml
from fer_study.store.predictions import write_predictions
from jobs_by_config import asked_jobs
from page_records import make_record, predictions, rewrite, two_epochs

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SYSTEMS = {name: claim_rows.System(stage="s", arm=name, model=ModelConfig(name=name)) for name in ("a", "b", "c", "svm")}
ROW = {"quote": "q", "where": "001", "page": "gallery"}


class Store:
    """Fabricated records of a stage ``s`` under a recipe ``r``, and the verdict that a row of checks gets from them."""

    def __init__(self, folder: Path):
        self.folder, self.rows, self.homes = folder, [], {}

    def add(self, arm: str, right: int | np.ndarray, seed: int = 0, **given: object) -> store.Record:
        """A run that is right on so many of 40 test images."""
        self.rows = [row for row in self.rows if (row["name"], row["seed"]) != (arm, seed)]
        record = make_record(self.folder / str(len(list(self.folder.iterdir()))), right, name=arm, seed=seed, **given)
        teachers = dict.fromkeys(record.config.loss.teachers(), "a teacher")
        mark, recipe = evidence.seedless(record.config, teachers), "" if arm == "svm" else "r"
        row = [arm, recipe, mark, seed, record.config.key, record]
        self.rows.append(dict(zip(evidence.RUN_COLUMNS, row, strict=True)))
        return record

    def add_seeds(self, arm: str, *right: int) -> None:
        """One run a seed."""
        for seed, hits in enumerate(right):
            self.add(arm, hits, seed)

    def add_other(self, home: str, content: dict) -> None:
        """An audit or a cost, by its name in places."""
        folder = self.folder / f"other-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        config, name = (AUDIT, "audit.json") if home.startswith("audit") else (COST, "cost.json")
        self.homes[home] = store.save_files(folder, config, {"commit": "abc"}, {name: store.as_json(content)})

    def verdict(self, *rows: dict, kind: str = "number", **given: object) -> ledger.Verdict:
        """The verdict on a claim with these checks."""
        claim = claim_rows.read_row({**ROW, **given, "checks": list(rows)}, SYSTEMS, "test")
        table = pd.DataFrame(self.rows, columns=evidence.RUN_COLUMNS)
        known = evidence.Evidence("synthetic", table, self.homes, dict.fromkeys(SYSTEMS, "03_model_comparison"))
        return ledger.judge("x-01", claim, known, kind)


@pytest.fixture
def runs_folder(tmp_path):
    return Store(tmp_path)


NUMBER = {"check": "number", "metric": "accuracy", "system": "a", "subset": "test", "reported": 0.5}


def test_a_number_follows_its_records(runs_folder):
    assert runs_folder.verdict(NUMBER).word == "open"
    runs_folder.add("a", 20)
    assert runs_folder.verdict(NUMBER).word == "one seed: undecided"  # no spread is known
    runs_folder.add_seeds("b", 30, 30, 30)
    runs_folder.add("a", 20, 1)
    assert runs_folder.verdict(NUMBER).word == "two seeds: reproduced"
    runs_folder.add_seeds("a", 20, 20, 20)
    found = runs_folder.verdict(NUMBER)
    assert (found.word, found.seeds, found.measured.value, found.reported) == ("reproduced", 3, 0.5, (0.5,))
    assert set(found.evidence) == {row["key"] for row in runs_folder.rows if row["name"] == "a"}
    runs_folder.add_seeds("b", 20, 30, 40)  # another system of the recipe shows how far seeds scatter
    assert runs_folder.verdict(NUMBER).word == "undecided"
    runs_folder.add_seeds("b", 30, 30, 30)
    runs_folder.add_seeds("a", 20, 21, 21)
    assert runs_folder.verdict(NUMBER).word == "consistent"
    runs_folder.add_seeds("a", 30, 31, 32)
    assert runs_folder.verdict(NUMBER).word == "higher than reported"
    runs_folder.add_seeds("a", 10, 11, 12)
    assert runs_folder.verdict(NUMBER).word == "lower than reported"


def test_scale_and_seeds_stand_in_front(runs_folder):
    runs_folder.add_seeds("b", *[30] * 9, 31)
    runs_folder.add("a", 20)
    found = runs_folder.verdict(NUMBER, at_our_scale="a smaller network")
    assert found.word == "at our scale, one seed: reproduced" and found.scale == "a smaller network"
    assert found.category == "reproduced"


def test_log_loss_has_a_tolerance_of_its_own(runs_folder):
    row = NUMBER | {"metric": "log_loss", "reported": -math.log(0.7) + 0.04}
    for arm in "ab":
        runs_folder.add_seeds(arm, 40, 40, 40)
    assert runs_folder.verdict(row).word == "reproduced"
    assert runs_folder.verdict(row | {"reported": -math.log(0.7) + 0.06}).word == "lower than reported"
    kappa = row | {"metric": "cohen_kappa"}  # it is 1
    assert runs_folder.verdict(kappa | {"reported": 0.985}).word == "reproduced"
    assert runs_folder.verdict(kappa | {"reported": 0.97}).word == "higher than reported"


def test_an_ordering_flips(runs_folder):
    row = {"check": "ordering", "metric": "accuracy", "systems": ["a", "b", "c"], "subset": "test"}
    for arm, hits in (("a", (30, 31, 30)), ("b", (20, 21, 21)), ("c", (10, 11, 10))):
        runs_folder.add_seeds(arm, *hits)
    assert runs_folder.verdict(row, kind="ordering").word == "confirmed"
    runs_folder.add_seeds("c", 25, 26, 25)
    found = runs_folder.verdict(row, kind="ordering")
    assert found.word == "contradicted" and found.measured.value == pytest.approx(-14 / 120)
    runs_folder.add_seeds("c", 20, 21, 20)
    assert runs_folder.verdict(row, kind="ordering").word == "undecided"


EFFECT = {"check": "effect", "metrics": ["accuracy"], "arms": ["a"], "base": "b", "direction": "higher", "subset": "test"}


def test_an_effect_flips_and_one_seed_each_needs_the_band(runs_folder):
    runs_folder.add("a", 30)
    runs_folder.add("b", 25)
    assert runs_folder.verdict(EFFECT).word == "one seed: undecided"  # nothing was run twice
    runs_folder.add_seeds("c", 20, 24, 22)
    found = runs_folder.verdict(EFFECT)
    assert found.word == "one seed: undecided" and found.parts[0].detectable > 5 / 40
    runs_folder.add_seeds("c", 20, 20, 21)
    runs_folder.add("b", 25, 1)
    runs_folder.add("b", 25, 2)
    assert runs_folder.verdict(EFFECT).word == "one seed: confirmed"
    assert runs_folder.verdict(EFFECT | {"direction": "lower"}).word == "one seed: contradicted"
    assert runs_folder.verdict(EFFECT | {"direction": "tested"}).word == "one seed: tested"
    runs_folder.add("a", 20)
    assert runs_folder.verdict(EFFECT).word == "one seed: contradicted"


def test_runs_of_a_network_in_two_precisions_decide_no_effect(runs_folder):
    """How it rounds would be mixed up with what was changed; other networks may compute in another."""
    one = {"model": ModelConfig(name="emotion_cnn")}
    for arm, hits in (("a", (30, 31, 30)), ("b", (20, 21, 21))):
        for seed, right in enumerate(hits):
            runs_folder.add(arm, right, seed, changes=one | {"batch_size": 32 if arm == "a" else 64})
    assert runs_folder.verdict(EFFECT).word == "confirmed"
    ordering = {"check": "ordering", "metric": "accuracy", "systems": ["a", "b"], "subset": "test"}
    runs_folder.add("b", 21, 2, changes=one | {"batch_size": 64}, env={"precision": "bf16-mixed"})
    for row, kind in ((EFFECT, "number"), (EFFECT | {"direction": "lower"}, "number"), (ordering, "ordering")):
        assert runs_folder.verdict(row, kind=kind).word == "in two precisions: undecided"
    assert runs_folder.verdict(EFFECT | {"direction": "tested"}).word == "in two precisions: tested"
    for seed, right in enumerate((20, 21, 21)):
        other = {"model": ModelConfig(name="cbam_cnn")}
        runs_folder.add("b", right, seed, changes=other, env={"precision": "bf16-mixed"})
    assert runs_folder.verdict(EFFECT).word == "confirmed"


def test_no_gain(runs_folder):
    row = EFFECT | {"direction": "no gain"}
    runs_folder.add_seeds("a", 20, 20, 20)
    runs_folder.add_seeds("b", 20, 20, 20)
    assert runs_folder.verdict(row).word == "confirmed"
    runs_folder.add_seeds("a", 24, 24, 25)
    assert runs_folder.verdict(row).word == "contradicted"
    runs_folder.add_seeds("a", 15, 21, 25)
    assert runs_folder.verdict(row).word == "undecided"


def test_a_family_is_corrected(runs_folder):
    runs_folder.add_seeds("a", 27, 28, 28)
    runs_folder.add_seeds("b", 25, 26, 23)
    runs_folder.add_seeds("c", 25, 26, 23)
    alone = runs_folder.verdict(EFFECT).parts[0]
    family = runs_folder.verdict(EFFECT | {"metrics": ["accuracy", "accuracy", "accuracy"]}).parts[0]
    assert (alone.word, family.word) == ("confirmed", "undecided")


def test_of_several_comparisons_the_one_that_is_shown_is_named(runs_folder):
    assert runs_folder.verdict(EFFECT | {"arms": ["a", "c"]}).parts[0].of == ""
    for arm, hits in (("a", (30, 31, 30)), ("b", (20, 21, 21)), ("c", (10, 11, 10))):
        runs_folder.add_seeds(arm, *hits)
    shown = "of 2, least in favour: "
    assert runs_folder.verdict(EFFECT).parts[0].of == "", "of one it goes without saying"
    assert runs_folder.verdict(EFFECT | {"arms": ["a", "c"]}).parts[0].of == shown + "c"
    ordering = {"check": "ordering", "metric": "accuracy", "systems": ["a", "c", "b"], "subset": "test"}
    assert runs_folder.verdict(ordering, kind="ordering").parts[0].of == shown + "c minus b"
    below = {"check": "bound", "metrics": ["accuracy"], "systems": ["a", "b"], "below": 0.9, "subset": "test"}
    assert runs_folder.verdict(below | {"of": "x"}).parts[0].of == f"x; {shown}a"
    two = below | {"metrics": ["confused[sad, fear]", "recall_sad"], "systems": ["b"]}
    assert runs_folder.verdict(two).parts[0].of == f"{shown}recall of sad", "and not the 0, which has no logit"


def test_a_record_of_two_systems_counts_once(runs_folder):
    """The base of one stage is an arm of another."""
    runs_folder.add_seeds("a", 27, 28, 29)
    runs_folder.add_seeds("b", 25, 26, 23)
    before = runs_folder.verdict(EFFECT, NUMBER).parts
    runs_folder.rows += [row | {"name": "c"} for row in runs_folder.rows if row["name"] == "b"]
    assert runs_folder.verdict(EFFECT, NUMBER).parts == before


def test_taught_networks_pool_whichever_seed_teaches(runs_folder):
    """The teacher of each seed is another run, so its key differs; without the pool one seed would have no interval."""
    taught = [{"loss": LossConfig(distribution="teacher", teacher=mark * 16)} for mark in "abc"]
    for seed, (hits, changes) in enumerate(zip((30, 31, 30), taught, strict=True)):
        runs_folder.add("b", hits, seed, changes=changes)
    runs_folder.add("a", 30, changes=taught[0])
    found = runs_folder.verdict(NUMBER)
    assert found.word == "one seed: higher than reported" and found.measured.low > 0.6
    runs_folder.add("a", 30)  # learned from labels: nothing of its loss ran twice
    assert runs_folder.verdict(NUMBER).word == "one seed: undecided"


def test_runs_on_images_changed_otherwise_scatter_for_themselves(runs_folder):
    runs_folder.add_seeds("a", 27, 28, 28)
    runs_folder.add_seeds("b", 25, 26, 23)
    before = runs_folder.verdict(EFFECT).parts[0].measured
    for seed, right in enumerate((5, 20, 35)):
        runs_folder.add("c", right, seed, changes={"augment": AugmentConfig(rotate=35)})
    assert runs_folder.verdict(EFFECT).parts[0].measured == before


def test_what_has_no_seed_is_exact(runs_folder):
    runs_folder.add("svm", 20, changes={"phases": ()})
    runs_folder.add_seeds("a", 28, 29, 30)
    found = runs_folder.verdict(EFFECT | {"base": "svm"})
    assert found.word == "confirmed" and found.seeds == 3


def test_a_bound_flips(runs_folder):
    row = {"check": "bound", "metrics": ["accuracy"], "systems": ["a", "b"], "below": 0.68, "subset": "test"}
    runs_folder.add_seeds("a", 20, 21, 20)
    runs_folder.add_seeds("b", 22, 22, 23)
    assert runs_folder.verdict(row, kind="behaviour").word == "confirmed"
    runs_folder.add_seeds("b", 34, 35, 34)
    found = runs_folder.verdict(row, kind="behaviour")
    assert found.word == "contradicted" and found.measured.value == pytest.approx(103 / 120)
    runs_folder.add_seeds("b", 27, 28, 27)
    assert runs_folder.verdict(row, kind="behaviour").word == "undecided"
    above = {key: value for key, value in row.items() if key != "below"} | {"above": 0.4}
    assert runs_folder.verdict(above, kind="behaviour").word == "confirmed"


AUDIT = AuditConfig(data=DataConfig(dataset="synthetic", faces=100))
COST = CostConfig(model=ModelConfig(name="n", options={"se": "down"}))


def test_counts_and_ranges_follow_audits_and_costs(tmp_path):
    count = {"check": "count", "measured": ["audit/fer2013/images", "audit/fer2013/all/fear"], "reported": [10, 3]}
    share = {"check": "range", "measured": ["cost/emonext_tiny/224/se/parameters_ratio"], "low": 1.01, "high": 1.02}
    words = []
    for number, (fear, parameters) in enumerate([(3, 1015), (4, 1030), (3, 1005)]):
        (tmp_path / str(number)).mkdir()
        runs_folder = Store(tmp_path / str(number))
        assert runs_folder.verdict(count, share).word == "open"
        runs_folder.add_other("audit/fer2013", {"images": 10, "all": {"fear": fear}})
        runs_folder.add_other("cost/emonext_tiny/224/se", {"parameters": parameters, "parameters_without": 1000})
        words.append([part.word for part in runs_folder.verdict(count, share).parts])
        found = runs_folder.verdict(count | {"otherwise": "no reading found"}).word
        assert found == ("right" if fear == 3 else "no reading found")
    assert words == [["right", "right"], ["wrong", "higher than reported"], ["right", "lower than reported"]]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("audit/fer2013/imges", "has no 'imges' there, allowed: all, images, votes"),
        ("audit/fer2013/images/all", "has no 'all' there, allowed: nothing below it"),
        ("audit/fer2013/all", "no number, allowed: one of those below it, fear"),
        ("cost/emonext_tiny/224/se/params", "has no 'params' there, allowed: parameters"),
    ],
)
def test_a_place_that_its_record_does_not_have_is_refused(runs_folder, place, message):
    runs_folder.add_other("audit/fer2013", {"images": 10, "all": {"fear": 3}, "votes": {}})
    runs_folder.add_other("cost/emonext_tiny/224/se", {"parameters": 3})
    with pytest.raises(InputError, match=f"claims.yaml: x-01: measured is '{place}'.*{message}"):
        runs_folder.verdict({"check": "count", "reported": [1], "measured": [place]})
    without_votes = {"check": "count", "measured": ["audit/fer2013/votes/all"], "reported": [1]}
    assert runs_folder.verdict(without_votes).word == "open"


def test_formulas_are_evaluated(runs_folder):
    row = {
        "check": "formula",
        "values": {"weight": 10},
        "measured": {"n": "audit/fer2013/images"},
        "holds": "n / 7 == weight",
    }
    runs_folder.add_other("audit/fer2013", {"images": 70})
    assert runs_folder.verdict(row, kind="formula").word == "right"
    assert runs_folder.verdict(row, kind="behaviour").word == "confirmed"
    runs_folder.add_other("audit/fer2013", {"images": 71})
    assert runs_folder.verdict(row, kind="formula").word == "wrong"
    assert runs_folder.verdict(row | {"check": "own_source"}, kind="formula").word == "refuted by its source"
    shown = {k: x for k, x in row.items() if k != "holds"} | {"show": "n"}
    assert runs_folder.verdict(shown, kind="behaviour").word == "tested"


def test_a_source_can_be_below_what_its_test_set_tells(runs_folder):
    row = {"check": "own_test_set", "values": [0.70, 0.72], "images": 3589}
    assert runs_folder.verdict(row).word == "open"
    (part,) = runs_folder.verdict(row | {"values": [0.70, 0.72, 0.7205]}).parts
    assert part.word == "undecided by its own test set"
    assert ledger.shown_measured(part) == "0.05 points" and ledger.shown_reported(part, "") == "70.00, 72.00, 72.05 %"
    assert runs_folder.verdict(row | {"values": [0.70, 0.72, 0.7205], "images": 10**7}).word == "open"


GAP = {"check": "bound", "metrics": ["train_gap"], "systems": ["a"], "above": 0.02, "stated": False, "subset": "validation"}


def add_fold(runs: Store, arm: str, fold: int, seen: float | None, held_out: int) -> None:
    """A run on two thirds of the training images, ``seen`` its accuracy on them, right on so many of 10 images left out."""
    data = DataConfig(dataset="synthetic", faces=100, folds=3, fold=fold)
    record = runs.add(arm, predictions(20, held_out), fold, changes={"data": data, "model": ModelConfig(name=arm)})
    if seen is not None:
        record.metrics["last_single"]["train"] = {"accuracy": seen, "log_loss": 0.5}


def test_overfitting_is_a_gap_beyond_the_tolerance(runs_folder):
    def word(*gaps: float) -> str:
        for fold, gap in enumerate(gaps):
            add_fold(runs_folder, "a", fold, 0.5 + gap, 5)
        return runs_folder.verdict(GAP, kind="behaviour").word

    assert runs_folder.verdict(GAP, kind="behaviour").is_open
    assert word(0.10, 0.11, 0.12) == "confirmed"
    assert word(0.00, 0.001, 0.002) == "contradicted"
    assert word(0.021, 0.022, 0.023) == "undecided"  # above zero, but not clearly above two points
    assert word(0.00, 0.10, 0.20) == "undecided"
    for fold in range(3):
        add_fold(runs_folder, "a", fold, None, 5)
    found = runs_folder.verdict(GAP, kind="behaviour")
    assert found.is_open and "train_gap on validation" in found.parts[0].needs


def test_folds_share_training_images_so_their_interval_is_wider(runs_folder):
    """Nadeau and Bengio (2003): of three folds by the root of 1 + 3/2; nor do seeds of all images say how folds scatter."""
    row = EFFECT | {"subset": "validation", "direction": "tested"}
    for fold, (a, b) in enumerate(((8, 5), (7, 5), (6, 5))):
        add_fold(runs_folder, "a", fold, 0.9, a)
        add_fold(runs_folder, "b", fold, 0.9, b)
    runs_folder.add_seeds("c", 10, 30, 20)
    found = runs_folder.verdict(row, kind="recipe")
    assert (found.word, found.seeds, found.measured.value) == ("tested", 3, pytest.approx(0.2))
    half = scipy.stats.t.ppf(0.975, 2) * 0.1 / 3**0.5 * 2.5**0.5  # differences .3, .2, .1
    assert found.measured.high == pytest.approx(0.2 + half)
    paired = metrics.over_folds([0.3, 0.2, 0.1])
    assert (paired.value, paired.high) == (pytest.approx(0.2), pytest.approx(0.2 + half))


def test_folds_are_repetitions_of_one_run():
    run = claim_rows.config_of("emotion_cnn_folds", claim_rows.read_rows()[0], DataConfig(dataset="fer2013"))
    folds = [run.replace(data=run.data.replace(fold=fold)) for fold in range(3)]
    assert len({evidence.seedless(fold) for fold in folds}) == 1 and list(map(evidence.repetition, folds)) == [0, 1, 2]
    whole = run.replace(data=run.data.replace(folds=0), seed=2)
    assert evidence.seedless(whole) != evidence.seedless(run) and evidence.repetition(whole) == 2


def test_a_seed_is_shared_only_by_runs_that_see_the_same_images_as_often(runs_folder):
    """Seeds move both arms alike; once one of them learns from other images, the order of a seed is another one."""
    row = EFFECT | {"direction": "tested"}

    def half(**changes: object) -> float:
        for seed, (a, b) in enumerate(((10, 5), (30, 25), (21, 15))):
            runs_folder.add("a", a, seed, changes=changes | {"model": ModelConfig(name="a")})
            runs_folder.add("b", b, seed)
        found = runs_folder.verdict(row, kind="recipe").measured
        assert found.value == pytest.approx(16 / 120)
        return found.high - found.value

    linked, whole = half(), DataConfig(dataset="synthetic", faces=100)
    assert linked == pytest.approx(scipy.stats.t.ppf(0.975, 2) * np.std([5, 5, 6], ddof=1) / 40 / 3**0.5)
    spread = np.sqrt((np.var([10, 30, 21], ddof=1) + np.var([5, 25, 15], ddof=1)) / 2) / 40
    apart = scipy.stats.t.ppf(0.975, 4) * spread * (2 / 3) ** 0.5
    for changes in (
        {"data": whole.replace(deduplicate=True)},
        {"data": whole.replace(targets="majority")},
        {"sampling": SamplingConfig(balanced=True)},
        {"sampling": SamplingConfig(rare="disgust", times=3)},
    ):
        assert half(**changes) == pytest.approx(apart), changes
    assert half(data=whole.replace(drop_tested=True)) == pytest.approx(apart)
    assert half(data=whole.replace(targets="votes")) == pytest.approx(linked)
    assert half(sampling=SamplingConfig(rare="disgust", rotate=35)) == pytest.approx(linked)


def test_runs_without_the_same_images_share_a_seed_among_themselves(runs_folder):
    fewer = {"data": DataConfig(dataset="synthetic", faces=100, deduplicate=True)}
    for seed, (a, b) in enumerate(((10, 5), (30, 25), (21, 15))):
        for arm, hits in (("a", a), ("b", b)):
            runs_folder.add(arm, hits, seed, changes=fewer | {"model": ModelConfig(name=arm)})
    found = runs_folder.verdict(EFFECT | {"direction": "tested"}, kind="recipe").measured
    assert found.high - found.value == pytest.approx(scipy.stats.t.ppf(0.975, 2) * np.std([5, 5, 6], ddof=1) / 40 / 3**0.5)


def test_three_zeros_say_nothing_of_the_spread(runs_folder):
    """A system that is never right scatters by nothing, and vouches for no other."""
    row, words = EFFECT | {"direction": "tested"}, []
    for seed, (a, b) in enumerate(((10, 5), (30, 25), (21, 15))):
        runs_folder.add("a", a, seed)
        runs_folder.add("b", b, seed)
    for zeros in (False, True):
        if zeros:
            runs_folder.add_seeds("c", 0, 0, 0)
        words.append(runs_folder.verdict(row, kind="recipe").measured)
    assert words[0] == words[1]


def test_a_comparison_turned_round_has_the_other_sign(runs_folder):
    """Also between folds and whole runs, where each has the spread of its own, and folds a wider one."""
    for fold, hits in enumerate((8, 7, 5)):
        add_fold(runs_folder, "a", fold, 0.9, hits)
    runs_folder.add_seeds("b", 10, 12, 11)
    ends = []
    for arm, base in (("a", "b"), ("b", "a")):
        row = EFFECT | {"arms": [arm], "base": base, "subset": "validation", "direction": "tested"}
        ends.append(runs_folder.verdict(row, kind="recipe").measured)
    assert ends[0].value == pytest.approx(-ends[1].value)
    assert (ends[0].low, ends[0].high) == pytest.approx((-ends[1].high, -ends[1].low))


def test_two_that_scatter_otherwise_are_compared_apart(runs_folder):
    """Welch (1947): runs with weights scatter widely, and those without do not vouch for them."""
    row = EFFECT | {"direction": "tested"}
    weighted = {"loss": LossConfig(class_weights="inverse"), "model": ModelConfig(name="a")}
    for seed, (a, b, c) in enumerate(((10, 20, 30), (30, 21, 30), (20, 20, 31))):
        runs_folder.add("a", a, seed, changes=weighted)
        runs_folder.add("b", b, seed)
        runs_folder.add("c", c, seed)
    found = runs_folder.verdict(row, kind="recipe")
    of = [np.array(one) / 40 for one in ([10, 30, 20], [20, 21, 20], [30, 30, 31])]
    unit = [one.mean() * (1 - one.mean()) for one in of]
    pooled = (of[1].var(ddof=1) / unit[1] + of[2].var(ddof=1) / unit[2]) / 2 * unit[1]  # 4 degrees of freedom
    parts = of[0].var(ddof=1) / 3, pooled / 3
    df = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 4)
    half = scipy.stats.t.ppf(0.975, df) * sum(parts) ** 0.5
    assert found.measured.value == pytest.approx(of[0].mean() - of[1].mean())
    assert (found.measured.low, found.measured.high) == pytest.approx(
        (found.measured.value - half, found.measured.value + half)
    )
    runs_folder.rows = [one for one in runs_folder.rows if one["name"] != "a" or one["seed"] == 0]
    for one in (EFFECT, row):  # nobody tells how far such a run lies off
        assert runs_folder.verdict(one).word == "one seed: undecided"


def test_an_end_beside_zero_keeps_its_side():
    def printed(unit: str, *ends: float) -> str:
        measured = metrics.Estimate(sum(ends) / 2, 0.1, 3, *ends)
        return ledger.shown_measured(ledger.Finding("tested", measured=measured, unit=unit))

    assert printed("points", -0.0292, -0.0002) == "-1.47 [-2.92, -0.02] points"
    assert printed("points", -0.03, 0.0002) == "-1.5 [-3.0, 0.0] points"
    assert printed("", -0.0003, 0.0005) == "0.0001 [-0.0003, 0.0005]"


def test_what_a_source_only_suggests_is_answered_and_not_judged(runs_folder):
    row = {"check": "bound", "metrics": ["accuracy"], "systems": ["a"], "above": 0.9, "stated": False, "subset": "test"}
    assert runs_folder.verdict(row | {"tested": True}).word == "open"
    for arm in "ab":
        runs_folder.add_seeds(arm, 20, 21, 20)
    assert runs_folder.verdict(row).word == "contradicted"
    found = runs_folder.verdict(row | {"tested": True}, hangs_on="a choice", at_our_scale="half")
    assert (found.word, found.hangs_on, found.scale) == ("at our scale: tested", "a choice", "half")


def test_parts_that_are_open_are_said(runs_folder):
    row = {"check": "open", "needs": "RAF-DB", "command": "fer-study data doctor PATH"}
    assert runs_folder.verdict(row).is_open
    refuted = {"check": "own_source", "values": {"a": 1, "b": 2}, "holds": "a == b"}
    found = runs_folder.verdict(refuted, row)
    assert found.word == "in part: refuted by its source" and not found.is_open
    assert found.category == "mixed" and found.group == "fails in part"
    assert runs_folder.verdict(refuted, refuted | {"holds": "a < b"}).category == "mixed"
    table = ledger.open_table([found])
    assert table[["missing", "command"]].to_numpy().tolist() == [["RAF-DB", "fer-study data doctor PATH"]]
    table = ledger.open_table([runs_folder.verdict(NUMBER)])
    assert table["missing"].tolist() == ["records of a"] and table["command"].tolist() == [
        "fer-study train fer2013 03_model_comparison"
    ]


# Reading


def test_every_claim_has_a_row_and_every_row_a_claim():
    systems, rows = claim_rows.read_rows()
    assert set(rows) == set(claims.load().index) and len(rows) == 120
    for name, claim in rows.items():
        document = claims.load().loc[name, "source"][:3]
        assert claim.row.quote.strip() and document in claim.row.where, name
        assert (NOTEBOOKS / f"{claim.row.page}.ipynb").is_file(), name
    named = {name for claim in rows.values() for check in claim.checks for name in check.systems_named()}
    named |= {system.teacher for system in systems.values() if system.teacher}
    assert named | set(read_yaml(ledger.PATH)["factorials"].values()) == set(systems)


@pytest.fixture
def rewritten(tmp_path):
    """Read the rows of a file in which one claim, or one system, is another."""

    def read(claim: str, change: dict | None, systems: dict | None = None) -> None:
        content = read_yaml(claim_rows.PATH)
        content["claims"].pop(claim, None)
        content["claims"] |= {claim: change} if change else {}
        content["systems"] |= systems or {}
        path = tmp_path / "claims.yaml"
        path.write_text(json.dumps(content))  # which is YAML too
        claim_rows.read_rows(path)

    return read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"check": "nmber"}, "ladder-04: unknown check 'nmber'; known: number, ordering, effect"),
        ({"system": "resnet"}, "ladder-04: unknown system 'resnet'; known: emotion_cnn, "),
        ({"metric": "acuracy"}, "unknown metric 'acuracy'; known: accuracy, "),
        ({"metric": "confused[fear, joy]"}, "'joy' is no class"),
        ({"metric": "confused[fear]"}, r"has 1 arguments, allowed: confused\[class, class\]"),
        ({"metric": "accuracy[fear]"}, "metric 'accuracy"),
        ({"subset": "tests"}, "subset is 'tests'"),
        ({"view": "last_double"}, "view is 'last_double'"),
        ({"protocol": "random"}, "protocol is 'random'"),
        ({"reported": "62 %"}, "reported is '62 %'"),
        ({"limit": 1}, "unknown key 'limit'; allowed: of, subset"),
        ({"reported": 62.18}, "reported is 62.18: .*accuracy is in share, allowed: 0 to 1"),
    ],
)
def test_what_is_unknown_is_refused_by_name(rewritten, change, message):
    check = {"check": "number", "metric": "accuracy", "system": "cbam_cnn", "subset": "test", "reported": 0.6} | change
    with pytest.raises(InputError, match=message) as refusal:
        rewritten("ladder-04", {**ROW, "checks": [check]})
    assert "claims.yaml: ladder-04: " in str(refusal.value) and "\n" not in str(refusal.value)


ORDERING = {"check": "ordering", "metric": "accuracy", "systems": ["cbam_cnn", "fer48"], "subset": "test"}
PUBLISHED_EFFECT = EFFECT | {"arms": ["l2"], "base": "cbam_cnn"}
BOUND = {"check": "bound", "metrics": ["accuracy"], "systems": ["fer48"], "below": 0.5, "subset": "test"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PUBLISHED_EFFECT | {"metrics": ["accuracy", "log_loss"]}, "metrics is .*in share and number, allowed: one unit"),
        (PUBLISHED_EFFECT | {"base_metric": "brier"}, "base_metric is 'brier': .*in share and number, allowed: one unit"),
        (
            PUBLISHED_EFFECT | {"direction": "tested", "metrics": ["accuracy", "macro_f1"]},
            "direction is 'tested'.* 2 pairs .*allowed",
        ),
        (
            PUBLISHED_EFFECT | {"direction": "no gain", "arms": ["l2", "longer"]},
            "direction is 'no gain'.* 2 pairs .*allowed",
        ),
        (PUBLISHED_EFFECT | {"arms": ["full"]}, "arms is .*'full' and 'cbam_cnn' are one and the same run, allowed: others"),
        (ORDERING | {"systems": ["fer48", "fer48"]}, "systems is .*'fer48' and 'fer48' are one and the same run"),
        (ORDERING | {"systems": ["labels", "fer48", "full"]}, "'labels' and 'full' are one and the same run"),
        (BOUND | {"metrics": ["accuracy", "pair_rank[angry, fear]"]}, "metrics is .*allowed: one unit"),
        (BOUND | {"below": 50}, "below is 50: .*accuracy is in share, allowed: 0 to 1"),
        ({"check": "range", "measured": ["audit/fer2013/images"], "low": 2, "high": 1}, "high is 1: .*low is 2.*allowed"),
        ({"check": "formula", "holds": "1 + 1"}, r"holds is '1 \+ 1': .*a number, allowed: a comparison"),
        ({"check": "formula", "values": {"x": 1.0}}, "needs holds or show"),
        ({"check": "formula", "holds": "1 / 0 == 1"}, "holds is '1 / 0 == 1': division by zero, allowed"),
        ({"check": "formula", "holds": "1 < 2", "show": "log(0)"}, r"show is 'log\(0\)': math domain error, allowed"),
    ],
)
def test_what_no_check_can_decide_is_refused_on_reading(row, message):
    systems, _ = claim_rows.read_rows()
    with pytest.raises(InputError, match=f"claims.yaml: x-01: .*{message}"):
        claim_rows.read_row({**ROW, "checks": [row]}, systems, "claims.yaml: x-01")
    with pytest.raises(InputError, match=r"x-01: page is 'galery': .*unknown page, allowed: 00_claims, "):
        claim_rows.read_row({**ROW, "page": "galery", "checks": [row]}, systems, "claims.yaml: x-01")


def test_wrong_rows_end_the_command(rewritten, tmp_path, monkeypatch, caplog):
    with pytest.raises(InputError):
        rewritten("data-01", {**ROW, "checks": [{"check": "count", "measured": ["/abc/"], "reported": [1]}]})
    read = claim_rows.read_rows
    monkeypatch.setattr(ledger, "read_rows", lambda: read(tmp_path / "claims.yaml"))
    assert cli.main(["claims", "--id", "data-01"]) == 2
    assert "claims.yaml: data-01: measured" in caplog.text and "'/abc/' is no place in a record" in caplog.text


def test_a_run_is_not_held_against_itself(runs_folder):
    runs_folder.add_seeds("a", 20, 21, 22)
    known = evidence.Evidence("synthetic", pd.DataFrame(runs_folder.rows), {}, {})
    check = claim_rows.Effects(**{key: value for key, value in EFFECT.items() if key != "check"})
    with pytest.raises(InputError, match="a and a are one and the same run"):
        known.compare("a", "a", "accuracy", "accuracy", check)


def test_what_records_lack_is_said(runs_folder):
    """They are there, and what is asked for is not."""
    runs_folder.add_seeds("a", 20, 21, 22)
    found = runs_folder.verdict(NUMBER | {"metric": "history[validation_loss, 999]", "reported": 1.0})
    assert found.is_open and found.parts[0].command == ""
    assert found.parts[0].needs.startswith("history[validation_loss, 999] on test in view last_single")
    assert found.parts[0].needs.endswith("which no record of a holds")


def test_arithmetic_that_records_do_not_allow_is_refused(runs_folder):
    runs_folder.add_other("audit/fer2013", {"images": 0, "all": {"fear": 3}})
    row = {"check": "formula", "measured": {"n": "audit/fer2013/images"}, "holds": "1 / n > 2"}
    with pytest.raises(InputError, match=r"claims.yaml: x-01: holds is '1 / n > 2': division by zero, allowed"):
        runs_folder.verdict(row)
    with pytest.raises(InputError, match=r"claims.yaml: x-01: holds is .*'dict'.*allowed"):
        runs_folder.verdict(row | {"measured": {"n": "audit/fer2013/all"}})


def test_claims_without_a_row_and_rows_without_a_claim_are_refused(rewritten):
    with pytest.raises(InputError, match="ladder-04 has no row"):
        rewritten("ladder-04", None)
    with pytest.raises(InputError, match="ladder-99 is no claim"):
        rewritten("ladder-99", {**ROW, "checks": [{"check": "open", "needs": "x"}]})
    with pytest.raises(InputError, match="ladder-04: quote is missing"):
        rewritten("ladder-04", {"where": "004", "page": "gallery", "checks": [{"check": "open", "needs": "x"}]})
    with pytest.raises(InputError, match=r"systems\.x\.arm is missing"):
        rewritten("ladder-04", None, {"x": {"stage": "s", "base": "cbam_cnn"}})
    with pytest.raises(InputError, match="system x: unknown base 'l2'; known: emotion_cnn, "):
        rewritten("ladder-04", None, {"x": {"stage": "s", "arm": "a", "base": "l2"}})
    with pytest.raises(InputError, match="ladder-04: checks is"):
        rewritten("ladder-04", {**ROW, "checks": []})
    with pytest.raises(InputError, match=r"checks.0 is 'number'"):
        rewritten("ladder-04", {**ROW, "checks": ["number"]})
    with pytest.raises(InputError, match=r"systems\.x is .*allowed: one of them"):
        rewritten("ladder-04", None, {"x": {"stage": "s", "arm": "a"}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"holds": "n / m == weight"}, "unknown name 'm'"),
        ({"holds": "__import__('os')"}, "unknown function '__import__'"),
        ({"holds": "weight.real"}, "holds a Attribute"),
        ({"holds": "weight =="}, "is no expression"),
        ({"measured": {"n": "results/n"}}, "'results/n' is no place in a record, allowed: audit/fer2013, "),
        ({"measured": {"n": "cost/emonext_tiny/224"}}, "'cost/emonext_tiny/224' is no place in a record"),
        ({"measured": {"n": "cost/emonext_tiny/224/parameters"}}, "is no place in a record"),
        ({"measured": {"n": "audit/fer2013"}}, "'audit/fer2013' is no place in a record"),
        ({"measured": {"n": "/abc/"}}, "'/abc/' is no place in a record"),
    ],
)
def test_formulas_do_arithmetic_only(change, message):
    row = {
        "check": "formula",
        "values": {"weight": 10},
        "measured": {"n": "audit/fer2013/images"},
        "holds": "n == weight",
    } | change
    with pytest.raises(InputError, match=message):
        claim_rows.read_row({**ROW, "checks": [row]}, {}, "test")


def test_arithmetic():
    assert arithmetic.evaluate("round(28000 / (7 * n), 2) == 7.31 and -n < 0", {"n": 547}) is True
    assert arithmetic.evaluate("variance([0.5, 0.3, 0.2])", {}) == pytest.approx(np.var([0.5, 0.3, 0.2]))
    shifted = arithmetic.evaluate(
        "total_variation(a, without(b, 'none'))", {"a": {"x": 1, "y": 1}, "b": {"x": 3, "y": 1, "none": 9}}
    )
    assert shifted == pytest.approx(0.25)


# Measurements


def test_measurements_of_predictions(runs_folder):
    predicted = predictions(right=40)
    predicted[10:16] = 6  # of the test images 0 to 5, labels 0 to 5, all are called neutral
    predicted[17] = 0  # and a second angry one is right already
    record = runs_folder.add(
        "a", predicted, cam={"maps": np.ones((7, 6, 6)), "counts": np.full(7, 5)}, history=two_epochs(1.5)
    )
    scored = Scored(record, "last_single", "test")
    assert measure("confused[sad, neutral]", scored) == pytest.approx(1 / 6)
    assert measure("pair_rank[sad, neutral]", scored) == 1 and measure("pair_rank[sad, fear]", scored) == 7
    assert measure("pair_lead[sad, neutral]", scored) == 0
    assert measure("recall_lead[neutral]", scored) == pytest.approx(1 - 5 / 6)
    assert measure("predicted_ratio[neutral]", scored) == pytest.approx((5 + 6) / 5)
    assert measure("recall_spread", scored) == pytest.approx(np.std([5 / 6] * 5 + [4 / 5, 1]))
    assert measure("saliency[happy, lower]", scored) == pytest.approx(1 / 3)
    assert measure("history[validation_loss, 2]", scored) == 1.5
    assert math.isnan(measure("history[validation_loss, 3]", scored))
    assert math.isnan(measure("confused[contempt, neutral]", scored))  # it has seven classes
    always_right = runs_folder.add("b", predictions(40, validation_right=10))  # and sure by .7 only: T sharpens it
    assert measure("calibration_gain", Scored(always_right, "last_single", "test")) == pytest.approx(0.3, abs=0.01)


def test_recall_follows_agreement_or_frequency():
    """Four classes of 1 to 4 images: recall falls with frequency and rises with agreement, so the lead is -1 - 1."""
    labels = np.repeat(range(4), [1, 2, 3, 4])
    confusion = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [2, 0, 1, 0], [4, 0, 0, 0]])
    crowd = np.eye(4)[labels] * np.array([1, 0.9, 0.5, 0.1])
    scored = SimpleNamespace(confusion=confusion, labels=labels, crowd=crowd)
    assert MEASUREMENTS["frequency_lead"].function(scored) == pytest.approx(-2)


def test_a_prediction_that_ties_in_the_crowd_counts_as_right(runs_folder):
    record = runs_folder.add("a", 40)
    crowd = np.zeros((150, 7), np.float32)
    rows = record.predictions.table["row"][10:]
    crowd[rows[:20], record.predictions.table["label"][10:30]] = 1
    crowd[rows[20:30], :2] = 0.5  # tied between angry and disgust; the last ten are nothing
    scored = Scored(record, "last_single", "test", crowd)
    assert measure("crowd_accuracy", scored) == 1 and measure("clear_accuracy", scored) == 1
    tied = [label < 2 for label in record.predictions.table["label"][30:40]]
    assert measure("tied_less_clear", scored) == pytest.approx(np.mean(tied) - 1)
    every = np.ones((150, 7), np.float32) / 7
    every[rows[:20]] = crowd[rows[:20]]
    equal = Scored(record, "last_single", "test", every)
    assert measure("tied_less_clear", equal) == 0  # a system that is right everywhere is so on ties


def test_merged_scores_of_a_design_that_validation_chose_are_not_shown(runs_folder):
    records = [make_record(runs_folder.folder / name, 30, name=name) for name in ("cbam_cnn", "fer48")]
    scores = [measure("accuracy", Scored(record, "last_single", "merged")) for record in records]
    assert scores[0] == pytest.approx(35 / 50) and math.isnan(scores[1])


def test_a_run_of_another_split_protocol_does_not_count(runs_folder):
    runs_folder.add_seeds("b", 30, 31)
    runs_folder.add("a", 20, changes={"data": DataConfig(dataset="synthetic", faces=100, protocol="resplit")})
    assert runs_folder.verdict(NUMBER).word == "open"
    assert runs_folder.verdict(NUMBER | {"protocol": "resplit"}).word == "one seed: undecided"


def test_arms_are_systems_of_their_own(runs_folder):
    """Weighted losses are another system, so their spread is not mixed with that of the base."""
    for seed, hits in enumerate((20, 21)):
        runs_folder.add("a", hits + seed, seed)
        runs_folder.add(
            "b", hits + 10, seed, changes={"model": ModelConfig(name="a"), "loss": LossConfig(class_weights="inverse")}
        )
    found = runs_folder.verdict(EFFECT)
    assert found.measured.value == pytest.approx(-9.5 / 40) and found.word == "two seeds: contradicted"


# The published records


@pytest.fixture(scope="module")
def published():
    return {verdict.claim: verdict for verdict in ledger.ledger()}


def test_published_records_answer_most_claims(published):
    assert list(published) == list(claims.load().index)
    assert sum(not verdict.is_open for verdict in published.values()) >= 65
    assert sum(verdict.group not in ("open", "undecided") for verdict in published.values()) >= 50
    _, rows = claim_rows.read_rows()
    pairs = [pair for name, claim in rows.items() for pair in zip(claim.checks, published[name].parts, strict=True)]
    waiting = [(check, part) for check, part in pairs if part.word == "open" and not isinstance(check, claim_rows.Open)]
    unsettled = [
        check for check, part in waiting if not part.command
    ]  # its record is there: a map that is zero has no share
    assert all(name.startswith("saliency[") for check in unsettled for name in check.metrics) and len(unsettled) < len(
        waiting
    )
    assert all(part.command.startswith("fer-study train fer2013 ") for check, part in waiting if check not in unsettled)
    commands = {part.command for check, part in pairs if isinstance(check, claim_rows.Open)}
    assert not any("train" in command for command in commands)  # what it trains could not change such a row


def test_no_verdict_that_the_records_do_not_bear(published):
    assert published["ladder-02"].word != "reproduced"  # its mean is more than two points off
    assert published["weight-03"].parts[0].seeds >= 3  # every seed that exists
    overfits = published["ladder-15"].parts[0]
    folds = [store.lookup(key) for key in overfits.evidence]
    scores = [one.metrics["last_single"] for one in folds if one.config.model.name == "emotion_cnn"]
    gaps = [one["train"]["accuracy"] - one["validation"]["accuracy"] for one in scores]
    assert overfits.measured.value == pytest.approx(np.mean(gaps))  # not of the training's log, where dropout is on
    assert published["resface-12"].word == "no reading found" and published["hybrid-24"].is_open
    arms = {store.lookup(key).config.name for key in published["ladder-13"].evidence}
    arms = {arm.removeprefix("simple_resnet: ") for arm in arms}
    assert arms <= {"full", "simple_resnet", "no_shortcuts"}  # networks that differ in more say nothing
    for verdict in published.values():
        for part in verdict.parts:
            if part.word == "reproduced":
                assert abs(part.measured.value - part.reported[0]) < 0.02 and part.seeds > 1


def test_the_command_prints_every_claim(capsys, caplog):
    assert cli.main(["claims", "--id", "ladder-0[46]"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "verdict", "reported", "measured", "seeds", "page", "of"]
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["ladder-04", "ladder-06"]
    assert cli.main(["claims", "--id", "resface-0[12]", "--open"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["id", "resface-01", "resface-02"]
    assert cli.main(["claims", "--json", "--id", "data-*"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 15 and found[0]["id"] == "data-01" and found[0]["value"] == "35887" and found[0]["word"] == "right"
    assert found[0]["evidence"] and found[0]["quote"] and found[0]["parts"][0]["measured"]["value"] == 35887
    assert cli.main(["claims", "--id", "x"]) == 2
    assert "no claim matches 'x'" in caplog.text


def test_records_of_places_are_those_that_their_stages_list():
    """The keys of costs are written down, so that the ledger builds no network; here they are held against the stages."""
    gallery, audits = read_stage("fer2013", "gallery"), read_stage("fer2013", "01_dataset_audit").jobs()
    names = ["/".join(["cost", one.name, str(one.size), *one.without]) for one in gallery.networks]
    listed = dict(zip(names, [job.key for job in gallery.jobs()], strict=True))
    listed |= {f"audit/{job.config.data.dataset}": job.key for job in audits}
    assert listed == places.KEYS and len(names) == len(set(names))


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """Write a local record beside the published ones."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "runs"))

    def write(config: AuditConfig | CostConfig, name: str, content: dict, **env: object) -> None:
        env = {"commit": "abc", "parameters": 1} | env
        store.save_files(tmp_path / "runs" / config.key, config, env, {name: store.as_json(content)})

    return write


def words(claim: str) -> list[str]:
    (found,) = ledger.ledger([claim])
    return [part.word for part in found.parts]


def test_other_audits_and_costs_say_nothing_of_a_claim(own_records):
    """Found by name alone, each of these decided."""
    before = {claim: words(claim) for claim in ("data-01", "hybrid-23")}
    audit = store.lookup(places.KEYS["audit/fer2013"]).config
    for number, config in enumerate([audit.replace(threshold=0.901), audit.replace(data=audit.data.replace(max_train=100))]):
        own_records(config, "audit.json", {"images": 5 + number})
    cost = store.lookup(places.KEYS["cost/hybrid_resnet50/224"])
    smaller = cost.config.model.replace(options=cost.config.model.options | {"branches": False})
    own_records(cost.config.replace(model=smaller), "cost.json", {"latency_ms": 10})
    assert before == {"data-01": ["right"], "hybrid-23": ["confirmed", "contradicted"]}
    assert {claim: words(claim) for claim in before} == before


def test_a_cost_of_other_code_does_not_hide_the_published_one(own_records):
    before, cost = words("hybrid-23"), store.lookup(places.KEYS["cost/hybrid_resnet50/224"])
    own_records(cost.config, "cost.json", {"latency_ms": 10}, network_source=f"fer_study/models/hybrid.py {'0' * 16}")
    (found,) = ledger.ledger(["hybrid-23"])
    assert words("hybrid-23") == before and all(record.published for record in ledger.records_of([found]))


@pytest.fixture
def forged(tmp_path, monkeypatch):
    """Copy the published runs of a system to the local store, each changed by a function of its folder."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "runs"))

    def copy(system: str, change: Callable[[Path], None]) -> None:
        systems, _ = claim_rows.read_rows()
        runs = ledger.runs_of({system: systems[system]}, store.records())
        for record in runs["record"]:
            shutil.copytree(record.folder, tmp_path / "runs" / record.key)
            change(tmp_path / "runs" / record.key)

    return copy


def with_accuracy(commit: str) -> Callable[[Path], None]:
    """Write another accuracy over untouched predictions."""

    def write(folder: Path) -> None:
        record = store.Record(folder, published=False)
        scores = record.metrics
        for subsets in scores.values():
            for scored in subsets.values():
                scored["accuracy"] = 0.95
        rewrite(folder, "metrics.json", store.as_json(scores))
        rewrite(folder, "env.json", store.as_json(record.env | {"commit": commit}))

    return write


def first_rows(folder: Path) -> None:
    """Leave 72 of the images."""
    record, buffer = store.Record(folder, published=False), io.BytesIO()
    kept = record.predictions.table.groupby("split").head(36).index
    views = {view: logits[kept] for view, logits in record.predictions.views.items()}
    write_predictions(buffer, record.predictions.table.loc[kept], views)
    rewrite(folder, "predictions.parquet", buffer.getvalue())


@pytest.mark.parametrize("commit", ["deadbeef00+", "deadbeef00"])
def test_a_number_over_untouched_predictions_decides_nothing(forged, published, commit):
    forged("cbam_cnn", with_accuracy(commit))
    (found,) = ledger.ledger(["ladder-04"])
    assert found.word == published["ladder-04"].word and found.measured == published["ladder-04"].measured
    local = [not record.published for record in ledger.records_of([found])]
    assert local == [not commit.endswith("+")] * len(found.evidence)


def test_a_record_of_a_part_of_the_images_decides_nothing(forged):
    forged("cbam_cnn", first_rows)
    (found,) = ledger.ledger(["ladder-04"])
    assert found.is_open and found.evidence == ()


def test_systems_are_the_runs_that_their_stages_list():
    """They are spelled out so that the ledger builds no network; here they are held against what the stages make."""
    systems, _ = claim_rows.read_rows()
    data, jobs = load_edition("fer2013").data, listed_jobs("fer2013")
    for name, system in systems.items():
        listed = runs_table(asked_jobs(system) if system.parameters else jobs, missing=True)
        rows = listed[(listed["stage"] == system.stage) & (listed["arm"] == system.arm)]
        rows = rows[rows["recipe"] == claim_rows.recipe_of(name, systems)]
        assert len(rows) and [claim_rows.config_of(name, systems, data, seed).key for seed in rows["seed"]] == list(
            rows["key"]
        ), name


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (
            {"base": "cbam_cnn", "changes": {"model.options.attenton": False}},
            "system x: changes 'model.options.attenton', which",
        ),
        ({"base": "cbam_cnn", "changes": {"loss.class_weights": "havy"}}, "system x: loss.class_weights is 'havy'"),
    ],
)
def test_a_wrong_system_is_refused(system, message):
    systems, _ = claim_rows.read_rows()
    systems["x"] = claim_rows.System(stage="s", arm="x", **system)
    with pytest.raises(InputError, match=message):
        ledger.runs_of(systems, [])


def test_the_spread_is_pooled_over_runs_of_one_loss(runs_folder):
    """Runs with weights call a rare class now as often as it occurs, now four times as often."""
    systems, rows = claim_rows.read_rows()
    check = rows["weight-04"].checks[0]
    evidence = ledger.Evidence("fer2013", ledger.runs_of(systems, store.records()), {}, {})
    runs = evidence.measured(evidence.runs, check.metrics[0], check)
    runs = runs[[not record.config.data.folds for record in runs["record"]]]  # these scatter otherwise
    weights = [record.config.loss.class_weights for record in runs["record"]]
    unweighted = [
        list(part["value"])
        for _, part in runs[(np.array(weights) == "none") & (runs["recipe"] == "ladder")].groupby("system")
    ]
    spread = evidence.seeds_and_spread("simple_resnet", check.metrics[0], check)[1]
    assert set(weights) > {"none"} and spread.df == sum(len(seeds) - 1 for seeds in unweighted)
    squares = sum(((np.array(seeds) - np.mean(seeds)) ** 2).sum() for seeds in unweighted)
    assert spread.sd == pytest.approx(math.sqrt(squares / spread.df))
    weighted = evidence.seeds_and_spread("inverse", check.metrics[0], check)[1]
    assert weighted.sd > 3 * spread.sd
