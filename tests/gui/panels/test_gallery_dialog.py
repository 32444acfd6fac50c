"""The gallery: every preset with a picture, to search and to open."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from optlab.experiment.presets import presets
from optlab.gui import theme
from optlab.gui.panels.gallery_dialog import GalleryDialog


@pytest.fixture
def gallery(qtbot: QtBot) -> GalleryDialog:
    gallery = GalleryDialog()
    qtbot.addWidget(gallery)
    gallery.show()
    return gallery


def visible(gallery: GalleryDialog) -> list[str]:
    return [item.text() for item in gallery._items() if not item.isHidden()]


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_that_every_preset_has_a_picture_with_something_on_it(ground: str) -> None:
    for preset in presets():
        picture = QImage(str(preset.picture(ground)))
        assert not picture.isNull(), (
            f"{preset.name} has no picture: make pictures ARGS={preset.name}"
        )
        assert (picture.width(), picture.height()) == (512, 288)
        colors = {picture.pixel(x, y) for x in range(0, 512, 3) for y in range(0, 288, 3)}
        assert len(colors) > 4, f"the picture of {preset.name} is empty"


def test_that_no_picture_is_left_of_a_preset_that_is_gone() -> None:
    wanted = {preset.picture(ground) for preset in presets() for ground in ("light", "dark")}
    assert set(presets()[0].picture("light").parent.glob("*")) == wanted


def test_that_the_gallery_shows_all_presets(gallery: GalleryDialog) -> None:
    assert len(presets()) >= 15
    assert visible(gallery) == [preset.title for preset in presets()]
    assert all(not item.icon().isNull() for item in gallery._items())


def test_that_the_search_looks_at_what_there_is_to_see(gallery: GalleryDialog) -> None:
    gallery.search.setText("spirals BLURRED")
    assert visible(gallery) == ["Spirals · continuation, blurred first"]
    assert gallery.chosen() is not None and gallery.chosen().name == "continuation-blur"  # type: ignore[union-attr]
    gallery.search.setText("there is no such thing")
    assert gallery.chosen() is None
    assert not gallery.open_button.isEnabled() and not gallery.start_button.isEnabled()
    gallery.search.clear()
    assert len(visible(gallery)) == len(presets())


@pytest.mark.parametrize("start", [False, True])
def test_that_a_preset_is_opened_and_started(
    qtbot: QtBot, gallery: GalleryDialog, start: bool
) -> None:
    requested: list[tuple[Path, bool]] = []
    gallery.openRequested.connect(lambda path, start: requested.append((path, start)))
    gallery.choose("moons-mlp")
    (gallery.start_button if start else gallery.open_button).click()
    assert [(path.stem, flag) for path, flag in requested] == [("moons-mlp", start)]
    assert not gallery.isVisible()


def test_that_pictures_follow_the_theme(gallery: GalleryDialog) -> None:
    def corner() -> int:
        return gallery._items()[0].icon().pixmap(256, 144).toImage().pixelColor(4, 4).lightness()

    try:
        theme.choose("dark")
        gallery._draw()
        assert corner() < 80
        theme.choose("light")
        gallery._draw()
        assert corner() > 200
    finally:
        theme.choose("system")
