"""The catalogue dialog: all components in the order of the notes, searchable, each with its page."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QModelIndex, Qt
from pytestqt.qtbot import QtBot

from optlab.core import registry
from optlab.experiment import pages
from optlab.gui.item_models.catalogue_model import KIND, NAME, CatalogueModel, CatalogueSearch
from optlab.gui.panels.catalogue_dialog import CatalogueDialog


@pytest.fixture
def dialog(qtbot: QtBot) -> CatalogueDialog:
    dialog = CatalogueDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def shown(search: CatalogueSearch) -> set[tuple[str, str]]:
    return {(index.data(KIND), index.data(NAME)) for index in search.entries()}


def test_that_every_kind_stands_in_exactly_one_chapter() -> None:
    kinds = [kind for _, kinds in pages.chapters() for kind, _ in kinds]
    assert sorted(kinds) == sorted(registry.kinds())
    assert "More" not in dict(pages.chapters())


def test_that_the_tree_holds_every_component_once() -> None:
    search = CatalogueSearch(CatalogueModel())
    everything = {
        (kind, component.name)
        for kind in registry.kinds()
        for component in registry.components(kind)
    }
    assert shown(search) == everything
    assert len(search.entries()) == len(everything)


def test_that_chapters_come_in_the_order_of_the_notes() -> None:
    search = CatalogueSearch(CatalogueModel())
    tops = [search.index(row, 0, QModelIndex()).data() for row in range(search.rowCount())]
    assert tops == [chapter for chapter, _ in pages.chapters()]


def test_that_entries_stand_below_their_group() -> None:
    search = CatalogueSearch(CatalogueModel())
    adam = search.index_of("optimizer", "adam")
    assert adam.parent().data() == registry.get("optimizer", "adam").group
    assert adam.parent().parent().data() == "Optimizers"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("GLOROT", ("initializer", "normalized")),
        ("momentum interim point", ("optimizer", "nesterov")),
        ("zeiler", ("optimizer", "adadelta")),
    ],
)
def test_that_the_search_reads_names_rules_and_sources(text: str, first: tuple[str, str]) -> None:
    search = CatalogueSearch(CatalogueModel())
    search.search(text)
    assert first in shown(search)
    assert len(shown(search)) < 10


def test_that_all_words_have_to_be_there() -> None:
    search = CatalogueSearch(CatalogueModel())
    search.search("adam nothingofthekind")
    assert shown(search) == set()
    search.search("")
    assert ("optimizer", "adam") in shown(search)


def test_that_selecting_an_entry_shows_its_page(dialog: CatalogueDialog) -> None:
    dialog.show_entry("initializer", "orthogonal")
    assert dialog.page.page is not None and dialog.page.page.name == "orthogonal"
    assert (
        "Random orthogonal" in dialog.page.toPlainText()
        or registry.get("initializer", "orthogonal").label in dialog.page.toPlainText()
    )


def test_that_typing_narrows_the_tree_and_selects_a_match(
    qtbot: QtBot, dialog: CatalogueDialog
) -> None:
    qtbot.keyClicks(dialog.search, "saddle-free")
    qtbot.waitUntil(lambda: dialog.chosen() == ("optimizer", "saddle_free_newton"))
    assert dialog.count.text().endswith("entries")
    dialog.search.setText("nothing calledqqzz")
    qtbot.waitUntil(lambda: "No entry" in dialog.count.text())
    assert not dialog.use_button.isEnabled()


def test_that_the_return_key_asks_for_the_selected_entry(
    qtbot: QtBot, dialog: CatalogueDialog
) -> None:
    dialog.show_entry("schedule", "cosine")
    with qtbot.waitSignal(dialog.useRequested) as requested:
        qtbot.keyClick(dialog.tree, Qt.Key.Key_Return)
    assert requested.args == ["schedule", "cosine"]


def test_that_a_measure_cannot_be_put_into_the_experiment(
    qtbot: QtBot, dialog: CatalogueDialog
) -> None:
    dialog.show_entry("measure", "gradient_norm")
    assert not dialog.use_button.isEnabled()
    with qtbot.assertNotEmitted(dialog.useRequested):
        dialog._use()
