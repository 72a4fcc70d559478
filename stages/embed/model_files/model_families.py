"""What sets a family of networks apart, by the name that config.json gives it; read without torch."""

from typing import Any

# looked up, no context: one vector a token
STATIC = "model2vec"

# positions are counted from the padding id on, so two rows or so of the position matrix are never used
COUNTED_FROM_PADDING = frozenset({"mpnet", "camembert", "longformer", "data2vec-text", "ibert", "luke", "xmod", "esm"})

# distances between tokens instead of positions, in buckets without an end; a limit in their config is of their training
WITHOUT_LIMIT = frozenset({"t5", "mt5", "umt5"})

# networks of an encoder and a decoder of which the encoder is taken: by a class of its own, or out of the whole
ENCODER_CLASS = frozenset({"t5", "mt5", "umt5"})
ENCODER_HALF = frozenset({"bart", "m2m_100", "mbart", "pegasus"})
ENCODER_TAKEN = ENCODER_CLASS | ENCODER_HALF

# decoders: a position reads what stands before it, so only the last one has read the whole text
_CAUSAL = frozenset(
    {
        *("bloom", "codegen", "cohere", "cohere2", "ctrl", "falcon", "gemma", "gemma2", "gemma3_text", "glm", "glm4"),
        *("gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "granite", "helium", "llama", "ministral", "mistral"),
        *("mixtral", "mpt", "nemotron", "olmo", "olmo2", "olmo3", "opt", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3"),
        *("qwen3_moe", "smollm3", "stablelm", "starcoder2", "xglm"),
    }
)


def is_causal(values: dict[str, Any]) -> bool:
    """Whether a position reads nothing of what follows it. values: those of config.json.

    Some decoders were trained on to read both ways; their config says so.
    """
    if values.get("is_causal") is False or values.get("use_bidirectional_attention") in (True, "all"):
        return False
    return values.get("model_type") in _CAUSAL or values.get("is_decoder") is True


def counts_from_padding(family: str) -> bool:
    """Whether positions start behind the padding id, as in the RoBERTa family and MPNet."""
    return "roberta" in family or family in COUNTED_FROM_PADDING
