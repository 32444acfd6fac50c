"""A scene that is a picture."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy

from optlab.gui.plots.colors import PlotColors
from optlab.gui.present.player import Player
from optlab.tasks.scenes.scene import PictureScene


class PicturePlayer(Player):
    """Shows a picture as large as it fits.

    Args:
        content: the picture.
    """

    def __init__(self, content: PictureScene) -> None:
        super().__init__()
        self._picture = QPixmap(str(content.picture))
        self.label = QLabel()
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.label.setAccessibleName(f"Picture {content.picture.stem}")
        self._row.addWidget(self.label)
        if self._picture.isNull():
            self.label.setTextFormat(Qt.TextFormat.PlainText)
            self.label.setWordWrap(True)
            self.label.setText(f"{content.picture} is not a picture that can be shown.")

    def toggle(self) -> None:
        """Do nothing: a picture stands still."""

    def again(self) -> None:
        """Do nothing: a picture stands still."""

    def set_colors(self, colors: PlotColors) -> None:
        """Do nothing: a picture has its own colors."""

    def resizeEvent(self, event: QResizeEvent) -> None:  # Qt's name
        super().resizeEvent(event)
        if not self._picture.isNull():
            ratio = self.devicePixelRatioF()
            scaled = self._picture.scaled(
                self.size() * ratio,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            scaled.setDevicePixelRatio(ratio)
            self.label.setPixmap(scaled)
