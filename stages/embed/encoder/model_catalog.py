"""A catalog of widely used encoders: their published sizes and costs, known without downloading them.

Parameters and FLOPs are literals; a test compares them with what transformers builds and what PyTorch counts.
"""

from dataclasses import asdict, dataclass
from typing import Any

from stages.embed.model_files.model_lookup import PACKAGED_MODELS, find_packaged_model


@dataclass(frozen=True, kw_only=True)
class CatalogModel:
    """The sizes of one encoder, named as in its config.json, and its cost.

    Attributes:
        positions: Rows of the position matrix.
        types: Rows of the token type matrix, 0 for none.
        pooler: Whether `AutoModel` adds a pooler, whose parameters are counted.
        counted_from: Rows of the position matrix that no token uses, because positions start after the padding id.
        parameters: What transformers counts for `AutoModel`.
        megaflop_per_token: Cost of the matrix products at the default window of 254 tokens and two special tokens, in
            10^6 floating-point operations; a multiplication and an addition count as two.
    """

    name: str
    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int = 512
    types: int = 2
    pooler: bool = True
    counted_from: int = 0
    parameters: int
    megaflop_per_token: float

    @property
    def bytes(self) -> int:
        """Size of the parameters in float32."""
        return 4 * self.parameters

    @property
    def window(self) -> int:
        """The longest window in tokens, without the two special tokens. The default window is shorter."""
        return self.positions - self.counted_from - 2

    @property
    def installed(self) -> bool:
        """Whether an installed package contains the model."""
        return self.name in PACKAGED_MODELS and find_packaged_model(self.name) is not None

    def to_json(self) -> dict[str, Any]:
        """All values by name."""
        return asdict(self) | {"bytes": self.bytes, "window": self.window, "installed": self.installed}

    def config(self) -> Any:
        """The transformers config that builds this network."""
        from transformers import AutoConfig

        values = {
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "type_vocab_size": self.types,
        }
        if self.family == "distilbert":
            values = {
                "dim": self.hidden,
                "n_layers": self.layers,
                "n_heads": self.heads,
                "hidden_dim": self.intermediate,
            }
        sizes = {"vocab_size": self.vocabulary, "max_position_embeddings": self.positions}
        return AutoConfig.for_model(self.family, **values, **sizes)


_SMALL: dict[str, Any] = {"layers": 6, "hidden": 384, "heads": 12, "intermediate": 1536, "megaflop_per_token": 23.59296}
_BASE: dict[str, Any] = {
    "layers": 12,
    "hidden": 768,
    "heads": 12,
    "intermediate": 3072,
    "megaflop_per_token": 179.306496,
}
_LARGE: dict[str, Any] = {
    "layers": 24,
    "hidden": 1024,
    "heads": 16,
    "intermediate": 4096,
    "megaflop_per_token": 629.1456,
}
_BERT: dict[str, Any] = {"family": "bert"}
_DISTILBERT: dict[str, Any] = {"family": "distilbert", "types": 0, "pooler": False}
_DISTILBERT_3 = _BASE | _DISTILBERT | {"layers": 3, "megaflop_per_token": 44.826624}
_DISTILBERT_6 = _BASE | _DISTILBERT | {"layers": 6, "megaflop_per_token": 89.653248}
_ROBERTA: dict[str, Any] = {"family": "roberta", "positions": 514, "types": 1, "counted_from": 2}
_MPNET = _ROBERTA | {"family": "mpnet", "types": 0}
_XLM_ROBERTA = _ROBERTA | {"family": "xlm-roberta", "vocabulary": 250_002}


MODEL_CATALOG: tuple[CatalogModel, ...] = tuple(
    CatalogModel(name=name, parameters=parameters, **sizes)
    for name, parameters, sizes in (
        ("all-MiniLM-L6-v2", 22_713_216, _SMALL | _BERT | {"vocabulary": 30_522}),
        ("monologg/distilkobert", 27_803_904, _DISTILBERT_3 | {"vocabulary": 8_002}),
        ("monologg/kobert", 92_186_880, _BASE | _BERT | {"vocabulary": 8_002}),
        ("bert-base-uncased", 109_482_240, _BASE | _BERT | {"vocabulary": 30_522}),
        ("sentence-transformers/all-mpnet-base-v2", 109_486_464, _BASE | _MPNET | {"vocabulary": 30_527}),
        ("roberta-base", 124_645_632, _BASE | _ROBERTA | {"vocabulary": 50_265}),
        ("distilbert-base-multilingual-cased", 134_734_080, _DISTILBERT_6 | {"vocabulary": 119_547}),
        ("bert-base-multilingual-cased", 177_853_440, _BASE | _BERT | {"vocabulary": 119_547}),
        ("xlm-roberta-base", 278_043_648, _BASE | _XLM_ROBERTA),
        ("xlm-roberta-large", 559_890_432, _LARGE | _XLM_ROBERTA),
    )
)
