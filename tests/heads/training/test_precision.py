"""Training in bfloat16 where the device has instructions for it."""

import pytest
import torch

from heads.planted_signals import mean_signal
from heads.testing import training_of
from heads.training.loop import Trainer
from heads.training.state import TrainingState
from tests.heads.training.test_network_head import every_form, head_of


def pretend(monkeypatch: pytest.MonkeyPatch, *instructions: str) -> None:
    capabilities = {"avx2": True} | dict.fromkeys(instructions, True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [((), "float32"), (("avx512_bf16",), "bfloat16"), (("amx_bf16",), "bfloat16"), (("amx_int8",), "float32")],
)
def test_auto_follows_the_instructions_of_the_cpu(
    instructions: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, *instructions)
    assert Trainer.of(training_of(device="cpu")).precision == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_auto_follows_the_generation_of_the_gpu(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert Trainer.of(training_of(device="cuda")).precision == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_that_is_set_is_kept(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, *(("amx_bf16",) if precision == "float32" else ()))
    assert Trainer.of(training_of(device="cpu", precision=precision)).precision == precision


@every_form
def test_every_network_trains_in_bfloat16_and_scores_in_float32(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "amx_bf16")
    planted, seen = mean_signal(documents=30, chunks=(1, 40)), list[torch.dtype]()
    step = TrainingState.step

    def record(state: TrainingState, loss: torch.Tensor, max_grad_norm: float) -> None:
        seen.append(loss.dtype)
        step(state, loss, max_grad_norm)

    monkeypatch.setattr(TrainingState, "step", record)
    training = training_of(epochs=1, batch_size=4, min_steps=2, device="cpu")
    half = head_of(form, training=training).fit(planted.bags, planted.y)
    assert half.history_.precision == "bfloat16" and set(seen) == {torch.float32}
    assert {weight.dtype for weight in half.network_.parameters()} == {torch.float32}
    scores = half.decision_function(planted.bags)
    full = head_of(form, training=training_of(epochs=1, batch_size=4, min_steps=2, device="cpu", precision="float32"))
    expected = full.fit(planted.bags, planted.y).decision_function(planted.bags)
    assert 0 < abs(scores - expected).max() < 0.2
