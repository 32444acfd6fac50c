"""The gallery: the experiments that ship with OptLab, each with a picture of its result."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from optlab.experiment.presets import Preset, presets
from optlab.gui import theme
from optlab.gui.geometry import resize_to_screen
from optlab.gui.plain_text import PlainLabel, plain

_PICTURE = QSize(256, 144)
_PRESET = Qt.ItemDataRole.UserRole + 1


class GalleryDialog(QDialog):
    """Pictures from which the user selects an experiment.

    Signals: ``openRequested(object, bool)``: file of the preset to show in the editor, and whether
    to start it at once.
    """

    openRequested = Signal(object, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Gallery of experiments")
        resize_to_screen(self, 1180, 780)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search titles, descriptions, data sets, optimizers…")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search the gallery")
        self.pictures = QListWidget()
        self.pictures.setAccessibleName("Experiments")
        self.pictures.setViewMode(QListView.ViewMode.IconMode)
        self.pictures.setResizeMode(QListView.ResizeMode.Adjust)
        self.pictures.setMovement(QListView.Movement.Static)
        self.pictures.setIconSize(_PICTURE)
        self.pictures.setGridSize(QSize(_PICTURE.width() + 20, _PICTURE.height() + 46))
        self.pictures.setWordWrap(True)
        for preset in presets():
            item = QListWidgetItem(preset.title)
            item.setData(_PRESET, preset)
            item.setToolTip(plain(preset.sentence))
            # Wide enough for the picture, high enough for two lines of text.
            item.setSizeHint(self.pictures.gridSize())
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            self.pictures.addItem(item)
        self.title = PlainLabel("")
        self.title.setObjectName("tileTitle")
        self.message = PlainLabel("")
        self.message.setWordWrap(True)
        self.message.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.open_button = QPushButton("Open")
        self.open_button.setToolTip("Show this experiment in the editor")
        self.start_button = QPushButton("Open and start")
        self.start_button.setObjectName("primary")
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)

        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.start_button)
        buttons.addWidget(closing)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self.search)
        layout.addWidget(self.pictures, 1)
        layout.addWidget(self.title)
        layout.addWidget(self.message)
        layout.addLayout(buttons)
        self.search.textChanged.connect(self._search)
        self.pictures.currentItemChanged.connect(lambda _now, _before: self._show())
        self.pictures.itemDoubleClicked.connect(lambda _item: self._open(False))
        self.open_button.clicked.connect(lambda: self._open(False))
        self.start_button.clicked.connect(lambda: self._open(True))
        self._draw()
        self.pictures.setCurrentRow(0)

    def chosen(self) -> Preset | None:
        """Return the selected preset, or None while none is shown."""
        item = self.pictures.currentItem()
        if item is None or item.isHidden():
            return None
        preset: Preset = item.data(_PRESET)
        return preset

    def choose(self, name: str) -> None:
        """Select the preset of this name."""
        for item in self._items():
            if item.data(_PRESET).name == name:
                self.pictures.setCurrentItem(item)

    def changeEvent(self, event: QEvent) -> None:  # Qt's name
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "pictures"):
            self._draw()

    def _items(self) -> list[QListWidgetItem]:
        return [self.pictures.item(row) for row in range(self.pictures.count())]

    def _draw(self) -> None:
        ground = "dark" if theme.current() is theme.DARK else "light"
        for item in self._items():
            picture = QPixmap(str(item.data(_PRESET).picture(ground)))
            icon = QIcon(picture)
            # Qt would tint the picture of a selected item.
            icon.addPixmap(picture, QIcon.Mode.Selected)
            item.setIcon(icon)

    def _search(self) -> None:
        terms = self.search.text().casefold().split()
        for item in self._items():
            preset: Preset = item.data(_PRESET)
            text = "\n".join(
                (
                    preset.name,
                    preset.title,
                    preset.sentence,
                    preset.see,
                    preset.dataset,
                    preset.optimizer,
                )
            ).casefold()
            item.setHidden(not all(term in text for term in terms))
        if self.chosen() is None:
            first = next((item for item in self._items() if not item.isHidden()), None)
            if first is not None:
                self.pictures.setCurrentItem(first)
        self._show()

    def _show(self) -> None:
        preset = self.chosen()
        self.open_button.setEnabled(preset is not None)
        self.start_button.setEnabled(preset is not None)
        self.title.setText(preset.title if preset else "No experiment contains all search terms.")
        self.message.setText(f"{preset.sentence} What to see: {preset.see}" if preset else "")

    def _open(self, start: bool) -> None:
        preset = self.chosen()
        if preset is not None:
            self.openRequested.emit(preset.path, start)
            self.accept()
