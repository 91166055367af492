"""Paraphrases by tiny local models: what is too long, how long an answer may be, and one that comes to no end."""

from pathlib import Path
from typing import Any

import pytest

from leaven.generators.text.local_writer import LocalWriter, positions

from .tiny import causal_model

WORDS = [f"word{n}" for n in range(20)]
ENDING, NEVER = 50.0, -1e9  # what the end mark's score is raised by


def seq2seq_model(folder: Path, ending: float) -> Path:
    """A BART of one small layer with 64 positions, that ends its texts soon or never."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<pad>", "<end>", "<unknown>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.final_logits_bias[0, 1] = ending
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unknown>", pad_token="<pad>"
    ).save_pretrained(folder)
    return folder


def writer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LocalWriter, list[int]]:
    """A writer, and how long each of its answers may be."""
    made, most = LocalWriter(str(folder), 2, "", 1, "cpu", 1), []
    model = made._loaded[1]
    generate = model.generate

    def seen(**options: Any) -> Any:
        most.append(options["max_new_tokens"])
        return generate(**options)

    monkeypatch.setattr(model, "generate", seen)
    return made, most


def test_an_answer_may_be_as_long_as_the_text_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, most = writer(seq2seq_model(tmp_path, ENDING), monkeypatch)
    texts = [" ".join(WORDS[:5]), " ".join(3 * WORDS)]
    said = made.write([("a", text) for text in texts], [1, 2])
    assert most == [2 * 6 + 16, 63]
    assert said == [[], []]  # the end mark at once
    assert made.told() == ""


def test_an_answer_without_an_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = writer(seq2seq_model(tmp_path, NEVER), monkeypatch)
    assert made.write([("a", " ".join(WORDS[:5]))], [1]) == [None]
    assert made.told() == "the model came to no end with 1 texts"


def test_an_answer_that_ends_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    made, _ = writer(seq2seq_model(tmp_path, NEVER), monkeypatch)
    model = made._loaded[1]
    monkeypatch.setattr(model, "generate", lambda **_: torch.tensor([[1, 3, 4, 1, 0], [1, 5, 6, 7, 8]]))
    assert made.write([("a", "word0")], [1]) == [["word0 word1"]]


@pytest.mark.parametrize("both", [True, False])
def test_a_text_that_the_model_cannot_read_has_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    folder = seq2seq_model(tmp_path, ENDING) if both else causal_model(tmp_path, WORDS)
    made, most = writer(folder, monkeypatch)
    assert positions(made._loaded[1]) == 64
    if not both:
        monkeypatch.setattr(made, "_asked", lambda label, text: text)
    said = made.write([("a", " ".join(4 * WORDS)), ("a", "word1")], [1, 2])
    assert said == [None, []]
    assert len(most) == 1
    assert made.told() == "1 texts are longer than the model can read"


def test_a_chat_begins_with_the_model_s_mark_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenizers.processors import TemplateProcessing

    made, _ = writer(causal_model(tmp_path, WORDS), monkeypatch)
    tokenizer, model, _ = made._loaded
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", 0)]
    )
    begun: list[list[int]] = []

    def seen(**options: Any) -> Any:
        begun.append(options["input_ids"][0].tolist())
        return options["input_ids"]

    monkeypatch.setattr(model, "generate", seen)
    monkeypatch.setattr("leaven.generators.text.local_writer.prompt", lambda *_, **__: "word0 word1")
    made.write([("a", "word2")], [1])
    tokenizer.chat_template = "{{ eos_token }}{{ messages[0].content }}"
    made.write([("a", "word2")], [1])
    assert begun[0] == begun[1] and begun[0].count(0) == 1
