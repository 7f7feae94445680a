"""What may be written after `labsys calibrate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """Who solves the rig."""

    LABSYS = "labsys"
    ANIPOSE = "anipose"


class LensName(StrEnum):
    """Which lens model is solved where no lenses are given."""

    PINHOLE = "pinhole"
    FISHEYE = "fisheye"


TakeArgument = Annotated[
    str | None,
    typer.Argument(metavar="TAKE", help="SUBJECT/SESSION/TRIAL, a calibration's name, or a take's folder."),
]
VideosOption = Annotated[list[str] | None, typer.Option("--videos", metavar="CAM=PATH …", help="One video per camera.")]
BoardOption = Annotated[
    str | None, typer.Option("--board", metavar="FILE", help="Board file, or name of one in the lab's boards/.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Gets calibration.toml, report.json and report.html.")
]
TimestampsOption = Annotated[
    Path | None,
    typer.Option("--timestamps", metavar="FILE", help="CSV cam_id,frame_time[,frame] in s, free-running cameras."),
]
IntrinsicsOption = Annotated[
    Path | None,
    typer.Option("--intrinsics", metavar="FILE", help="Lenses: Anipose, Caliscope or OpenCV; else from the videos."),
]
EngineOption = Annotated[EngineName, typer.Option("--engine")]
LensModelOption = Annotated[LensName, typer.Option("--lens-model", help="Of lenses that are solved from the videos.")]
KnownLengthOption = Annotated[
    list[Path] | None,
    typer.Option("--known-length", metavar="FILE …", help="YAML: name, length_m, ends_px; checks the scale."),
]
WorldAxesOption = Annotated[
    str | None,
    typer.Option(
        "--world-axes",
        metavar="forward=+x,up=-y",
        help="How the first camera (x right, y down, z ahead) stands in the room.",
    ),
]
BeltBoardOption = Annotated[
    str | None,
    typer.Option(
        "--belt-board",
        metavar="forward:FROM-TO",
        help="The board lies on the belt in these frames, its columns run forward, backward, left or right.",
    ),
]
LabPointsOption = Annotated[
    Path | None,
    typer.Option("--lab-points", metavar="FILE", help="YAML: marked points of belt or floor, lab_m and px."),
]
TagsOption = Annotated[
    str | None, typer.Option("--tags", metavar="FILE", help="The treadmill's tags, or their name in tags/.")
]
SurveyTagsOption = Annotated[
    Path | None, typer.Option("--survey-tags", metavar="FILE", help="New file for the poses of --tags in this LAB.")
]
FeetOption = Annotated[
    str | None,
    typer.Option("--feet", metavar="TRIAL", help="A run in these cameras: places LAB, or checks where it is."),
]
LevelBoardOption = Annotated[
    str | None,
    typer.Option("--level-board", metavar="FROM-TO", help="The board lies levelled in these frames: gravity."),
]
PlumbLineOption = Annotated[
    Path | None, typer.Option("--plumb-line", metavar="FILE", help="YAML: top_px, bottom_px per camera: gravity.")
]
BeltLevelSdOption = Annotated[
    float | None, typer.Option("--belt-level-sd", metavar="DEG", help="How well the belt is levelled, if known.")
]
RigOption = Annotated[
    str | None, typer.Option("--rig", metavar="FILE", help="Rig file of these cameras, or its name in rigs/.")
]
OverrideOption = Annotated[
    str | None, typer.Option("--override", metavar="REASON", help="Go on after a refusal; stays on record.")
]
SaveOption = Annotated[
    str | None, typer.Option("--save", metavar="LABEL", help="Keep it and its take in the lab's calibrations/ too.")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Only say whether a calibration still holds, from one sweep of the board.")
]
CalibrationOption = Annotated[
    str | None,
    typer.Option("--calibration", metavar="NAME", help="With --check: name or file; else the lab's latest."),
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Search all videos anew and remember nothing.")]
GradesOption = Annotated[
    Path | None,
    typer.Option("--grades", metavar="FILE", help="YAML: limits of grade A; B allows twice, C four times as much."),
]
