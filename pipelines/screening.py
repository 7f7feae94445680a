"""What a trial is screened by: the lab's rules and references, and their share in naming the run."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labsys.biomechanics.screening import ScreenedTrial, screen
from labsys.core.motion import MotionResult
from labsys.core.references import PUBLISHED, ReferenceTable, sex_word, speed_held_against
from labsys.core.screening import RuleSet
from labsys.core.session import Surface, Trial, TrialKind
from labsys.core.skeleton import Side
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.lab import Lab
from labsys.storage.references import REFERENCES_FILE, load_references, references_path
from labsys.storage.subjects import load_subject
from pipelines.screening_file import SCREENING_FILE, load_rules, shipped_rules

# Inputs of a run that decide what is said of its metrics and change none of them: they name a run, and a run made with
# others stays current until its trial is processed again.
SCREENING_INPUTS = (SCREENING_FILE, REFERENCES_FILE)


@dataclass(frozen=True, eq=False)
class Screening:
    """Rules, references and sex of the subject; `inputs` and `facts` are what a run is named by."""

    rules: RuleSet
    references: ReferenceTable
    sex: str
    inputs: Mapping[str, str]
    facts: Mapping[str, str]


def gather_screening(lab: Lab, trial: Trial) -> Screening | None:
    """What this trial is screened by; None for trials that are no gait.

    Raises:
        InputError: the lab's rules or references cannot be read, or say what they may not.
    """
    if trial.kind not in (TrialKind.RUN, TrialKind.WALK):
        return None
    path = lab.root / SCREENING_FILE
    own = is_there(path)
    rules = load_rules(path) if own else shipped_rules()
    inputs = {SCREENING_FILE: hash_file(path) if own else _shipped_hash()}
    references = lab_references(lab)
    if references.own:
        inputs[REFERENCES_FILE] = hash_file(references_path(lab))
    sex = sex_word(load_subject(lab, trial.name.subject).sex)
    return Screening(rules, references, sex, inputs, {"subject.sex": sex})


def lab_references(lab: Lab) -> ReferenceTable:
    """Published references, and the lab's own where it learnt some (InputError: unreadable)."""
    learnt = load_references(lab)
    return PUBLISHED if learnt is None else replace(PUBLISHED, own=tuple(v.as_value() for v in learnt.values))


def with_findings(motion: MotionResult, trial: Trial, screening: Screening) -> MotionResult:
    """A result with its metrics held against the rules."""
    if motion.tier is None or motion.events is None:
        return motion
    conditions = trial.conditions
    screened = ScreenedTrial(
        kind=trial.kind,
        tier=motion.tier,
        surface=conditions.surface or Surface(motion.notes["surface"]),
        speed_mps=speed_held_against(conditions.speed_mps, motion.events.belt_speed_mps),
        sex=screening.sex,
        n_strides={side: motion.n_strides(side) for side in (Side.LEFT, Side.RIGHT)},
        metrics=motion.metrics,
        stride_values=motion.stride_values,
    )
    return replace(motion, findings=screen(screened, rules=screening.rules, references=screening.references))


def _shipped_hash() -> str:
    content = (importlib.resources.files("hardware_configs") / SCREENING_FILE).read_bytes()
    return hashlib.sha256(content).hexdigest()
