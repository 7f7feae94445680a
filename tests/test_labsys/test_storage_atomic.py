"""Atomic writes and readable errors."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.core.errors import InputError
from labsys.storage.atomic import (
    hash_file,
    is_there,
    read_json,
    replacing,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.slow
@given(document=st.dictionaries(st.text(), _JSON, max_size=6))
def test_json_read_equals_json_written(document: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json_atomic(path, document)
    assert read_json(path) == document


def test_a_failing_writer_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "a" / "b" / "c.bin", b"x")
    assert hash_file(tmp_path / "a" / "b" / "c.bin").startswith("2d711642")  # SHA-256 of "x"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', "not valid JSON"),
        (b"[1]", "no JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "cannot be read: No such file"),
    ],
)
def test_unreadable_json_names_the_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "subject.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_json(path)
    assert "subject.json" in str(caught.value)


def test_nan_is_refused_by_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.json"):
        write_json_atomic(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_is_needed_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("file")
    with pytest.raises(InputError, match="cannot write"):
        write_text_atomic(tmp_path / "a" / "b.txt", "x")


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that this process may not enter, also when the tests run as root."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "locked"
        folder.mkdir(mode=0o700)
        (folder / "a.json").write_text("{}")
        Path(root).chmod(0o755)
        if os.geteuid() != 0:
            folder.chmod(0o000)
            yield folder
            folder.chmod(0o700)
            return
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)


def test_a_folder_without_permission_is_an_input_error(locked_folder: Path) -> None:
    for action in (
        lambda: read_json(locked_folder / "a.json"),
        lambda: is_there(locked_folder / "a.json"),
        lambda: write_text_atomic(locked_folder / "b.json", "x"),
        lambda: hash_file(locked_folder / "a.json"),
    ):
        with pytest.raises(InputError, match="Permission denied") as caught:
            action()
        assert "locked" in str(caught.value)
