"""Facts about families of networks, by the `model_type` in config.json; read without torch."""

from typing import Any

# token vectors from a table, without context
STATIC_FAMILY = "model2vec"

# positions start after the padding id, so the first rows of the position matrix are never used
POSITIONS_AFTER_PADDING = frozenset(
    {"mpnet", "camembert", "longformer", "data2vec-text", "ibert", "luke", "xmod", "esm"}
)

# relative positions in buckets, of which the last is unbounded; a limit in their config is about their training
UNLIMITED_POSITIONS = frozenset({"t5", "mt5", "umt5"})

# encoder-decoders whose encoder can be used alone: transformers has a class for it, or the whole model contains it
ENCODER_CLASS_FAMILIES = frozenset({"t5", "mt5", "umt5"})
ENCODER_DECODER_FAMILIES = frozenset({"bart", "m2m_100", "mbart", "pegasus"})
SEPARABLE_ENCODERS = ENCODER_CLASS_FAMILIES | ENCODER_DECODER_FAMILIES

# decoders: a position attends only to those before it, so only the last one has seen the whole text
_CAUSAL = frozenset(
    {
        *("bloom", "codegen", "cohere", "cohere2", "ctrl", "falcon", "gemma", "gemma2", "gemma3_text", "glm", "glm4"),
        *("gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "granite", "helium", "llama", "ministral", "mistral"),
        *("mixtral", "mpt", "nemotron", "olmo", "olmo2", "olmo3", "opt", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3"),
        *("qwen3_moe", "smollm3", "stablelm", "starcoder2", "xglm"),
    }
)


def is_causal(values: dict[str, Any]) -> bool:
    """Return whether a position attends to nothing behind it. values: the content of config.json.

    Some decoders were trained further to attend in both directions; their config says so.
    """
    if values.get("is_causal") is False or values.get("use_bidirectional_attention") in (True, "all"):
        return False
    return values.get("model_type") in _CAUSAL or values.get("is_decoder") is True


def counts_from_padding(family: str) -> bool:
    """Return whether positions start after the padding id, as in the RoBERTa family and MPNet."""
    return "roberta" in family or family in POSITIONS_AFTER_PADDING
