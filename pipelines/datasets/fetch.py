"""Where a public recording lies on this machine; fetched once, with its hashes, where there is internet."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path

from labsys.core.errors import InputError, MissingPartError
from labsys.core.progress import Progress
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.cache import cache_folder
from pipelines.datasets.registry import DataSet

DATA_VARIABLE = "LABSYS_DATA"
# GitHub gives the content itself, not JSON about it.
_HEADERS = {"Accept": "application/vnd.github.raw+json"}
_TIMEOUT_S = 30


class Whereabouts(StrEnum):
    """Where a recording comes from, before anything is fetched."""

    GIVEN = "here"
    FETCHED = "fetched before"
    AWAY = "to be fetched"


def locate_data_set(data_set: DataSet) -> tuple[Whereabouts, Path]:
    """Where a recording lies, or will lie: in the folder that LABSYS_DATA names, else in labsys's cache."""
    root = os.environ.get(DATA_VARIABLE, "")
    if root and is_there(Path(root) / data_set.folder):
        return Whereabouts.GIVEN, Path(root) / data_set.folder
    folder = cache_folder() / "datasets" / data_set.folder
    whole = all(is_there(folder / path) for path in data_set.files)
    return Whereabouts.FETCHED if whole else Whereabouts.AWAY, folder


def fetch_data_set(data_set: DataSet, *, progress: Progress) -> Path:
    """The folder of a recording, every file of it checked against its hash.

    Raises:
        MissingPartError: it is not here, and cannot be fetched. InputError: a file is not the registered one.
    """
    where, folder = locate_data_set(data_set)
    progress.stage(f"{'check' if where is Whereabouts.GIVEN else 'fetch'} {data_set.folder}", len(data_set.files))
    if where is Whereabouts.GIVEN:
        _check(data_set, folder, progress)
    else:
        _fetch(data_set, folder, progress)
    return folder


def _check(data_set: DataSet, folder: Path, progress: Progress) -> None:
    for path, sha256 in data_set.files.items():
        if not is_there(folder / path) or hash_file(folder / path) != sha256:
            state = "is not the registered file" if is_there(folder / path) else "is missing"
            raise InputError(
                f"{state} of public recording {data_set.folder}",
                where=str(folder / path),
                remedy=f"Restore it from {data_set.address(path)}, or unset {DATA_VARIABLE} to have it fetched",
            )
        progress.advance()


def _fetch(data_set: DataSet, folder: Path, progress: Progress) -> None:
    import pooch
    from requests import RequestException

    logging.getLogger("pooch").setLevel(logging.ERROR)
    files = dict(data_set.files)
    urls = {path: data_set.address(path) for path in files}
    keeper = pooch.create(path=folder, base_url="", registry=files, urls=urls, retry_if_failed=2)
    download = pooch.HTTPDownloader(headers=_HEADERS, timeout=_TIMEOUT_S)
    for path in files:
        try:
            keeper.fetch(path, downloader=download)
        except (RequestException, OSError) as error:
            raise MissingPartError(
                f"the public recording '{data_set.folder}' is not here, and {path} cannot be fetched: {error}",
                where=urls[path],
                remedy=f"Try again with internet: what was fetched is kept; or put the folder {data_set.folder} (from "
                f"{data_set.source}) somewhere, and set {DATA_VARIABLE} to the folder that holds it",
            ) from error
        except ValueError as error:
            raise InputError(
                f"{path} of public recording {data_set.folder} was fetched with another content than registered",
                where=urls[path],
                remedy="Try again; if it stays so, the publisher changed the file",
            ) from error
        progress.advance()
