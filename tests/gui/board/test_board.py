"""The board: tiles are opened, closed, enlarged, floated, stacked and arranged by layouts."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from optlab.gui.board.board import Board, TileKind
from optlab.gui.board.board_layout import BoardLayout, Column, Row
from optlab.gui.runs.run_drag import mime_of

pytestmark = pytest.mark.qt_log_ignore("does not support raise", extend=True)

GRID = BoardLayout(
    "Grid",
    rows=(
        Row((Column(("a",), 1.0), Column(("b",), 3.0)), 1.0),
        Row((Column(("c", "d"), 1.0),), 2.0),
    ),
)


@pytest.fixture
def board(qtbot: QtBot) -> Board:
    board = Board()
    qtbot.addWidget(board)
    for key in "abcd":
        board.offer(TileKind(key, f"Tile {key}", "", lambda key=key: QLabel(key)))
    board.resize(800, 600)
    board.apply(GRID)
    board.show()
    qtbot.waitExposed(board)
    return board


def shown(board: Board) -> list[str]:
    return [key for key in board.keys if not board.tile(key).visibleRegion().isEmpty()]


def test_that_a_layout_gives_rows_and_columns_their_shares_at_every_size(board: Board) -> None:
    for width, height in ((800, 600), (1300, 900)):
        board.resize(width, height)
        QApplication.processEvents()
        a, b, c = (board.tile(key).geometry() for key in "abc")
        assert a.top() == b.top() == 0 and a.bottom() < c.top()
        assert b.width() == pytest.approx(3 * a.width(), abs=6)
        assert a.height() == pytest.approx(height / 3, abs=6)
        assert c.width() == pytest.approx(width, abs=2)


def test_that_tiles_of_one_column_are_stacked_with_the_first_in_front(board: Board) -> None:
    assert shown(board) == ["a", "b", "c"] and board.keys == ("a", "b", "c", "d")
    assert [dock.key for dock in board.tabifiedDockWidgets(board.tile("c"))] == ["d"]  # type: ignore[attr-defined]
    board.open("d")
    assert shown(board) == ["a", "b", "d"]


def test_that_a_tile_that_is_opened_is_seen_wherever_the_others_are(board: Board) -> None:
    for key in ("e", "f"):
        board.offer(TileKind(key, f"Tile {key}", "", lambda: QLabel("new")))
    board.open("e")
    QApplication.processEvents()
    assert shown(board) == ["a", "b", "c", "e"], "what was seen before still is"
    board.apply(BoardLayout("Stack", rows=(Row((Column(("c", "d")),)),)))
    board.open("f")
    QApplication.processEvents()
    assert shown(board) == ["f"]


def test_that_a_tile_is_closed_by_its_button_and_opened_again(board: Board, qtbot: QtBot) -> None:
    content = board.tile("b").plot
    with qtbot.waitSignal(board.closed) as closed:
        board.tile("b").close_button.click()
    assert closed.args == ["b"] and board.keys == ("a", "c", "d") and not content.isVisible()
    with qtbot.waitSignal(board.opened):
        board.open("b")
    assert board.tile("b").plot is content and content.isVisible()
    with pytest.raises(KeyError):
        board.open("no such tile")


def test_that_what_belongs_elsewhere_goes_back_when_its_tile_is_closed(
    board: Board, qtbot: QtBot
) -> None:
    lent = QLabel("lent")
    qtbot.addWidget(lent)
    back: list[QWidget] = []
    board.offer(TileKind("lent", "Lent", "", lambda: lent, back.append))
    board.open("lent")
    assert board.isAncestorOf(lent) and lent.isVisible()
    board.close_tile("lent")
    assert back == [lent] and not board.isAncestorOf(lent)
    assert board.open("lent").plot is lent


def test_that_enlarging_hides_the_others_and_brings_them_back_where_they_were(
    board: Board,
) -> None:
    before = {key: board.tile(key).geometry() for key in "abc"}
    board.tile("a").enlarge_button.click()
    QApplication.processEvents()
    assert shown(board) == ["a"] and board.enlarged == "a"
    assert board.tile("a").width() > 0.95 * board.width()
    board.tile("a").enlarge_button.click()
    QApplication.processEvents()
    assert shown(board) == ["a", "b", "c"] and board.enlarged == ""
    assert {key: board.tile(key).geometry() for key in "abc"} == before
    board.enlarge("a")
    board.open("d")
    assert board.enlarged == "" and shown(board) == ["a", "b", "d"], "a tile that is opened is seen"


def test_that_a_tile_floats_and_a_window_manager_that_closes_it_closes_the_tile(
    board: Board, qtbot: QtBot
) -> None:
    tile = board.tile("b")
    tile.setFloating(True)
    assert tile.isWindow() and tile.isVisible() and "b" in board.keys
    # As the window manager asks a window to close.
    with qtbot.waitSignal(board.closed):
        tile.close()
    assert board.keys == ("a", "c", "d")


def test_that_an_arrangement_is_restored_with_what_floats_and_its_sizes(board: Board) -> None:
    board.resizeDocks([board.tile("a")], [500], Qt.Orientation.Horizontal)
    board.tile("b").setFloating(True)
    rows, arrangement = board.arrangement()
    kept = BoardLayout("Kept", rows=(*rows, Row((Column(("b",)),))), arrangement=arrangement)
    width = board.tile("c").width()
    board.apply(BoardLayout("Other", rows=(Row((Column(("d",)),)),)))
    assert board.keys == ("d",)
    assert board.apply(kept) == []
    assert set(board.keys) == set("abcd") and board.tile("b").isFloating()
    assert board.tile("c").width() == width


def test_that_rows_are_read_from_where_tiles_are(board: Board) -> None:
    rows, _ = board.arrangement()
    assert [[column.tiles for column in row.columns] for row in rows] == [
        [("a",), ("b",)],
        [("c", "d")],
    ]
    assert rows[0].columns[1].width == pytest.approx(3 * rows[0].columns[0].width, rel=0.03)


def test_that_a_layout_with_unknown_tiles_opens_the_rest(board: Board) -> None:
    layout = BoardLayout(
        "Odd",
        rows=(Row((Column(("ghost", "d")), Column(("phantom",)))), Row((Column(("a", "d")),))),
    )
    assert board.apply(layout) == ["ghost", "phantom"]
    assert board.keys == ("d", "a") and shown(board) == ["d", "a"]


def test_that_a_double_click_on_the_heading_lets_a_tile_float(board: Board, qtbot: QtBot) -> None:
    head = board.tile("a").titleBarWidget()
    qtbot.mouseDClick(head, Qt.MouseButton.LeftButton, pos=head.rect().center())
    assert board.tile("a").isFloating()
    qtbot.mouseDClick(head, Qt.MouseButton.LeftButton, pos=head.rect().center())
    assert not board.tile("a").isFloating()


def test_that_a_separator_that_was_moved_stays_where_it_is(board: Board, qtbot: QtBot) -> None:
    a = board.tile("a")
    grip = QPoint(a.geometry().right() + 2, a.geometry().center().y())
    qtbot.mousePress(board, Qt.MouseButton.LeftButton, pos=grip)
    qtbot.mouseMove(board, grip + QPoint(150, 0))
    QApplication.processEvents()
    qtbot.mouseRelease(board, Qt.MouseButton.LeftButton, pos=grip + QPoint(150, 0))
    QApplication.processEvents()
    assert a.width() == pytest.approx(350, abs=8), "the border between the tiles was dragged"
    board.resize(880, 600)
    QApplication.processEvents()
    assert a.width() == pytest.approx(385, abs=8)


@pytest.mark.qt_log_ignore("does not support (raise|grabbing the mouse)", extend=True)
def test_that_a_tile_is_dragged_by_its_heading_beside_another_one(board: Board) -> None:
    moved, target = board.tile("a"), board.tile("c")
    head = moved.titleBarWidget()
    begin = head.mapToGlobal(QPoint(30, head.height() // 2))
    end = target.mapToGlobal(QPoint(target.width() - 10, target.height() // 2))
    none, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
    way = [begin + (end - begin) * (part / 10) for part in range(1, 11)]
    for kind, at, button, held in (
        (QEvent.Type.MouseButtonPress, begin, left, left),
        *((QEvent.Type.MouseMove, point, none, left) for point in way),
        (QEvent.Type.MouseButtonRelease, end, left, none),
    ):
        at_tile, on_screen = QPointF(moved.mapFromGlobal(at)), QPointF(at)
        event = QMouseEvent(kind, at_tile, on_screen, button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(moved, event)
        # The gap for the tile opens in a moment.
        QTest.qWait(20 if kind != QEvent.Type.MouseButtonRelease else 350)
    rows, _ = board.arrangement()
    assert [[column.tiles for column in row.columns] for row in rows] == [
        [("b",)],
        [("c", "d"), ("a",)],
    ]
    assert not moved.isFloating()


def test_that_runs_are_dropped_on_a_tile_and_nothing_else_is(board: Board, qtbot: QtBot) -> None:
    tile, dropped = board.tile("b"), []
    board.runsDropped.connect(lambda key, runs: dropped.append((key, runs)))
    others = QMimeData()
    others.setText("20260101-000000-abcd")
    runs = ["20260101-000000-aaaa", "20260101-000000-bbbb"]
    for data, taken in ((others, False), (mime_of(runs), True)):
        drag = (data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
        entered = QDragEnterEvent(QPoint(9, 60), Qt.DropAction.CopyAction, *drag)
        entered.ignore()
        QApplication.sendEvent(tile, entered)
        assert entered.isAccepted() is taken
        if taken:
            drop = QDropEvent(QPointF(9, 60), Qt.DropAction.CopyAction, *drag)
            QApplication.sendEvent(tile, drop)
    assert dropped == [("b", runs)]
