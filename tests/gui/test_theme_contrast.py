"""Boxes that can be checked are seen in both themes, in views as well as alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QImage, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QSpinBox,
    QStyle,
    QStyleOptionButton,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)
from pytestqt.qtbot import QtBot

from optlab.gui import theme
from optlab.gui.present.projector import contrast as contrast_of
from optlab.gui.present.projector import projector_theme
from optlab.gui.studies.study_list import StudyList
from optlab.tasks.studies import StudyEntry

NEEDED = 3.0
"""Contrast of what shows a control and its state: WCAG 2.2, success criterion 1.4.11."""


@pytest.fixture
def themed(qapp: QApplication) -> Iterator[None]:
    palette = qapp.palette()
    theme.notifier().following = qapp
    yield
    theme.notifier().following = None
    theme.choose("system")
    qapp.setStyleSheet("")
    qapp.setPalette(palette)


def luminance(color: QColor) -> float:
    parts = [color.redF(), color.greenF(), color.blueF()]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(image: QImage, area: QRect) -> float:
    """The largest contrast of a pixel in an area with what surrounds the box."""
    ground = luminance(image.pixelColor(area.left() - 2, area.center().y()))
    others = [
        luminance(image.pixelColor(x, y))
        for x in range(area.left(), area.right() + 1)
        for y in range(area.top(), area.bottom() + 1)
    ]
    return max((max(ground, one) + 0.05) / (min(ground, one) + 0.05) for one in others)


def in_list(checked: Qt.CheckState) -> QListWidget:
    view = QListWidget()
    item = QListWidgetItem("item")
    item.setCheckState(checked)
    view.addItem(item)
    return view


def in_table(checked: Qt.CheckState) -> QTableWidget:
    view = QTableWidget(1, 1)
    item = QTableWidgetItem("item")
    item.setCheckState(checked)
    view.setItem(0, 0, item)
    return view


def in_tree(checked: Qt.CheckState) -> QTreeWidget:
    view = QTreeWidget()
    item = QTreeWidgetItem(["item"])
    item.setCheckState(0, checked)
    view.addTopLevelItem(item)
    return view


def box_in_view(view: QListWidget | QTableWidget | QTreeWidget) -> tuple[QImage, QRect]:
    index = view.model().index(0, 0)
    option = QStyleOptionViewItem()
    view.initViewItemOption(option)
    option.rect = view.visualRect(index)
    option.features |= QStyleOptionViewItem.ViewItemFeature.HasCheckIndicator
    area = view.style().subElementRect(
        QStyle.SubElement.SE_ItemViewItemCheckIndicator, option, view
    )
    return view.viewport().grab().toImage(), area


def box_alone(button: QCheckBox | QRadioButton) -> tuple[QImage, QRect]:
    option = QStyleOptionButton()
    button.initStyleOption(option)
    element = (
        QStyle.SubElement.SE_CheckBoxIndicator
        if isinstance(button, QCheckBox)
        else QStyle.SubElement.SE_RadioButtonIndicator
    )
    holder = button.parentWidget()
    area = button.style().subElementRect(element, option, button)
    return holder.grab().toImage(), area.translated(button.pos())


def alone(kind: type[QCheckBox | QRadioButton]) -> Callable[[Qt.CheckState], QWidget]:
    def build(checked: Qt.CheckState) -> QWidget:
        holder = QWidget()
        button = kind("box", holder)
        button.setGeometry(20, 20, 80, 24)
        button.setChecked(checked == Qt.CheckState.Checked)
        holder.resize(120, 60)
        return holder

    return build


@pytest.mark.usefixtures("themed")
@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("checked", [Qt.CheckState.Unchecked, Qt.CheckState.Checked])
@pytest.mark.parametrize(
    "build", [in_list, in_table, in_tree, alone(QCheckBox), alone(QRadioButton)]
)
def test_that_a_box_is_seen(
    qtbot: QtBot,
    name: theme.ThemeName,
    checked: Qt.CheckState,
    build: Callable[[Qt.CheckState], QWidget],
) -> None:
    theme.choose(name)
    widget = build(checked)
    qtbot.addWidget(widget)
    widget.show()
    if isinstance(widget, QListWidget | QTableWidget | QTreeWidget):
        image, area = box_in_view(widget)
    else:
        button = widget.findChild(QCheckBox) or widget.findChild(QRadioButton)
        assert isinstance(button, QCheckBox | QRadioButton)
        image, area = box_alone(button)
    assert area.width() > 8
    assert contrast(image, area) >= NEEDED


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_that_verdicts_are_read_and_told_apart_after_a_change_of_the_theme(
    qtbot: QtBot, themed: None, choice: theme.ThemeName
) -> None:
    titles = {"supported": "good", "contradicted": "error", "undecided": "muted"}
    listed = StudyList()
    qtbot.addWidget(listed)
    listed.show_entries([StudyEntry("claim", key, key, verdict=key) for key in titles])
    theme.choose(choice)
    colors = theme.current()
    ground = luminance(QColor(colors.base))
    delegate = listed.tree.itemDelegate()
    seen = set()
    for group in range(listed.tree.topLevelItemCount()):
        parent = listed.tree.topLevelItem(group)
        assert parent is not None
        for row in range(parent.childCount()):
            index = listed.tree.indexFromItem(parent.child(row), 1)
            option = QStyleOptionViewItem()
            delegate.initStyleOption(option, index)
            color = option.palette.color(QPalette.ColorRole.Text)
            assert color == QColor(getattr(colors, titles[index.data()]))
            one, two = sorted((ground, luminance(color)))
            assert (two + 0.05) / (one + 0.05) >= 4.5, "contrast of text: WCAG 2.2, 1.4.3"
            seen.add(color.name())
    assert len(seen) == len(titles)


@pytest.mark.usefixtures("themed")
@pytest.mark.qt_log_ignore("does not support", extend=True)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_that_the_choices_of_a_box_are_read(qtbot: QtBot, name: theme.ThemeName) -> None:
    theme.choose(name)
    box = QComboBox()
    box.addItems(["first", "second", "third"])
    qtbot.addWidget(box)
    box.show()
    box.showPopup()
    view = box.view()
    second = view.model().index(1, 0)
    qtbot.waitUntil(lambda: view.viewport().height() > view.visualRect(second).bottom())
    row = view.visualRect(second).intersected(view.viewport().rect())
    shown = view.viewport().grab().toImage()
    ground = shown.pixelColor(row.right() - 3, row.center().y())
    assert ground.name() == theme.current().base
    area = row.adjusted(3, 2, -3, -2)
    assert contrast(shown, area) >= 4.5, "the text of a choice"
    box.hidePopup()


@pytest.mark.usefixtures("themed")
def test_that_all_fields_of_a_form_are_as_high(qtbot: QtBot, qapp: QApplication) -> None:
    theme.choose("light")
    before = qapp.style().name()
    qapp.setStyle("Fusion")
    form = QWidget()
    qtbot.addWidget(form)
    rows = QFormLayout(form)
    fields = [QLineEdit("0.1"), QSpinBox(), QComboBox(), QDoubleSpinBox()]
    for field in fields:
        rows.addRow("Row", field)
    form.show()
    heights = {type(field).__name__: field.height() for field in fields}
    qapp.setStyle(before)
    assert max(heights.values()) - min(heights.values()) <= 1, heights


@pytest.mark.parametrize("name", ["LIGHT", "DARK", "projector"])
def test_that_faint_curves_are_seen(name: str) -> None:
    """Less on a light background, where they are drawn beside strong ones only."""
    themes = {"LIGHT": theme.LIGHT, "DARK": theme.DARK, "projector": projector_theme(dark=True)}
    colors = themes[name].plots
    needed = 1.5 if name == "LIGHT" else 2.0
    for index in range(len(colors.palette)):
        faint = colors.faint(index)
        assert contrast_of(faint, colors.background) >= needed
        assert faint != colors.curve(index)
