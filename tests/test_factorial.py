"""Half factorials: planted effects come back, intervals hold what they promise, and a design with holes is refused."""

from __future__ import annotations

import json
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import yaml

from fer_study.analysis import claim_rows, evidence, ledger
from fer_study.analysis.factorial import Factorial, alias, cell_name, cells, effects_table, interactions_table, over_images
from fer_study.jobs import stages
from fer_study.settings.checkout import ROOT
from fer_study.settings.errors import InputError
from notebook_cells import run_notebook
from page_records import make_record

FIVE = ["stn", "se", "penalty", "drop_path", "smoothing"]


def measured(
    worth: dict[str, float], pairs: dict[tuple[str, str], float] | None = None, sd: float = 0.0, seed: int = 0
) -> list[float]:
    """One value a cell: 60, what each part is worth, what pairs add, and noise."""
    noise = np.random.default_rng(seed).normal(0, sd, len(cells(FIVE)))
    values = []
    for cell, error in zip(cells(FIVE), noise, strict=True):
        half = sum(worth.get(name, 0) * level / 2 for name, level in cell.items())
        half += sum(value * cell[a] * cell[b] / 2 for (a, b), value in (pairs or {}).items())
        values.append(60 + half + error)
    return values


def test_the_design_is_of_resolution_five():
    """Sixteen runs, every column balanced, and no main effect or pair in another's column."""
    design = cells(FIVE)
    assert len(design) == 16 and cell_name(design[0]) == "full" and len({cell_name(cell) for cell in design}) == 16
    main = np.array([[cell[name] for name in FIVE] for cell in design])
    pairs = np.stack([main[:, a] * main[:, b] for a, b in combinations(range(5), 2)], axis=1)
    columns = np.hstack([np.ones((16, 1)), main, pairs])
    assert (columns.T @ columns == 16 * np.eye(16)).all()
    assert (main.prod(axis=1) == 1).all() and alias(FIVE, ["stn", "se"]) == ["penalty", "drop_path", "smoothing"]


