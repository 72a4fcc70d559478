"""`doctor` shows the diagnosis as tables, and the same as JSON."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run


def test_tables_and_json_report_the_same(embedonce: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    shown = embedonce("doctor")
    assert (shown.code, shown.err) == (0, "") and max(map(len, shown.out.splitlines())) <= 80
    diagnosis = json.loads(embedonce("doctor", "--json").out)
    assert all(
        name in shown.out and (version or "not installed") in shown.out
        for name, version in diagnosis["versions"].items()
    )
    purposes = [folder["purpose"] for folder in diagnosis["folders"]]
    assert purposes == ["stores", "runs", "encoders", "cache", "models of the hub"]
    assert "HF_HUB_OFFLINE is set" in shown.out and diagnosis["problems"] == []
    assert list(tmp_path.iterdir()) == []
