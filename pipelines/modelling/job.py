"""What the process that trains is told, as a file."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.modelling.recipe import TrainingRecipe


@dataclass(frozen=True)
class TrainingJob:
    """One training; paths as text.

    Attributes:
        project_config: config.yaml of the project. data: folder with COCO data. out: folder for snapshots.
        symmetries: pairs of body parts that change places in a mirror, by number.
        start: snapshot to start from; "" from the classifier of photographs. keep_head: its landmarks are
            the project's.
        device: "" a GPU where torch sees one. threads: 0 as many as torch takes.
    """

    project_config: str
    data: str
    out: str
    recipe: TrainingRecipe
    symmetries: tuple[tuple[int, int], ...] = ()
    start: str = ""
    keep_head: bool = True
    device: str = ""
    threads: int = 0
