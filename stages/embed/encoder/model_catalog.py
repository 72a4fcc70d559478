"""Encoders that people use, by their published shapes: what they weigh and cost, without downloading them."""

from dataclasses import asdict, dataclass
from typing import Any

from stages.embed.encoder.encoder import DEFAULT_WINDOW
from stages.embed.model_files.model_lookup import PACKAGED_MODELS, find_packaged_model

# of MPNet's relative positions
_BUCKETS = 32


@dataclass(frozen=True, kw_only=True)
class CatalogModel:
    """The sizes of an encoder, as its config.json names them.

    positions: rows of the position matrix. types: rows of the token type matrix, 0 for none. counted_from: rows of
    `positions` that no token uses, because counting starts behind the padding id.
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

    @property
    def parameters(self) -> int:
        """Exactly what transformers counts for `AutoModel`."""
        hidden, inner = self.hidden, self.intermediate
        norm = 2 * hidden
        embeddings = (self.vocabulary + self.positions + self.types) * hidden + norm
        attention = 4 * (hidden * hidden + hidden) + norm
        feed_forward = hidden * inner + inner + inner * hidden + hidden + norm
        pooler = hidden * hidden + hidden if self.pooler else 0
        relative = _BUCKETS * self.heads if self.family == "mpnet" else 0
        return embeddings + self.layers * (attention + feed_forward) + pooler + relative

    @property
    def bytes(self) -> int:
        """Of the parameters in float32."""
        return 4 * self.parameters

    @property
    def window(self) -> int:
        """The longest window in tokens, two special ones not counted; the default is shorter."""
        return self.positions - self.counted_from - 2

    @property
    def megaflop_per_token(self) -> float:
        """Of the matrix multiplications, an addition and a multiplication counted as two, at the default window."""
        products = 4 * self.hidden**2 + 2 * self.hidden * self.intermediate
        attention = 2 * (min(DEFAULT_WINDOW, self.window) + 2) * self.hidden
        return 2 * self.layers * (products + attention) / 1e6

    @property
    def installed(self) -> bool:
        """Whether an installed package brings it."""
        return self.name in PACKAGED_MODELS and find_packaged_model(self.name) is not None

    def to_json(self) -> dict[str, Any]:
        """The sizes, and what follows from them."""
        derived = ("parameters", "bytes", "window", "megaflop_per_token", "installed")
        return asdict(self) | {name: getattr(self, name) for name in derived}

    def config(self) -> Any:
        """The config of transformers that makes this network."""
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


_BASE: dict[str, Any] = {"layers": 12, "hidden": 768, "heads": 12, "intermediate": 3072}
_LARGE: dict[str, Any] = {"layers": 24, "hidden": 1024, "heads": 16, "intermediate": 4096}
_DISTILLED: dict[str, Any] = {"family": "distilbert", "types": 0, "pooler": False}
_ROBERTA: dict[str, Any] = {"positions": 514, "types": 1, "counted_from": 2}
_XLM: dict[str, Any] = {"family": "xlm-roberta", "vocabulary": 250_002, **_ROBERTA}

MODEL_CATALOG: tuple[CatalogModel, ...] = (
    CatalogModel(
        name="all-MiniLM-L6-v2", family="bert", layers=6, hidden=384, heads=12, intermediate=1536, vocabulary=30_522
    ),
    CatalogModel(name="monologg/distilkobert", vocabulary=8_002, **_BASE | _DISTILLED | {"layers": 3}),
    CatalogModel(name="monologg/kobert", family="bert", vocabulary=8_002, **_BASE),
    CatalogModel(name="bert-base-uncased", family="bert", vocabulary=30_522, **_BASE),
    CatalogModel(
        name="sentence-transformers/all-mpnet-base-v2",
        family="mpnet",
        vocabulary=30_527,
        **_BASE | _ROBERTA | {"types": 0},
    ),
    CatalogModel(name="roberta-base", family="roberta", vocabulary=50_265, **_BASE | _ROBERTA),
    CatalogModel(name="distilbert-base-multilingual-cased", vocabulary=119_547, **_BASE | _DISTILLED | {"layers": 6}),
    CatalogModel(name="bert-base-multilingual-cased", family="bert", vocabulary=119_547, **_BASE),
    CatalogModel(name="xlm-roberta-base", **_BASE | _XLM),
    CatalogModel(name="xlm-roberta-large", **_LARGE | _XLM),
)
