"""Scenes: files that are checked before an audience sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from optlab.core import paths, registry, toml
from optlab.core.errors import InvalidInput
from optlab.experiment import presets
from optlab.studies.comparison import shipped as shipped_studies
from optlab.tasks.scenes import shipped
from optlab.tasks.scenes.reading import from_dict, load, named
from optlab.tasks.scenes.scene import DemonstrationScene, RaceScene, RunScene

NAMES = sorted(path.stem for path in paths.scenes().glob("*.toml"))

RUN = """
title = "Digits"
text = "What is seen."
say = "What is said."
order = 7
[run]
base = "digits-mlp"
[run.set]
optimizer = { name = "adam", lr = 0.002 }
budget = { steps = 12 }
[show]
tiles = ["loss", "error"]
pace = 5
y = "log"
[predict]
prompt = "How far does it fall?"
curve = "train_loss"
low = 0.1
high = 3.0
"""
RACE = """
title = "Race"
[race]
surface = { name = "saddle" }
steps = 5
[[race.methods]]
label = "Descent"
start = [0.5, 0.25]
optimizer = { name = "sgd", lr = 0.1 }
[[race.methods]]
start = [1, 1]
optimizer = { name = "momentum" }
clipping = { name = "norm", threshold = 1.0 }
"""


def read(document: str, folder: Path = Path()) -> object:
    return from_dict(toml.parse(document), folder / "mine.toml")


@pytest.mark.parametrize("name", NAMES)
def test_that_every_shipped_scene_is_valid_and_says_what_it_shows(name: str) -> None:
    scene = named(name)
    assert scene.text.endswith(".") and scene.say, "text and say are for the two who read them"
    assert 10 < len(scene.text) <= 300, "more cannot be read from the last row"
    if not isinstance(scene.content, DemonstrationScene):
        assert scene.show.tiles


def test_that_the_shipped_scenes_play_the_figures_of_the_chapter() -> None:
    figures = {scene.figure for scene in shipped.scenes()}
    assert figures >= {"4.1", "4.2", "4.5", "8.1", "8.3", "8.4", "8.5"}
    assert len(NAMES) >= 20


def test_that_no_scene_has_the_name_of_something_else_that_can_be_shown() -> None:
    others = {name for kind in registry.kinds() for name in registry.names(kind)}
    others |= {path.stem for path in (*presets.files(), *shipped_studies.files())}
    assert not others & set(NAMES)


def test_that_a_run_is_a_preset_with_changes() -> None:
    scene = read(RUN)
    assert isinstance(scene.content, RunScene)
    experiment = scene.content.experiment
    assert (experiment.optimizer.name, experiment.optimizer.lr) == ("adam", 0.002)
    assert experiment.budget.steps == 12 and experiment.model.hidden == (64,)
    assert scene.show.tiles == ("loss", "error") and scene.show.pace == 5
    assert scene.predict is not None and (scene.predict.low, scene.predict.high) == (0.1, 3.0)


def test_that_a_race_has_its_methods_with_what_is_left_out() -> None:
    content = read(RACE).content
    assert isinstance(content, RaceScene)
    first, second = content.methods
    assert (first.label, second.label) == ("Descent", "momentum")
    assert (first.clipping["name"], second.clipping["name"]) == ("none", "norm")
    assert (first.color, second.color) == (0, 1) and second.start == (1.0, 1.0)


def test_that_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[dataset]\nname = "iris"\n[model]\nname = "linear"\n')
    (tmp_path / "shot.png").write_bytes(b"png")
    (tmp_path / "scene.toml").write_text('title = "Mine"\n[run]\nbase = "own.toml"\n')
    assert load(tmp_path / "scene.toml").content.experiment.dataset.name == "iris"
    (tmp_path / "scene.toml").write_text('title = "Mine"\npicture = "shot.png"\n')
    assert load(tmp_path / "scene.toml").content.picture == tmp_path / "shot.png"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (RUN.replace('title = "Digits"', ""), "title is missing"),
        (RUN.replace("title =", "titel ="), "did you mean title?"),
        (RUN.replace("digits-mlp", "digits-mpl"), "did you mean digits-mlp?"),
        (RUN.replace("lr = 0.002", "lr = -1.0"), "optimizer.lr is -1.0"),
        (RUN.replace("pace = 5", "pace = -5"), "show.pace is -5"),
        (RUN.replace('"error"]', '"error", "path"]'), "one or two"),
        (RUN.replace("low = 0.1", "low = 0.0"), "must be above 0 on a logarithmic axis"),
        (RUN.replace("high = 3.0", "high = 0.05"), "must be above predict.low"),
        (RUN.replace("[run.set]", "[run.sett]"), "did you mean set?"),
        (RUN.replace('base = "digits-mlp"', ""), "run.base is missing"),
        (RUN.replace("order = 7", 'order = "7"'), "order is '7'"),
        (RUN.replace("order = 7", "format = 2"), "a newer OptLab"),
        (RUN + RACE.replace('title = "Race"', ""), "sets one thing going"),
        ('title = "Nothing"', "sets one thing going"),
        (RACE.replace("0.5, 0.25", "0.5"), "a point on saddle has 2 numbers"),
        (RACE.replace("[0.5, 0.25]", '["a", 1]'), "race.methods[1].start"),
        (RACE.replace('"momentum"', '"momentun"'), "did you mean momentum?"),
        (RACE.replace("steps = 5", "steps = 0"), "race.steps is 0"),
        (RACE.replace("steps = 5", "noise = nan"), "race.noise is nan"),
        (RACE + '[show]\ntiles = ["contour"]', "did you mean contours?"),
        (RACE + "[predict]\nhigh = 2.0", "Only a run can be predicted"),
        ('title = "P"\npicture = "nowhere.png"', "there is no file"),
        ('title = "P"\npicture = "scene.exe"', "a file of a kind"),
        ('title = "D"\n[demonstration]\nname = "powers"', "powers"),
    ],
)
def test_that_a_wrong_scene_is_refused_in_a_sentence(document: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(document)
    assert words in str(refused.value)
    assert str(refused.value).endswith(".")


def test_that_scenes_of_the_user_are_found_and_take_the_place_of_shipped_ones() -> None:
    folder = paths.home() / "scenes"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(RUN)
    (folder / "first-run.toml").write_text(RUN.replace('"Digits"', '"My first run"'))
    (folder / "broken.toml").write_text("title = ")
    listed = {scene.name: scene for scene in shipped.scenes()}
    assert listed["mine"].order == 7 and shipped.scenes()[0].order == 7
    assert listed["first-run"].title == "My first run" == named("first-run").title
    assert str(folder / "broken.toml") in listed["broken"].problem
    with pytest.raises(InvalidInput, match=r"broken\.toml is not a TOML file"):
        named("broken")
    with pytest.raises(InvalidInput, match="did you mean mine"):
        named("mime")
