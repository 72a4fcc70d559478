"""Masked language models: an encoder that predicts masked tokens, with its own head or with a tied one.

A tied head is the encoder's matrix of input embeddings: a token's logit is the product of the hidden state with the
token's embedding (Press & Wolf 2017, arXiv 1608.05859). It adds no parameters, so that a folder with only the encoder
holds all of the model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from data.errors import ModelUnavailable
from stages.embed.model_files.checkpoint import Config, read_config
from stages.embed.model_files.log_silencing import silence_transformers
from stages.embed.model_files.model_families import SEPARABLE_ENCODERS, STATIC_FAMILY
from stages.embed.model_files.model_lookup import find_model
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.model_files.trust import resolve_remote_code
from stages.embed.network.static import is_static, read_static_config
from stages.embed.network.torch_network import OPTIONAL_TENSORS, add_global_attention, load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100  # as a label: this position has no loss, as in transformers


class MaskedLanguageModel(nn.Module):
    """An encoder with a head that predicts the tokens at masked positions.

    Called as transformers.Trainer calls a network, it returns the mean loss over the positions that have a label.
    Logits are computed only there: of all positions, those of a vocabulary of 250,000 tokens would not fit into memory.

    Attributes:
        network: The encoder, or the encoder with its own head.
        mask_id: The id of the mask token.
        has_own_head: Whether `network` has a head of its own; if not, the input embeddings are the head.
    """

    def __init__(self, network: "PreTrainedModel", mask_id: int, *, has_own_head: bool) -> None:
        super().__init__()
        self.network = network
        self.mask_id = mask_id
        self.has_own_head = has_own_head

    @property
    def encoder(self) -> "PreTrainedModel":
        """The encoder without the head."""
        return self.network.base_model if self.has_own_head else self.network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Predict the tokens at the positions that have a label, or at all positions without `labels`.

        Args:
            input_ids: int64 (windows, longest), with mask tokens.
            attention_mask: (windows, longest), 1 for a token and 0 for padding; None if there is no padding.
            labels: int64 (windows, longest), the original tokens at the masked positions, `IGNORED` at the others.

        Returns:
            "logits", (positions, vocabulary), and with `labels` "loss", the mean cross-entropy.
        """
        chosen = torch.ones_like(input_ids, dtype=torch.bool) if labels is None else labels != IGNORED
        logits = self.logits(input_ids, attention_mask, chosen)
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(logits.float(), labels[chosen], reduction="sum") / chosen.sum().clamp(min=1)
        return {"loss": loss, "logits": logits}

    def logits(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None, chosen: torch.Tensor
    ) -> torch.Tensor:
        """Compute the logits of all tokens of the vocabulary at some positions.

        Args:
            input_ids: int64 (windows, longest).
            attention_mask: (windows, longest), 1 for a token and 0 for padding; None if there is no padding.
            chosen: bool (windows, longest), the positions.

        Returns:
            (positions, vocabulary), in the order of the rows and then of the columns of `chosen`.
        """
        if not self.has_own_head:
            states = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return functional.linear(states[chosen], self.network.get_input_embeddings().weight)
        with _selected_states(self.encoder, chosen):
            output = self.network(input_ids=input_ids, attention_mask=attention_mask)
        logits: torch.Tensor = output.logits[0]
        return logits


@contextmanager
def _selected_states(encoder: nn.Module, chosen: torch.Tensor) -> Iterator[None]:
    """Let the head of a network, which works position by position, see the chosen positions only, as one window."""

    def select(_module: nn.Module, _arguments: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][chosen][None]
        return output

    handle = encoder.register_forward_hook(select)
    try:
        yield
    finally:
        handle.remove()


def check_masked_encoder(name: str, revision: str | None = None, *, trust: bool = False) -> None:
    """Check that an encoder can predict masked tokens, before its weights are downloaded or loaded.

    Args:
        name: A folder, an installed encoder, or a name on the hub, as `embed --model` takes it.
        revision: A branch, tag or commit on the hub.
        trust: Whether the folder's own Python code may run.

    Raises:
        ModelUnavailable: There is no such encoder, or what `check_masked_language_model` raises.
    """
    model = read_sentence_transformers_folder(find_model(name, revision, with_weights=False))
    if is_static(model):
        raise _no_context(name)
    check_masked_language_model(model.folder, name, trust=trust)


