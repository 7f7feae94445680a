"""Episodes with their goals: subjects/<code>/episodes/<label>.json."""

from __future__ import annotations

from pathlib import Path

from labsys.core.catalogue import find_metric
from labsys.core.session import Episode, check_code
from labsys.storage.documents import load_document
from labsys.storage.lab import EPISODES, Lab, subject_folder
from labsys.storage.nouns import check_new_code, check_place, list_folder, load_all, require_known, stamp_and_save
from labsys.storage.subjects import require_subject


def save_episode(lab: Lab, episode: Episode) -> Episode:
    """Write the episode; returns it with `updated_at` (and a uuid, where it had none) set.

    Raises:
        UnknownNameError: no such subject, or a goal names no metric. InputError: bad label, or writing fails.
    """
    check_code("episode", episode.label)
    require_subject(lab, episode.subject)
    check_new_code("episode", episode.label, episode_labels(lab, episode.subject))
    for goal in episode.goals:
        find_metric(goal.metric)
    return stamp_and_save(_path(lab, episode.subject, episode.label), episode)


def load_episode(lab: Lab, subject: str, label: str) -> Episode:
    """Read an episode (UnknownNameError names the nearest label; NewerSchemaError; InputError)."""
    require_subject(lab, subject)
    require_episode(lab, subject, label)
    path = _path(lab, subject, label)
    episode = load_document(path, Episode)
    check_place(f"{episode.subject}/{episode.label}", f"{subject}/{label}", path)
    return episode


def list_episodes(lab: Lab, subject: str) -> tuple[Episode, ...]:
    """All episodes of a subject, by label (UnknownNameError: no such subject)."""
    require_subject(lab, subject)
    return load_all(episode_labels(lab, subject), lambda label: load_episode(lab, subject, label))


def episode_labels(lab: Lab, subject: str) -> tuple[str, ...]:
    """Labels of all episodes of a subject, without reading them."""
    return tuple(p.stem for p in list_folder(_folder(lab, subject)) if p.suffix == ".json")


def require_episode(lab: Lab, subject: str, label: str) -> None:
    """UnknownNameError, naming the nearest, unless the subject has this episode."""
    require_known("episode", label, episode_labels(lab, subject), where=f"subject {subject}")


def _folder(lab: Lab, subject: str) -> Path:
    return subject_folder(lab, subject) / EPISODES


def _path(lab: Lab, subject: str, label: str) -> Path:
    return _folder(lab, subject) / f"{label}.json"
