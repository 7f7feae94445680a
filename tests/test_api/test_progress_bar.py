"""Progress goes to a person at a terminal, one bar per camera, and to nobody else."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console
from rich.progress import Progress as RichProgress

from api.commands import progress_bar
from api.commands.progress_bar import show_progress
from api.commands.terminal import Terminal
from labsys.core.progress import CameraProgress, SilentProgress, begin_cameras


class AtTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_camera_has_its_own_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = AtTerminal()
    monkeypatch.setattr(sys, "stderr", screen)
    made: list[RichProgress] = []

    def bars(*columns: object, **settings: object) -> RichProgress:
        made.append(RichProgress(*columns, console=Console(file=screen, force_terminal=True)))  # type: ignore[arg-type]  # columns as they came
        return made[0]

    monkeypatch.setattr(progress_bar, "Progress", bars)
    with show_progress(quiet=False) as progress:
        assert isinstance(progress, CameraProgress)
        shown = begin_cameras(progress, "find the board", {"cam0": 3, "cam1": 5})
        for _ in range(3):
            shown["cam0"].advance()
        shown["cam1"].advance(2)
        assert [(t.description, t.completed, t.total) for t in made[0].tasks] == [
            ("find the board, cam0", 3, 3),
            ("find the board, cam1", 2, 5),
        ]
        progress.stage("solve the rig", 1)
        assert [t.description for t in made[0].tasks] == ["solve the rig"]
    assert "find the board, cam1" in screen.getvalue() or "solve the rig" in screen.getvalue()


@pytest.mark.parametrize(("as_json", "quiet"), [(True, False), (False, True)])
def test_a_script_sees_no_bars(monkeypatch: pytest.MonkeyPatch, as_json: bool, quiet: bool) -> None:
    monkeypatch.setattr(sys, "stderr", AtTerminal())
    with Terminal(None, as_json, quiet).progress() as progress:
        assert isinstance(progress, SilentProgress)


def test_cameras_share_a_stage_where_nothing_shows_more() -> None:
    steps: list[int] = []

    class Plain:
        def stage(self, name: str, total: int) -> None:
            steps.append(total)

        def advance(self, steps_done: int = 1) -> None:
            steps.append(steps_done)

    shown = begin_cameras(Plain(), "look", {"cam0": 2, "cam1": 3})
    shown["cam1"].advance()
    assert steps == [5, 1]
