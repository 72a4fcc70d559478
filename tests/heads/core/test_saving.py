"""A head's folder refuses what its own description does not vouch for."""

import json
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import RunDamaged
from heads.classifiers.linear import LinearHead
from heads.core.saving import read_arrays, write_arrays
from heads.planted_signals import mean_signal


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    planted = mean_signal(documents=30)
    LinearHead().fit(planted.bags, planted.y).save(tmp_path)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "head.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda content: content.update(format=3),
            "has format 3, this embedonce reads format 2. Update embedonce to read it.",
        ),
        (
            lambda content: content.update(format=1),
            "has format 1, this embedonce reads format 2. Fit the head again.",
        ),
        (lambda content: content.update(head="mlp"), "holds the head 'mlp', expected 'linear'"),
        (lambda content: content.pop("files"), "cannot be read"),
        (lambda content: content.pop("counts"), "cannot be used"),
        (lambda content: content["counts"].pop(), "2 counts for 3 classes"),
        (lambda content: content["hyperparameters"].update(D=1), "cannot be used"),
        (lambda content: content["hyperparameters"].update(C=-1.0), "C is -1.0; it must be above 0."),
        (lambda content: content["dims"].update(cls=5), "coefficients has shape (3, 18), expected (3, 17)"),
        (lambda content: content["files"].update({"gone.txt": "0"}), "gone.txt is missing or was changed"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    saved: Path, change: Callable[[dict[str, Any]], Any], sentence: str
) -> None:
    changed(saved, change)
    with pytest.raises(RunDamaged, match=re.escape(sentence)):
        LinearHead.load(saved)


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDamaged, match=r"head\.json cannot be read"):
        LinearHead.load(tmp_path)


def test_no_file_outside_the_folder_is_read(saved: Path) -> None:
    changed(saved, lambda content: content["files"].update({"../../etc/passwd": "0"}))
    with pytest.raises(RunDamaged, match=re.escape(f"{saved / 'passwd'} is missing")):
        LinearHead.load(saved)


def test_arrays_that_are_missing_or_too_many_are_refused(tmp_path: Path) -> None:
    write_arrays(tmp_path / "some", {"a": np.zeros(3)})
    with pytest.raises(RunDamaged, match=re.escape("b has shape None, expected (2,)")):
        read_arrays(tmp_path / "some", {"a": (3,), "b": (2,)})
    with pytest.raises(RunDamaged, match=re.escape("a has shape (3,), expected None")):
        read_arrays(tmp_path / "some", {})


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some").write_bytes(b"\xff" * 100)
    with pytest.raises(RunDamaged, match="cannot be read"):
        read_arrays(tmp_path / "some", {})


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    turned = np.arange(6.0).reshape(2, 3).T  # not contiguous
    write_arrays(tmp_path / "some", {"a": turned})
    np.testing.assert_array_equal(read_arrays(tmp_path / "some", {"a": (3, 2)})["a"], turned)


def test_a_scalar_keeps_its_shape(tmp_path: Path) -> None:
    write_arrays(tmp_path / "some", {"a": np.array(2.5), "b": np.array(3)})
    arrays = read_arrays(tmp_path / "some", {"a": (), "b": ()})
    assert (float(arrays["a"]), int(arrays["b"])) == (2.5, 3)


def test_a_file_that_may_not_grow_is_an_error_of_the_system(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_arrays(tmp_path / "arrays.safetensors", {"weights": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
