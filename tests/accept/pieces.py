"""Long studies in pieces: a line of JSON for every answer, put together afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def read_pieces(paths: Sequence[Path], make: Callable[..., Answer], key: Callable[[Answer], Any]) -> list[Answer]:
    """Answers of all pieces in the order of their keys, each once."""
    found: dict[Hashable, Answer] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            one = make(**json.loads(line))
            found[key(one)] = one
    return sorted(found.values(), key=key)


def run_piece(arguments: Sequence[str], study: Callable[[Sequence[int]], Iterator[Any]]) -> None:
    """`FIRST LAST FILE`: the answers of these seeds, added to the file one by one."""
    first, last, path = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for one in study(range(first, last + 1)):
            file.write(json.dumps(asdict(one)) + "\n")
            file.flush()
