"""`diagnose` reports this machine, and no probe that fails hides what the others found."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from data.devices import computes_bfloat16_well
from stages import doctor
from stages.doctor import diagnose, examine_folder, examine_hub, find_cpu


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answer]]:
    class Handler(Answer):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://user:secret@127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield Handler
    server.shutdown()
    server.server_close()


def test_the_diagnosis_of_this_machine_is_complete(tmp_path: Path, offline: None) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run.json").write_bytes(b"12345")
    found = diagnose(tmp_path / "stores", tmp_path / "runs")
    assert found.problems == ()
    assert found.versions["torch"] and found.versions["embedonce"] and "sentence-transformers" in found.versions
    assert found.cpu is not None and found.cpu.usable_cores >= 1
    stores, runs = found.folders[:2]
    assert (stores.exists, stores.is_writable, stores.bytes) == (False, True, None)
    assert (runs.exists, runs.is_writable, runs.bytes) == (True, True, 5)
    assert {extra.extra for extra in found.extras} >= {"lightgbm", "onnx", "dev"}
    assert found.to_json()["hub"]["is_reachable"] is None


def test_a_probe_that_fails_is_a_problem_and_the_others_are_reported(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "_find_devices", fail)
    found = diagnose(tmp_path, tmp_path)
    assert found.problems == ("The devices could not be examined: OSError: no such device",)
    assert found.devices == () and found.versions["torch"]


def test_cpu_features_have_their_usual_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8481C\n")
    detected = {"sse", "avx2", "avx512_f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile", "amx_int8"}
    monkeypatch.setattr(doctor, "cpu_instructions", lambda: detected)
    cpu = find_cpu(tmp_path / "cpuinfo")
    assert cpu.model == "Intel(R) Xeon(R) Platinum 8481C"
    assert cpu.features == ("AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16", "AMX BF16", "AMX INT8")


def test_features_are_those_that_the_choice_of_a_precision_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    detected = {"avx2": True, "amx_bf16": True, "avx512_f": False, "num_logical_cores": 2, "architecture": "x86_64"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: detected, raising=False)
    assert find_cpu().features == ("AVX2", "AMX BF16") and computes_bfloat16_well("cpu")


def test_a_cpu_that_nothing_describes_has_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert find_cpu(tmp_path / "none").features == () and not computes_bfloat16_well("cpu")


def test_a_folder_that_is_too_large_to_add_up_is_incomplete(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"1234")
    folder = examine_folder("runs", tmp_path, seconds=-1)
    assert (folder.bytes, folder.is_complete) == (4, False)


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not examine_folder("runs", tmp_path / "file" / "runs").is_writable


@pytest.mark.parametrize(("status", "is_reachable"), [(200, True), (401, True), (407, False), (503, False)])
def test_the_hub_is_asked_at_its_endpoint(hub: type[Answer], status: int, is_reachable: bool) -> None:
    hub.status = status
    found = examine_hub(5.0)
    assert found.is_reachable == is_reachable and str(status) in found.message


def test_a_password_in_the_endpoint_is_not_shown(hub: type[Answer]) -> None:
    found = examine_hub(5.0)
    assert "secret" not in f"{found}" and found.endpoint.startswith("http://127.0.0.1:")


def test_a_hub_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(doctor, "_ask_hub", lambda *_: (blocked.wait(60), ""))
    found = examine_hub(0.05)
    blocked.set()
    assert (found.is_reachable, found.message) == (False, "no answer within 0.05 s")


def test_an_endpoint_that_is_no_address_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc/passwd")
    assert examine_hub().is_reachable is False