def check_masked_language_model(folder: Path, name: str, *, trust: bool = False) -> int:
    """Check, without loading the network, that an encoder can predict masked tokens.

    Args:
        folder: The folder of the encoder.
        name: The encoder's name for the user.
        trust: Whether the folder's own Python code may run.

    Returns:
        The id of the mask token.

    Raises:
        ModelUnavailable: It is a static model, a decoder or an encoder-decoder, or its tokenizer has no mask token.
    """
    if read_static_config(folder) is not None or read_config(folder).family == STATIC_FAMILY:
        raise _no_context(name)
    config = resolve_remote_code(read_config(folder), trust=trust)
    config.check()
    check_architecture(config, name)
    mask_id = find_mask_id(folder)
    if mask_id is None or mask_id >= config.vocab_size:
        raise ModelUnavailable(f"{name} cannot predict masked tokens: its tokenizer has no mask token.")
    return mask_id


def _no_context(name: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{name} is a static model: a token has the same vector in every context, so none predicts a masked token. "
        "Use an encoder."
    )


def check_architecture(config: Config, name: str) -> None:
    """Raise ModelUnavailable for a network that masked tokens cannot be predicted with. name: as the user knows it."""
    kind = "a decoder" if config.is_causal else "an encoder-decoder" if config.family in SEPARABLE_ENCODERS else None
    if kind:
        raise ModelUnavailable(
            f"{name} is {kind} ({config.family}), not a masked language model. Use an encoder such as BERT or RoBERTa."
        )


def find_mask_id(folder: Path) -> int | None:
    """Read the id of the mask token; None if the tokenizer has none. Raises ModelUnavailable if it cannot be read."""
    from transformers import AutoTokenizer

    try:
        with silence_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            return tokenizer.mask_token_id if tokenizer.mask_token else None
    except Exception as error:  # the parsers of transformers and tokenizers raise errors of any type
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{folder}: its tokenizer cannot be read ({reason}). Copy the model again.") from None


def open_masked_language_model(
    folder: Path, name: str, *, precision: str = "float32", trust: bool = False
) -> MaskedLanguageModel:
    """Load an encoder with its own head for masked tokens, or with a tied one if its checkpoint has none.

    Args:
        folder: The folder of the encoder.
        name: The encoder's name for the user.
        precision: The number type of the weights.
        trust: Whether to run the folder's own Python code. Its own head is not used then.

    Returns:
        The model on the CPU, in evaluation mode, its parameters without gradients.

    Raises:
        ModelUnavailable: What `check_masked_language_model` raises; the checkpoint is damaged; or the embeddings are
            of another size than the hidden states, so that they are no head.
    """
    mask_id = check_masked_language_model(folder, name, trust=trust)
    network = None if trust else _load_with_own_head(folder, precision)
    if network is not None:
        return MaskedLanguageModel(network, mask_id, has_own_head=True).eval().requires_grad_(False)
    encoder: Any = load_model(folder, precision, trust=trust)
    dim, embedding_dim = read_config(folder).dim, encoder.get_input_embeddings().weight.shape[1]
    if embedding_dim != dim:
        raise ModelUnavailable(
            f"{name} has no head for masked tokens, and its embeddings cannot be one: they have {embedding_dim} "
            f"dimensions, and its hidden states {dim}. Use an encoder with a head."
        )
    return MaskedLanguageModel(encoder, mask_id, has_own_head=False).eval()


def head_note(model: MaskedLanguageModel, name: str) -> str | None:
    """A note for the user on a tied head; None if the model has its own."""
    if model.has_own_head:
        return None
    return f"{name} has no head for masked tokens: its input embeddings serve as one (a tied head)"


def _load_with_own_head(folder: Path, precision: str) -> "PreTrainedModel | None":
    """Load the encoder with the head in its checkpoint; None if there is none."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    try:
        with silence_transformers():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if type(config) not in AutoModelForMaskedLM._model_mapping:
                return None
            network, loading_info = AutoModelForMaskedLM._model_mapping[type(config)].from_pretrained(
                folder,
                config=config,
                dtype=getattr(torch, precision),
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises errors of any type for a bad folder
        reason = str(error).strip().partition("\n")[0]
        raise ModelUnavailable(f"{folder} cannot be loaded as an encoder ({reason}).") from error
    if any(not OPTIONAL_TENSORS.search(key) for key in loading_info["missing_keys"]):
        return None
    add_global_attention(network)
    return network
