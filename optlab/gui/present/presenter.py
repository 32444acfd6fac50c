"""The presenter: plays the scenes for an audience, and lets the run of the window go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, Qt

from optlab.core.errors import OptLabError
from optlab.gui.bridge import WorkerPrewarmer
from optlab.gui.frame_drawing import Drawable
from optlab.gui.present.demonstration_player import DemonstrationPlayer
from optlab.gui.present.picture_player import PicturePlayer
from optlab.gui.present.player import Player
from optlab.gui.present.present_window import PresentWindow
from optlab.gui.present.race_player import RacePlayer
from optlab.gui.present.run_player import RunPlayer
from optlab.tasks.scenes import shipped
from optlab.tasks.scenes.reading import load
from optlab.tasks.scenes.scene import (
    DemonstrationScene,
    PictureScene,
    RaceScene,
    RunScene,
    Scene,
    Show,
)
from optlab.training import control, events

if TYPE_CHECKING:
    from optlab.gui.main_window import MainWindow

LIVE = Show(tiles=("loss", "path"))
"""How the run of the window is shown before the first scene."""
_ANOTHER = (
    "A run that no scene began is in progress. Press Space once more to stop and keep it, and to "
    "begin this scene."
)


class Presenter(QObject):
    """Opens the window for an audience and plays scenes in it.

    The first place is the run that the main window shows, if there is one; the scenes follow.

    Args:
        window: whose run is shown, and which trains the runs of scenes.
        prewarmer: of the workers that compute the other scenes.
    """

    def __init__(self, window: MainWindow, prewarmer: WorkerPrewarmer) -> None:
        super().__init__(window)
        self._main, self._prewarmer = window, prewarmer
        self.window: PresentWindow | None = None
        self._scenes: list[shipped.ListedScene] = []
        self._at = -1
        self._scene: Scene | None = None
        self._own_run = ""
        self._begin_next = self._confirmed = False
        self._lent: tuple[dict[str, Any], dict[str, Any]] | None = None
        bridge = window.bridge
        bridge.on(events.SessionStarted, self._session_started)
        bridge.on(events.SeriesBlock, self._take_block)
        bridge.on(events.WeightPath, self._take_path)
        bridge.on(events.ActivityChanged, self._activity_changed)
        bridge.on(events.MessageApplied, self._applied)
        bridge.on(events.RunEnded, self._run_ended)
        bridge.on(events.SessionFailed, lambda failed: self._say(failed.message))
        window.drawing.add(self._drawn_in_frames)
        bridge.sessionEnded.connect(self._session_ended)

    # --- opening and closing ----------------------------------------------------------------------

    def present(self, name: str = "", *, full_screen: bool = True) -> None:
        """Open the window, or bring it to the front.

        Args:
            name: scene to show; by default the run of the window, or the first scene.
            full_screen: whether it fills the screen.
        """
        if self.window is None:
            self._scenes = shipped.scenes()
            self.window = PresentWindow()
            self.window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.window.moved.connect(self.move)
            self.window.toggled.connect(self.toggle)
            self.window.againWanted.connect(self.again)
            self.window.stepWanted.connect(self._step)
            self.window.closed.connect(self._closed)
            screen = self._main.screen()
            self.window.setGeometry(screen.geometry())
            names = [scene.name for scene in self._scenes]
            if name in names:
                self.show_place(names.index(name))
            else:
                self.show_place(-1 if self._shows_run or not self._scenes else 0)
        else:
            if name:
                self.show_place([scene.name for scene in self._scenes].index(name))
            self.window.raise_()
        if full_screen:
            self.window.showFullScreen()
        else:
            self.window.show()
        self.window.activateWindow()

    def close(self) -> None:
        """Close the window for the audience, if it is open."""
        if self.window is not None:
            self.window.close()

    def _closed(self) -> None:
        self.window = None
        self._scene, self._begin_next = None, False
        self._put_back()

    @property
    def replaced(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The tables in the editor, and those as saved, in whose place a scene has put its own."""
        return self._lent

    @property
    def scenes(self) -> list[shipped.ListedScene]:
        """The scenes, in the order in which they are shown."""
        return list(self._scenes)

    @property
    def _shows_run(self) -> bool:
        return self._main.bridge.active or bool(self._main.time.run_id)

    # --- scenes -----------------------------------------------------------------------------------

    def move(self, places: int) -> None:
        """Show the scene so many places on; at either end, stay."""
        first = -1 if self._shows_run or not self._scenes else 0
        self.show_place(min(max(self._at + places, first), len(self._scenes) - 1))

    def show_place(self, at: int) -> None:
        """Show a scene by its index, or for −1 the run of the main window."""
        window = cast(PresentWindow, self.window)
        self._at, self._scene, self._confirmed, self._begin_next = at, None, False, False
        if at < 0:
            player = RunPlayer(LIVE, None, 0, self._requested)
            title = self._main.shown_run.name or "No run is shown"
            window.show_scene(player, title, "", "", "")
            self._follow(player)
            return
        listed = self._scenes[at]
        place = f"{at + 1} / {len(self._scenes)}"
        try:
            self._scene = scene = load(listed.path, check=False)
        except OptLabError as error:
            window.show_scene(
                RunPlayer(Show(), None, 0, self._requested), listed.title, str(error), "", place
            )
            return
        window.show_scene(self._player(scene), scene.title, self._text(scene), scene.say, place)

    @staticmethod
    def _text(scene: Scene) -> str:
        asked = "" if scene.predict is None else scene.predict.prompt
        return f"{asked} Then press Space." if asked else scene.text

    def _player(self, scene: Scene) -> Player:
        match scene.content:
            case RunScene(experiment):
                return RunPlayer(
                    scene.show, scene.predict, experiment.budget.steps, self._requested
                )
            case RaceScene() as race:
                return RacePlayer(race, scene.show, self._prewarmer)
            case DemonstrationScene() as demonstration:
                return DemonstrationPlayer(demonstration, self._prewarmer)
            case PictureScene() as picture:
                return PicturePlayer(picture)

    # --- keys -------------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, pause, or go on with what is shown."""
        if self._player_shown is not None:
            self._player_shown.toggle()

    def again(self) -> None:
        """Begin again with what is shown."""
        if self._player_shown is not None:
            self._player_shown.again()

    @property
    def _player_shown(self) -> Player | None:
        return None if self.window is None else self.window.player

    def _run_player(self) -> RunPlayer | None:
        """Return the player that shows the run in progress, or None."""
        player = self._player_shown
        shows = isinstance(player, RunPlayer) and (self._scene is None or self._is_own)
        return cast(RunPlayer, player) if shows else None

    @property
    def _is_own(self) -> bool:
        """Whether the run in progress is that of the scene that is shown."""
        return self._scene is not None and self._own_run == self._scene.name

    def _requested(self, what: str) -> None:
        """Start or pause the run of a scene, or that of the window."""
        bridge = self._main.bridge
        if self._scene is None:
            if bridge.active and what == "toggle":
                paused = self._main.controls.state == "paused"
                bridge.send(control.Resume() if paused else control.Pause())
            return
        if not bridge.active:
            self._begin()
        elif self._is_own and what == "toggle":
            paused = self._main.controls.state == "paused"
            bridge.send(control.Resume() if paused else control.Pause())
        elif self._own_run or self._confirmed:
            self._begin_next = True
            self._say("Stopping the run before…")
            bridge.send(control.Stop())
        else:
            self._confirmed = True
            self._say(_ANOTHER)

    def _step(self) -> None:
        if self._main.bridge.active and self._run_player() is not None:
            self._main.bridge.send(control.Advance(1))

    # --- the run of a scene -----------------------------------------------------------------------

    def _begin(self) -> None:
        scene = cast(Scene, self._scene)
        content = cast(RunScene, scene.content)
        panel = self._main.experiment_panel
        self._begin_next = self._confirmed = False
        try:
            if self._lent is None:
                self._lent = (panel.tables(), panel.saved())
            self._main.show_experiment(content.experiment)
        except OptLabError as error:
            self._say(str(error))
            return
        cast(RunPlayer, self._player_shown).begin()
        cast(PresentWindow, self.window).caption.setText(scene.text)
        self._own_run = scene.name
        self._main.time.disarm()
        self._say("Starting…")
        self._main.run_controller.begin((control.SetPace(scene.show.pace),))

    def _put_back(self) -> None:
        """Show the experiment that was in the editor, once no run needs it there."""
        if self._lent is None or self.window is not None or self._main.bridge.active:
            return
        (tables, saved), self._lent = self._lent, None
        panel = self._main.experiment_panel
        panel.show_tables(tables, saved)
        self._main.instruments.set_tables(panel.instruments())

    def _follow(self, player: RunPlayer) -> None:
        if self._main.time.run_id:
            player.catch_up(self._main.time.run_id, self._main.plots.values.blocks)
        if self._main.bridge.active:
            player.set_state("running")

    # --- events -----------------------------------------------------------------------------------

    def _session_started(self, started: events.SessionStarted) -> None:
        player = self._run_player()
        if player is not None:
            player.set_followed(started.tracked)
            player.set_state("running")

    def _take_block(self, block: events.SeriesBlock) -> None:
        player = self._run_player()
        if player is not None:
            player.add(block)
            self._say(f"Step {block.step:,}")

    def _take_path(self, path: events.WeightPath) -> None:
        player = self._run_player()
        if player is not None:
            player.show_path(path)

    def _activity_changed(self, changed: events.ActivityChanged) -> None:
        player = self._run_player()
        if player is not None:
            paused = changed.activity == "paused"
            player.set_state("paused" if paused else "running")

    def _applied(self, applied: events.MessageApplied) -> None:
        player = self._run_player()
        message = applied.message
        if player is not None and isinstance(message, control.SetValue) and not applied.problem:
            player.mark(applied.step, f"{message.path} {message.value:g}")

    def _run_ended(self, ended: events.RunEnded) -> None:
        player = self._run_player()
        if player is not None:
            player.refresh()
            self._say(f"{ended.status.capitalize()} after {ended.steps:,} steps.")
            difference = player.difference()
            if difference and self.window is not None:
                self.window.caption.setText(f"{self.window.caption.text()} {difference}")

    def _session_ended(self) -> None:
        player = self._run_player()
        if player is not None:
            player.set_state("ended")
        self._own_run = ""
        if self._begin_next and self._scene is not None:
            self._begin()
        self._put_back()

    def _drawn_in_frames(self) -> Sequence[Drawable]:
        player = self._run_player()
        return () if player is None else player.plots

    def _say(self, sentence: str) -> None:
        if self.window is not None:
            self.window.status.setText(sentence)
