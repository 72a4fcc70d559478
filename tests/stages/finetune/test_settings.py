"""Settings: what is refused, defaults by size, and a missing package."""

from typing import Any

import pytest

from data.errors import CallError, ExtraMissing, UnknownName
from stages.finetune import settings as module
from stages.finetune.settings import FinetuneSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"folds": 1}, "folds"),
        ({"lr": 0.0}, "lr is 0. It must be above 0."),
        ({"layer_lr": -1.0}, "layer-lr is -1"),
        ({"validation": 1.0}, "validation is 1. It must be between 0 and 1."),
        ({"train": "half"}, "--train half is not valid: write all, lora, or last:N"),
        ({"train": "last:0"}, "--train last:0 is not valid"),
        ({"train": "all:2"}, "--train all:2 is not valid"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        FinetuneSettings(**values)


def test_a_loss_or_a_sampler_that_does_not_exist_is_refused() -> None:
    with pytest.raises((CallError, UnknownName), match="focall"):
        _ = FinetuneSettings(loss="focall").imbalance
    with pytest.raises((CallError, UnknownName), match="often"):
        _ = FinetuneSettings(sampler="often").imbalance


def test_smaller_encoders_and_lora_have_larger_learning_rates() -> None:
    rates = [FinetuneSettings().resolved_lr(dim) for dim in (1024, 768, 384, 32)]
    assert rates == pytest.approx([3e-5 * (768 / 1024) ** 2, 3e-5, 1.2e-4, 2e-4])
    assert FinetuneSettings(train="last:2").resolved_lr(384) == pytest.approx(1.2e-4)
    assert FinetuneSettings(train="lora").resolved_lr(768) == pytest.approx(3e-4)


@pytest.mark.parametrize(("train", "missing"), [("all", "accelerate"), ("lora", "peft")])
def test_a_missing_package_is_one_sentence_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, train: str, missing: str
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(ExtraMissing, match=rf"needs {missing}, which is missing: pip install 'embedonce\[adapt\]'"):
        FinetuneSettings(train=train).check_extra()


def test_settings_without_an_effect_do_not_change_the_identity_of_a_run() -> None:
    assert FinetuneSettings(folds=3).to_json(384) == FinetuneSettings(folds=4).to_json(384)
    with_folds = FinetuneSettings(validate_on="folds", validation=0.3).to_json(384)
    assert with_folds == FinetuneSettings(validate_on="folds").to_json(384)
    assert FinetuneSettings(validation=0.3).to_json(384) != FinetuneSettings().to_json(384)


def test_a_record_has_the_learning_rate_that_was_used() -> None:
    assert FinetuneSettings().to_json(384)["lr"] == pytest.approx(1.2e-4)
    assert FinetuneSettings(lr=1e-3).to_json(384)["lr"] == 1e-3
