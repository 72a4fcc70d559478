from typing import Any

import pytest

from stages.embed.encoder.model_catalog import MODEL_CATALOG, CatalogModel

PROMISED = {
    "all-MiniLM-L6-v2": 22_713_216,
    "bert-base-multilingual-cased": 177_853_440,
    "xlm-roberta-base": 278_043_648,
    "xlm-roberta-large": 559_890_432,
    "monologg/kobert": 92_186_880,
    "monologg/distilkobert": 27_803_904,
}


def meta_network(model: CatalogModel) -> Any:
    """The network without memory for its weights."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        return AutoModel.from_config(model.config(), attn_implementation="eager").eval()


@pytest.mark.parametrize("model", MODEL_CATALOG, ids=lambda model: model.name)
def test_a_catalog_model_has_exactly_the_parameters_of_the_network_that_transformers_builds(
    model: CatalogModel,
) -> None:
    assert sum(parameter.numel() for parameter in meta_network(model).parameters()) == model.parameters
    assert model.parameters == PROMISED.get(model.name, model.parameters)


@pytest.mark.parametrize("model", MODEL_CATALOG, ids=lambda model: model.name)
def test_the_cost_of_a_catalog_model_is_what_pytorch_counts_for_its_layers(model: CatalogModel) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network, positions = meta_network(model), 254 + 2
    options: dict[str, Any] = {}
    if model.family == "mpnet":
        options["position_bias"] = torch.zeros(1, model.heads, positions, positions, device="meta")
        options["attention_mask"] = torch.zeros(1, 1, positions, positions, device="meta")
    states = torch.zeros(1, positions, model.hidden, device="meta")
    layers = (network.transformer if model.family == "distilbert" else network.encoder).layer
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        for layer in layers:
            states = layer(states, **options)
            states = states[0] if isinstance(states, tuple) else states
    assert counter.get_total_flops() / positions / 1e6 == pytest.approx(model.megaflop_per_token, rel=1e-12)


def test_every_promised_model_is_listed_once() -> None:
    names = [model.name for model in MODEL_CATALOG]
    assert len(names) == len(set(names))
    assert set(PROMISED) <= set(names)


def test_bytes_and_window_follow_from_the_sizes() -> None:
    models = {model.name: model for model in MODEL_CATALOG}
    assert all(model.bytes == 4 * model.parameters for model in MODEL_CATALOG)
    assert (models["bert-base-uncased"].window, models["xlm-roberta-base"].window) == (510, 510)


def test_the_packaged_encoder_is_installed_and_others_are_not() -> None:
    assert {model.name for model in MODEL_CATALOG if model.installed} <= {"all-MiniLM-L6-v2"}
    assert MODEL_CATALOG[0].to_json()["parameters"] == 22_713_216
