"""The screens that a recipe turns on: personal data, and what a classifier finds toxic."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.text.safety import PersonalData, Toxicity


def reasons(screen: PersonalData | Toxicity, *texts: str) -> list[str]:
    return [str(reason) for reason in screen.reasons(pd.DataFrame({"text": texts}))]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("write to a.b@example.org", "personal_data: email address"),
        ("call +49 30 1234567 at noon", "personal_data: phone number"),
        ("my card is 4111 1111 1111 1111", "personal_data: credit card"),
        ("pay to DE89370400440532013000", "personal_data: iban code"),
        ("the printer is at 10.1.2.3", "personal_data: ip address"),
        ("the train at 9:30 was 20 minutes late", ""),
        ("", ""),
    ],
)
def test_personal_data_goes(text: str, reason: str) -> None:
    assert reasons(PersonalData("text"), text) == [reason]


def tiny_classifier(folder: Path, several: bool) -> Path:
    """A BERT of one small layer that has learned that `awful` is toxic."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "you", "are", "awful", "kind", "the", "people"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    torch.manual_seed(0)
    labels = {0: "toxic", 1: "insult"} if several else {0: "neutral", 1: "toxic"}
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label=labels, problem_type="multi_label_classification" if several else "single_label_classification",
    )  # fmt: skip
    model = BertForSequenceClassification(config).train()
    texts = ["you are awful", "you are kind", "awful people", "kind people"]
    given = fast(texts, return_tensors="pt", padding=True)
    bad = torch.tensor([1.0, 0.0, 1.0, 0.0])
    told = torch.stack([bad, torch.zeros(4)], dim=1) if several else bad.long()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        model(**given, labels=told).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("several", [False, True])
def test_what_a_classifier_finds_toxic_goes(tmp_path: Path, several: bool) -> None:
    screen = Toxicity("text", str(tiny_classifier(tmp_path / "model", several)), threads=1)
    assert reasons(screen, "the people are awful", "the people are kind", "awful you") == [
        "toxicity",
        "",
        "toxicity",
    ]
    assert len(screen.reasons(pd.DataFrame({"text": np.array([], object)}))) == 0


def test_a_folder_that_is_no_classifier_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"screen\.toxicity: the model .* cannot be loaded") as caught:
        Toxicity("text", str(tmp_path), threads=1)
    assert "\n" not in str(caught.value)


def single(folder: Path, labels: dict[int, str]) -> Path:
    """An untrained classifier with these labels."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tiny_classifier(folder, False)
    config = BertConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(folder)), hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, id2label=labels,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_the_only_label_of_a_classifier_is_harmful_whatever_its_name(tmp_path: Path) -> None:
    screen = Toxicity("text", str(single(tmp_path / "model", {0: "LABEL_0"})), threads=1)
    assert set(reasons(screen, "the people are awful", "kind people")) <= {"", "toxicity"}


def test_a_classifier_of_harmless_labels_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has harmless labels alone") as caught:
        Toxicity("text", str(single(tmp_path / "model", {0: "neutral", 1: "OK"})), threads=1)
    assert "\n" not in str(caught.value)
