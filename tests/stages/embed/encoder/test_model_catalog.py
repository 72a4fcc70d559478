import pytest

from stages.embed.encoder.model_catalog import MODEL_CATALOG, CatalogModel

CARD = {
    "all-MiniLM-L6-v2": 22_713_216,
    "bert-base-multilingual-cased": 177_853_440,
    "xlm-roberta-base": 278_043_648,
    "xlm-roberta-large": 559_890_432,
    "monologg/kobert": 92_186_880,
    "monologg/distilkobert": 27_803_904,
}


@pytest.mark.parametrize("shape", MODEL_CATALOG, ids=lambda shape: shape.name)
def test_a_published_shape_makes_a_network_of_exactly_its_parameters(shape: CatalogModel) -> None:
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        network = AutoModel.from_config(shape.config())
    assert sum(parameter.numel() for parameter in network.parameters()) == shape.parameters
    assert shape.parameters == CARD.get(shape.name, shape.parameters)


def test_every_promised_model_is_listed_once() -> None:
    names = [shape.name for shape in MODEL_CATALOG]
    assert len(names) == len(set(names))
    assert set(CARD) <= set(names)


def test_cost_and_window_are_worked_out_from_the_sizes() -> None:
    shape = CatalogModel(
        name="x", family="bert", layers=2, hidden=4, heads=1, intermediate=8, vocabulary=10, positions=12
    )
    # a token: 4 products of 4 x 4, 2 of 4 x 8, scores and mixing over 12 positions of 4 numbers, 2 layers, 2 flop each
    assert shape.megaflop_per_token == pytest.approx(2 * 2 * (64 + 64 + 96) / 1e6)
    assert shape.window == 10
    assert shape.bytes == 4 * shape.parameters
    assert next(shape for shape in MODEL_CATALOG if shape.name == "xlm-roberta-base").window == 510


def test_the_packaged_encoder_is_installed_and_others_are_not() -> None:
    assert {shape.name for shape in MODEL_CATALOG if shape.installed} <= {"all-MiniLM-L6-v2"}
    assert MODEL_CATALOG[0].to_json()["parameters"] == 22_713_216