def test_three_factors_by_hand():
    assert [tuple(cell.values()) for cell in cells(["a", "b", "c"])] == [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
    effects = Factorial(cells(["a", "b", "c"]), [7, 5, 4, 2]).main_effects()
    assert [effects[name].value for name in "abc"] == [3, 2, 0] and effects["a"].df == 0
    for wrong in (["a", "b"], ["a", "b", "a"]):
        with pytest.raises(ValueError, match="three or more, each once"):
            cells(wrong)


def test_planted_effects_come_back():
    worth, pairs = {"stn": -2.0, "se": 1.0, "smoothing": 0.5}, {("stn", "se"): 0.75}
    design = Factorial(cells(FIVE), measured(worth, pairs))
    assert {name: effect.value for name, effect in design.main_effects().items()} == pytest.approx(
        dict.fromkeys(FIVE, 0) | worth
    )
    found = {pair: effect.value for pair, effect in design.interactions().items()}
    assert found.pop(("stn", "se")) == pytest.approx(0.75) and list(found.values()) == pytest.approx([0] * 9)
    # what is left over is that pair alone, +-0.375 in each run, over ten degrees of freedom
    error = (16 * 0.375**2 / 10) ** 0.5 * 2 / 4
    assert design.df == 10 and design.main_effects()["se"].se == pytest.approx(error)


def test_least_squares_gives_the_same():
    """An ordinary fit of all main effects, and its standard errors."""
    values = measured({"se": 1.0}, sd=1.0)
    levels = np.array([[1, *cell.values()] for cell in cells(FIVE)])
    slopes, squares, *_ = np.linalg.lstsq(levels, np.array(values), rcond=None)
    effects = list(Factorial(cells(FIVE), values).main_effects().values())
    assert [effect.value for effect in effects] == pytest.approx(list(2 * slopes[1:]))
    assert effects[0].se == pytest.approx(2 * (squares[0] / 10 / 16) ** 0.5)


def test_intervals_hold_what_they_promise():
    """In 95 of 100 cases the 95 % interval holds the true effect, and an effect of the detectable size is found in 80."""
    covered, found, small = [], [], []
    for seed in range(600):
        effects = Factorial(cells(FIVE), measured({"stn": 1.0}, sd=0.7, seed=seed)).main_effects()
        bounds = [effects[name].estimate() for name in FIVE]
        covered += [b.low <= true <= b.high for b, true in zip(bounds, (1, 0, 0, 0, 0), strict=True)]
        small.append(effects["stn"].detectable)
        found.append(effects["stn"].p_value < 0.05)
    assert 0.94 < np.mean(covered) < 0.96
    assert np.mean(small) == pytest.approx(1.07, abs=0.05) and 0.68 < np.mean(found) < 0.82


def test_holm_keeps_false_alarms_of_a_family_rare():
    alarms = [
        (effects_table(Factorial(cells(FIVE), measured({}, sd=1.0, seed=seed)))["p"] < 0.05).any() for seed in range(400)
    ]
    assert np.mean(alarms) < 0.08


def test_a_planted_fault_is_caught():
    """One run whose part was not taken away gives every effect a share of the error, and a wide spread says so."""
    worth = {"stn": 4.0}
    right, values = Factorial(cells(FIVE), measured(worth, sd=0.1)), measured(worth, sd=0.1)
    wrong = next(place for place, cell in enumerate(cells(FIVE)) if cell["stn"] < 0)
    values[wrong] += 4.0
    broken = Factorial(cells(FIVE), values)
    assert np.abs(broken.residuals()).argmax() == wrong
    assert broken.main_effects()["se"].se > 5 * right.main_effects()["se"].se


def test_holes_are_refused_by_name():
    design, values = cells(FIVE), measured({})
    with pytest.raises(ValueError, match=r"unbalanced: 1 runs of the others, fewer of no stn, no se;"):
        holes = [v if cell_name(cell) != "no stn, no se" else float("nan") for cell, v in zip(design, values, strict=True)]
        Factorial(design, holes)
    with pytest.raises(ValueError, match=r"unbalanced: 2 runs of the others"):
        Factorial([*design, design[0]], [*values, 60.0])
    with pytest.raises(ValueError, match="no smoothing is no cell"):
        Factorial([design[0] | {"smoothing": -1}, *design[1:]], values)
    with pytest.raises(ValueError, match="15 values, allowed: 16"):
        Factorial(design, values[1:])


def test_twice_each_is_a_design_too():
    effects = Factorial(cells(FIVE) * 2, measured({"se": 1.0}) + measured({"se": 2.0})).main_effects()
    assert effects["se"].value == pytest.approx(1.5) and effects["se"].n == 32 and effects["se"].df == 26


def test_tables_say_what_aliases_with_what():
    design = Factorial(cells(FIVE), measured({"stn": 3.0}, {("se", "penalty"): 1.0}, sd=0.2))
    table = effects_table(design).set_index("name")
    assert list(table.index) == FIVE and table.loc["stn", "p"] < 0.01 < table.loc["se", "p"] and (table["n"] == 16).all()
    pairs = interactions_table(design).set_index("name")
    assert len(pairs) == 10 and pairs["p"].idxmin() == "se x penalty"
    assert pairs.loc["se x penalty", "alias"] == "stn x drop_path x smoothing"


def test_images_are_drawn_for_all_runs_alike():
    """Of 400 images a part makes 40 right: 10 points, and the spread of a mean of so many zeros and ones."""
    design = cells(FIVE)
    scores = np.zeros((16, 400))
    scores[:, :200] = 1
    scores[:, 200:240] = [[cell["se"] > 0] for cell in design]
    found = over_images(design, scores, "se")
    assert found.value == pytest.approx(0.1) and found.sd == pytest.approx((0.1 * 0.9 / 400) ** 0.5, rel=0.05)
    assert over_images(design, scores, "stn")[:2] == (0, 0)  # whatever is drawn


# Claims


CHECK = {
    "check": "main_effect",
    "stage": "emonext",
    "factor": "stn",
    "metric": "accuracy",
    "direction": "higher",
    "subset": "test",
}
ROW = {"quote": "q", "where": "001", "page": "gallery"}


class Runs:
    """Fabricated records of the factorial of EmoNeXt, right on so many of 40 test images, and the verdict that they give."""

    def __init__(self, folder):
        self.folder, self.listed, self.records = folder, claim_rows.factorial_of("emonext"), {}

    def add(self, place: int, right: int) -> None:
        """One run; a later one of the same cell replaces it."""
        folder = self.folder / str(len(list(self.folder.iterdir())))
        self.records[place] = make_record(folder, right, name="emonext_atto", seed=self.listed.seeds[place])

    def add_all(self, right) -> None:
        """Every run, by its cell."""
        for place, cell in enumerate(self.listed.cells()):
            self.add(place, right(cell, place))

    def verdict(self, **given):
        names, rows = self.listed.systems(), []
        for place, record in self.records.items():
            seed = record.config.seed
            rows.append([names[place], "r", names[place], seed, record.config.key, record])
        table = pd.DataFrame(rows, columns=evidence.RUN_COLUMNS)
        claim = claim_rows.read_row(ROW | {"checks": [CHECK | given]}, self.listed.spelled_out("base"), "test")
        return ledger.judge(
            "x-01", claim, evidence.Evidence("synthetic", table, {}, dict.fromkeys(names, "emonext")), "behaviour"
        )


def test_a_verdict_follows_the_records(tmp_path):
    runs = Runs(tmp_path)
    runs.add_all(lambda cell, place: 28 + 4 * (cell["stn"] > 0) + place % 3)
    found = runs.verdict()
    assert (found.word, found.seeds, len(found.evidence)) == ("confirmed", 16, 16)
    assert found.measured.value == pytest.approx(4 / 40, abs=0.02) and 0 < found.parts[0].detectable < 0.1
    assert runs.verdict(direction="lower").word == "contradicted" and runs.verdict(direction="tested").word == "tested"
    assert runs.verdict(factor="se").word == "undecided"
    runs.add_all(lambda cell, place: 30 - 4 * (cell["stn"] > 0) + place % 3)
    assert runs.verdict().word == "contradicted"
    runs.records.pop(5)
    found = runs.verdict()
    assert found.is_open and found.parts[0].command == "fer-study train fer2013 emonext"
    assert found.parts[0].needs == "accuracy of 1 of 16 runs of the half factorial of emonext"


def test_a_run_with_another_seed_is_no_run_of_the_factorial(tmp_path):
    runs = Runs(tmp_path)
    runs.add_all(lambda cell, place: 30 + place % 2)
    runs.records[0] = make_record(tmp_path / "other", 40, name="emonext_atto", seed=77)
    assert runs.verdict().is_open


def test_the_family_is_all_parts(tmp_path):
    """A part that would count alone counts no more beside four others (Holm)."""
    runs = Runs(tmp_path)
    noise = np.random.default_rng(8).integers(-3, 4, 16)
    runs.add_all(lambda cell, place: int(28 + 2 * (cell["stn"] > 0) + noise[place]))
    values = [record.metrics["last_single"]["test"]["accuracy"] for record in runs.records.values()]
    p = Factorial(runs.listed.cells(), values).main_effects()["stn"].p_value
    assert 0.01 < p < 0.05 and runs.verdict().word == "undecided"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factor": "hat"}, "factor is 'hat': .* unknown part, allowed: stn, se, penalty, drop_path, smoothing"),
        ({"stage": "04_ablations"}, "stage is '04_ablations': .* lists no half factorial"),
        ({"metric": "beauty"}, "unknown metric 'beauty'"),
        ({"direction": "up"}, "direction is 'up'"),
    ],
)
def test_a_wrong_check_is_refused(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        Runs(tmp_path).verdict(**given)


def test_the_cells_of_claims_are_those_of_the_stage():
    listed, stage = claim_rows.factorial_of("emonext"), stages.read_stage("fer2013", "emonext")
    assert listed.cells() == stage.cells() and listed.seeds == stage.seeds and listed.factors == stage.factors
    with pytest.raises(InputError, match="emonext: seeds are 2, allowed: 16, one a run of the half factorial of stn, se"):
        stages.check_stage("emonext", dict(stage) | {"seeds": [0, 1], "arms": {}}).cells()


def test_parts_that_work_together_are_taken_apart_on_the_page_of_initial_weights(tmp_path, monkeypatch):
    """What ImageNet adds, with a frozen epoch and without, from the files of the eight runs: two against two."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path))
    given = yaml.safe_load((ROOT / "params" / "fer2013" / "initial_weights.yaml").read_text(encoding="utf-8"))
    page = run_notebook("initial_weights", {"edition": "fer2013"} | given)
    scores = {}
    for path in (ROOT / "results").glob("*/config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["kind"] != "RunConfig" or config["model"]["name"] != "hybrid_lite" or config["name"] not in page["names"]:
            continue
        parts = ("no imagenet" not in config["name"], "no phases" not in config["name"])
        right = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))["last_single"]["test"]["accuracy"]
        scores.setdefault(parts, []).append(right)
    assert {parts: len(found) for parts, found in scores.items()} == dict.fromkeys(product((True, False), repeat=2), 2)
    assert set(page["pair"]) == {"imagenet", "phases"}
    within = np.sqrt(sum(np.var(found, ddof=1) for found in scores.values()) / 4)  # on 4 degrees of freedom
    for phases, level in ((True, 1), (False, -1)):
        added = np.mean(scores[True, phases]) - np.mean(scores[False, phases])
        found = page["adds"]("imagenet", level)
        assert found.value == pytest.approx(added)
        assert found.high - found.value == pytest.approx(2.776445 * within)
