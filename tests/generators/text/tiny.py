"""A causal model so small that a test makes it: untrained weights, and a tokenizer of the words that it is shown."""

from collections.abc import Sequence
from pathlib import Path


def causal_model(folder: Path, texts: Sequence[str]) -> Path:
    """A GPT-2 of two small layers with a word for each word of the texts, in a folder as transformers writes it."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    words = sorted({word for text in texts for word in text.replace(":", " : ").split()})
    vocabulary = {word: number for number, word in enumerate(["<end>", "<unknown>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary), n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unknown>"
    ).save_pretrained(folder)
    return folder
