"""Treadmill tags in the videos of a take."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from calibration.placing.tags import TagViews, find_tags
from labsys.capture.tags import TagSet
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.video import VideoInfo, read_gray_frames

_PICTURES = 12
_FIRST_FRAMES = 120  # tags do not move; what is hidden at first is not waited for


def look_for_tags(
    videos: Mapping[str, Path], infos: Mapping[str, VideoInfo], tags: TagSet, board: Board, *, progress: Progress
) -> TagViews:
    """Find the tags in some of the first pictures of every video.

    Raises:
        InputError: an unreadable video, or tags that the board carries too.
    """
    if tags.dictionary == board.dictionary and min(t.id for t in tags.tags) < board.n_markers:
        raise InputError(
            f"board and tags both have tag {min(t.id for t in tags.tags)} of {tags.dictionary}",
            where=tags.name,
            remedy="Give the tags ids that the board does not use, or another dictionary",
        )
    progress.stage("find the tags", len(videos))
    found = []
    for camera, path in videos.items():
        step = max(1, min(infos[camera].n_frames, _FIRST_FRAMES) // _PICTURES)
        found.append(find_tags(islice(read_gray_frames(path), 0, _FIRST_FRAMES, step), tags))
        progress.advance()
    return TagViews(tuple(videos), tuple(t.id for t in tags.tags), np.stack(found))
