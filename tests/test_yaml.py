"""What people write in parameters and recipes is read as they mean it, or refused in one line."""

from __future__ import annotations

import shutil

import pytest

from fer_study import cli
from fer_study.book import execute
from fer_study.jobs import editions, stages
from fer_study.settings import experiment, recipes

LEVELS = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10))])
UNCLEAR = ["010", "-010", "08", "0_1", "1_0", "0o10", "0b10", "1:30", "1:30:00"]


@pytest.fixture
def params(tmp_path, monkeypatch, runs_folder):
    """A copy of ``params/`` that a test may spoil."""
    shutil.copytree(experiment.PARAMS, tmp_path / "params")
    for module in (stages, editions, recipes, experiment, execute):
        monkeypatch.setattr(module, "PARAMS", tmp_path / "params")
    for function in (editions.editions, editions.load_edition, stages.parameters):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "params",))
    monkeypatch.setattr(recipes.load_recipe, "__defaults__", (tmp_path / "params" / "recipes",))
    return tmp_path / "params"


@pytest.fixture
def refused(caplog):
    """Run a command that is refused in one line, which holds the words."""

    def check(*arguments: str, words: tuple[str, ...]) -> None:
        caplog.clear()
        assert cli.main(list(arguments)) == 2
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert "\n" not in line and len(line) < 500 and all(word in line for word in words), line

    return check


def test_a_message_says_line_and_column_of_the_file_alone(params, refused, caplog):
    path = params / "smoke" / "edition.yaml"
    path.write_text("data: [1")
    refused("plan", "smoke", words=(f"{path}: ", "line 1, column 9"))
    assert "unicode string" not in caplog.text


@pytest.mark.parametrize("number", UNCLEAR)
@pytest.mark.parametrize("command", ["plan", "execute"])
def test_a_number_of_several_meanings_is_refused(runs_folder, refused, command, number):
    refused(command, "smoke", "02", "-p", "seeds", f"[{number}]", words=("-p seeds", number))


@pytest.mark.parametrize("number", UNCLEAR)
def test_so_it_is_in_files(params, refused, number):
    for path, old in ((params / "smoke" / "02_class_weighting.yaml", "[0]"), (params / "recipes" / "smoke.yaml", "64")):
        before = path.read_text()
        path.write_text(before.replace(old, number))
        refused("plan", "smoke", words=(str(path), number))
        path.write_text(before)


def test_in_quotes_it_is_text(params, capsys):
    path = params / "smoke" / "edition.yaml"
    path.write_text(path.read_text().replace("title: smoke", "title: '010'"))
    assert cli.main(["plan", "smoke", "03"]) == 0 and editions.load_edition("smoke", params).title == "010"


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "y", "2024-01-01", ".inf", ".nan"])
def test_words_are_words(params, refused, word):
    path = params / "smoke" / "edition.yaml"
    path.write_text(path.read_text().replace("title: smoke", f"title: {word}"))
    assert editions.load_edition("smoke", params).title == word
    refused(
        "plan", "smoke", "02", "-p", "arms", f"{{x: {{loss.class_weights: {word}}}}}", words=("class_weights", repr(word))
    )
    refused("plan", "smoke", "03", "-p", "baseline", word, words=("baseline", repr(word), "bool"))
    refused("plan", "smoke", "01", "-p", "near_threshold", word, words=("near_threshold", repr(word), "number"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEVELS, ("*a0",)),
        ("source: " + "[" * 5000, ("20",)),
        ("source: " + "{a: " * 5000, ("20",)),
        ("batch_size: 64\nbatch_size: 32", ("batch_size", "twice")),
        ("batch_size: !!python/object/apply:os.getcwd []", ("tag",)),
        ("batch_size: !!binary aGk=", ("tag",)),
        ("batch_size: " + "9" * 5000, ()),
        ("batch_size: 1e999", ()),
        ("source: [", ()),
        ("- a\n- b", ("list",)),
    ],
)  # fmt: skip
def test_a_file_that_hides_its_values_is_refused(params, refused, text, words):
    path = params / "recipes" / "tea.yaml"
    path.write_text(text)
    refused("plan", "smoke", "02", "-p", "recipes", "[tea]", words=(str(path), *words))


def test_a_file_in_another_encoding_is_refused(params, refused):
    path = params / "recipes" / "tea.yaml"
    path.write_bytes("source: Müller".encode("latin-1"))
    refused("plan", "smoke", "02", "-p", "recipes", "[tea]", words=(str(path), "UTF-8"))
    path.unlink()
    path.mkdir()
    refused("plan", "smoke", "02", "-p", "recipes", "[tea]", words=(str(path),))


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        ("zoom: [1.2, 0.9]", ("zoom", "1.2", "0.9")),
        ("zoom: [-0.9, 1.2]", ("zoom", "-0.9")),
        ("brightness: [-1, 2]", ("brightness", "-1")),
        ("contrast: [0, 1]", ("contrast", "0")),
        ("crop_area: [0.8, 1.1]", ("crop_area", "1.1")),
        ("crop_area: [1.0, 0.8]", ("crop_area", "0.8")),
        ("crop_area: [0.0, 0.8]", ("crop_area", "0.0")),
        ("crop_ratio: [1.3, 0.7]", ("crop_ratio", "0.7")),
        ("zoom: [1.0, 1e999]", ("zoom", "inf")),
        ("mean: 1e999", ("mean", "inf")),
    ],
)
def test_a_range_goes_from_its_least_to_its_greatest(params, refused, augment, words):
    text = (params / "recipes" / "smoke.yaml").read_text()
    start = text.index("augment:")
    rest = text[text.index("\n", start) :]
    path = params / "recipes" / "tea.yaml"
    path.write_text(f"{text[:start]}augment: {{{augment}}}{rest}")
    refused("plan", "smoke", "02", "-p", "recipes", "[tea]", words=(str(path), *words))
    path.write_text(f"{text[:start]}augment: {{zoom: [1, 1], crop_area: [1, 1], brightness: [0.5, 2]}}{rest}")
    assert cli.main(["plan", "smoke", "02", "-p", "recipes", "[tea]"]) == 0, "an end may be the other"


def test_a_seed_that_no_generator_takes_is_refused(runs_folder, refused):
    refused("plan", "smoke", "02", "-p", "seeds", "[9223372036854775808]", words=("seed", "9223372036854775808"))
