"""The check of embedonce's own packages."""

import sys
from pathlib import Path

import pytest

from data.errors import CallError
from data.packages import check_packages


def test_our_own_packages_pass() -> None:
    check_packages()


def test_a_missing_package_is_named() -> None:
    with pytest.raises(CallError, match="package 'no_such_package' is missing"):
        check_packages(["no_such_package"])


def test_a_package_of_another_project_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign_data").mkdir()
    (tmp_path / "foreign_data" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(CallError, match="'foreign_data' hides embedonce's own"):
        check_packages(["foreign_data"])
