"""Arrays in the cache: whole, read-only, and never a reason to fail."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from orchestrator.forward_model.array_cache import load_arrays, store_arrays

NAMES = ("first", "second")


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return {"first": np.arange(6.0).reshape(2, 3), "second": np.array(0.5)}


@pytest.fixture
def stored(own_cache: Path, arrays: dict[str, np.ndarray]) -> Path:
    store_arrays("key", arrays)
    return next(own_cache.rglob("first.npy")).parent


def test_arrays_come_back_read_only_from_disk(stored: Path, arrays: dict[str, np.ndarray]) -> None:
    found = load_arrays("key", NAMES)
    assert found is not None
    for name in NAMES:
        np.testing.assert_array_equal(np.squeeze(found[name]), arrays[name])
    assert isinstance(found["first"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found["first"][0, 0] = 9.0


def test_unknown_keys_and_names_are_not_there(
    stored: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_arrays("other key", NAMES) is None
    assert load_arrays("key", (*NAMES, "third")) is None
    assert not caplog.messages


@pytest.mark.parametrize("content", [b"", b"not an array", "half", "pickle"])
def test_a_broken_file_is_reported_and_replaced(
    stored: Path, arrays: dict[str, np.ndarray], content: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    file = stored / "first.npy"
    if content == "half":
        file.write_bytes(file.read_bytes()[:-8])
    elif content == "pickle":
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    else:
        file.write_bytes(content)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        assert load_arrays("key", NAMES) is None
    assert "broken" in caplog.text
    assert str(stored) in caplog.text
    store_arrays("key", arrays)
    found = load_arrays("key", NAMES)
    assert found is not None
    np.testing.assert_array_equal(found["first"], arrays["first"])


def test_storing_again_replaces_and_leaves_nothing_behind(stored: Path, arrays: dict[str, np.ndarray]) -> None:
    store_arrays("key", {**arrays, "first": np.full((2, 3), 7.0)})
    found = load_arrays("key", NAMES)
    assert found is not None
    assert np.all(found["first"] == 7.0)
    assert [path.name for path in stored.parent.iterdir()] == ["key"]


def test_a_cache_that_cannot_be_written_costs_only_a_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrays: dict[str, np.ndarray],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A file in the place of the folder stops root as well, whom permissions do not.
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING):
        store_arrays("key", arrays)
        assert load_arrays("key", NAMES) is None
    assert "prepared templates are not kept" in caplog.text
    assert "ORCHESTRATOR_CACHE" in caplog.text
