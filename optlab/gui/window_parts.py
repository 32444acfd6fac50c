"""What the main window imports after its first paint, in one place: its panels and what they need."""

from __future__ import annotations

from optlab.experiment import Experiment
from optlab.gui.before_run import BeforeRunController
from optlab.gui.beside_controller import BesideController
from optlab.gui.board.board_controller import BoardController
from optlab.gui.bridge import RunBridge, TaskBridge, WorkerPrewarmer
from optlab.gui.copied_experiment import CopiedExperiment
from optlab.gui.diagnosis_controller import DiagnosisController
from optlab.gui.dropped_files import DroppedFiles
from optlab.gui.experiment_files import ExperimentFiles
from optlab.gui.failure_notice import FailureNotice
from optlab.gui.frame_drawing import FrameDrawing
from optlab.gui.hang_notice import HangNotice
from optlab.gui.instruments.instruments_panel import InstrumentsPanel
from optlab.gui.live_changes import LiveChanges
from optlab.gui.manners.manners import Manners
from optlab.gui.model_views import ModelViewController
from optlab.gui.panels.diagnosis_panel import DiagnosisPanel
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.gui.panels.plots_panel import PlotsPanel
from optlab.gui.questions import InProgress, may_stop
from optlab.gui.recording_notice import RecordingNotice
from optlab.gui.run_controller import RunController
from optlab.gui.runs.run_drag import RunDrops
from optlab.gui.runs.runs_controller import RunsController
from optlab.gui.secondary_windows import SecondaryWindows
from optlab.gui.shown_run import ShownRun
from optlab.gui.stored_runs import StoredRuns
from optlab.gui.studies.contenders import Contenders
from optlab.gui.time_controller import TimeController
from optlab.gui.turn import Turn
from optlab.tasks.checking import CheckTask
from optlab.tasks.preview import PreviewTask

__all__ = [
    "BeforeRunController",
    "BesideController",
    "BoardController",
    "CheckTask",
    "Contenders",
    "CopiedExperiment",
    "DiagnosisController",
    "DiagnosisPanel",
    "DroppedFiles",
    "Experiment",
    "ExperimentFiles",
    "ExperimentPanel",
    "FailureNotice",
    "FrameDrawing",
    "HangNotice",
    "InProgress",
    "InstrumentsPanel",
    "LiveChanges",
    "Manners",
    "ModelViewController",
    "PlotsPanel",
    "PreviewTask",
    "RecordingNotice",
    "RunBridge",
    "RunController",
    "RunDrops",
    "RunsController",
    "SecondaryWindows",
    "ShownRun",
    "StoredRuns",
    "TaskBridge",
    "TimeController",
    "Turn",
    "WorkerPrewarmer",
    "may_stop",
]
