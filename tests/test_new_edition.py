"""`fer-study new`: the parameters of an edition on data of one's own."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
import yaml
from PIL import Image

from fer_study.cli import main
from fer_study.jobs import editions, new_edition, stages
from fer_study.jobs.obstacles import obstacles
from fer_study.settings.checkout import CHECKOUT

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Editions of one's own go to a folder of this test; class folders without votes lie in place."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in CLASSES:
            folder = tmp_path / "faces" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / f"{i}.png")
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path / "faces"))
    for module in (editions, new_edition):
        monkeypatch.setattr(module, "OWN", tmp_path / "params")
    return tmp_path / "params"


@pytest.mark.parametrize("like", ["smoke", "fer2013"])
def test_an_edition_of_ones_own_has_the_stages_that_its_data_can_serve(place, like, caplog):
    caplog.set_level("INFO")
    assert main(["new", "mine", "--like", like]) == 0
    written = {path.stem for path in (place / "mine").glob("*.yaml")}
    assert {"edition", "01_dataset_audit", "02_class_weighting", "03_model_comparison", "04_ablations"} <= written
    assert written.isdisjoint({"05_label_distribution", "06_cross_dataset", "resface", "00_claims", "gallery", "twin"})
    assert "left out: 05_label_distribution: it is about the votes" in caplog.text
    assert "left out: 06_cross_dataset: it needs a second dataset" in caplog.text
    jobs = stages.edition_jobs("mine")
    fingerprints = {one.fingerprint for job in jobs for one in job.data()}
    assert len(jobs) > 10 and {one.dataset for job in jobs for one in job.data()} == {"folders"}
    assert fingerprints == {editions.load_edition("mine").data.fingerprint}, "none is of the edition that was copied"
    assert obstacles(jobs) == {}, "each of its runs can be made"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["fer2013"], "is there already"),
        (["../mine"], "allowed are letters, digits, - and _"),
        (["mine", "--like", "nowhere"], "unknown edition 'nowhere'"),
        (["mine", "--dataset", "nowhere"], "unknown dataset 'nowhere'"),
        (["mine", "--dataset", "rafdb"], "rafdb"),
    ],
)
def test_what_cannot_be_an_edition_is_refused_and_nothing_is_written(place, given, words, caplog):
    assert main(["new", *given]) == 2
    assert words in caplog.text and "\n" not in caplog.records[-1].getMessage()
    assert not place.exists() or not any(place.iterdir())


def test_an_edition_is_not_written_twice(place, caplog):
    assert main(["new", "mine", "--like", "smoke"]) == 0 and main(["new", "mine"]) == 2
    assert "is there already" in caplog.text


@pytest.mark.parametrize("document", ["README.md", "book/bring.md"])
def test_the_commands_for_other_data_work_as_they_are_printed(place, document, capsys):
    """With class folders in place of what its owners give on request; no published run is taken for one of this data."""
    text = (CHECKOUT / document).read_text(encoding="utf-8").replace("--dataset rafdb", "")
    commands = [shlex.split(line, comments=True) for line in re.findall(r"(?m)^fer-study ((?:new|plan) .*)", text)]
    (made,) = [name for command, name, *_ in commands if command == "new" and name in ("rafdb", "mine")]
    for command in (command for command in commands if made in command):
        assert main(command) == 0, command
    rows = capsys.readouterr().out.splitlines()
    published = [row for row in rows if row.endswith(" published   0 s")]
    assert [row for row in published if "gallery" not in row] == [], "only what a network costs is the same on any data"
    assert any(" missing " in row for row in rows)


PARAMETERS = """\
model: fer48  # of both
small_arms:
  none: {}
  # of one class
  more: {sampling.rare: disgust, sampling.times: 3}  # three times
  balanced: {sampling.balanced: true}
  head: {loss.votes_weight: 1.0}
  drawn: {data.generated: drawn}
drawn: {target_class: disgust, images: 8, judge: shipped}
"""


def test_arms_that_other_data_cannot_serve_are_left_out():
    """With their comments where an arm is a line; written anew where it is not."""
    without = new_edition.served(PARAMETERS, ("votes",))
    assert "head" not in without and "# three times" in without and "more: " in without
    assert "judge: self" in without, "no other model judges the faces of other data"
    named = new_edition.served(PARAMETERS, (*new_edition.OF_NAMES, "votes"))
    assert "model: fer48  # of both" in named and "# of one class" not in named
    assert yaml.safe_load(named)["small_arms"] == {"none": {}, "balanced": {"sampling.balanced": True}}
    unfolded = "arms:\n  none: {}\n  votes:\n    data.targets: votes\n  plain: {flip: 0.5}\n"
    assert yaml.safe_load(new_edition.served(unfolded, ("votes",)))["arms"] == {"none": {}, "plain": {"flip": 0.5}}
