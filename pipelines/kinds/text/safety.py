"""Screens that are off unless asked for, since their models are heavy: personal data and offence in synthetic texts."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.errors import InputError
from leaven.generators.text.base import as_texts

SURE = 0.4  # of presidio's confidence, which a telephone number without the word beside it has
OFFENCE = 0.5  # of a classifier's probability
HARMLESS = {"neutral", "non-toxic", "nontoxic", "non_toxic", "not toxic", "clean", "ok", "normal", "label_0"}
BATCH, LONGEST = 32, 256


class PersonalData:
    """Addresses of mail and of machines, numbers of telephones, cards, accounts and people, by presidio's patterns."""

    name = "personal_data"

    def __init__(self, column: str):
        self._column = column
        self._recognizers = recognizers()

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """`personal_data: email address`, and so on, for each text that holds some."""
        return np.array([self._reason(text) for text in as_texts(frame[self._column])], dtype=object)

    def _reason(self, text: str) -> str:
        for recognizer in self._recognizers:
            for found in recognizer.analyze(text, recognizer.supported_entities, None):
                if found.score >= SURE:
                    return f"{self.name}: {found.entity_type.replace('_', ' ').lower()}"
        return ""


@functools.cache
def recognizers() -> tuple[Any, ...]:
    """Presidio's recognizers that need no model of a language.

    Raises:
        InputError: it is not installed.
    """
    try:
        from presidio_analyzer import PatternRecognizer
        from presidio_analyzer import predefined_recognizers as known
    except ImportError:
        raise InputError(
            "screen.personal_data: presidio is not installed; pip install 'leaven[safety]'"
        ) from None
    # Its own recognizer of mail asks the network which domains there are.
    mail = PatternRecognizer(
        supported_entity="EMAIL_ADDRESS", patterns=list(known.EmailRecognizer.PATTERNS), name="mail"
    )
    others = [known.CreditCardRecognizer, known.IbanRecognizer, known.UsSsnRecognizer, known.PhoneRecognizer,
              known.IpRecognizer, known.CryptoRecognizer]  # fmt: skip
    return (mail, *(one() for one in others))


class Toxicity:
    """Texts to which a classifier of transformers that the recipe names gives a label other than harmless."""

    name = "toxicity"

    def __init__(self, column: str, model: str, threads: int):
        self._column, self._threads = column, threads
        self._tokenizer, self._model = classifier(model)
        config = self._model.config
        self._bad = harmful(config)
        # Several labels at once, or one of them, as the model itself says; a single one is its own.
        self._several = config.problem_type == "multi_label_classification" or config.num_labels == 1

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """`toxicity` for each text that the classifier objects to."""
        texts = as_texts(frame[self._column])
        return np.where(self._worst(texts) > OFFENCE, self.name, "").astype(object)

    def _worst(self, texts: Sequence[str]) -> np.ndarray:
        """The highest probability of a harmful label, or of any of them where there is one label a text."""
        import torch

        from leaven.generators.seeds import torch_threads

        found = [np.empty(0)]
        for start in range(0, len(texts), BATCH):
            given = self._tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=LONGEST,
                return_tensors="pt",
            )
            with torch.no_grad(), torch_threads(self._threads):
                said = self._model(**given).logits.double()
            share = said.sigmoid() if self._several else said.softmax(dim=1)
            bad = share[:, self._bad]
            found.append((bad.amax(dim=1) if self._several else bad.sum(dim=1)).numpy())
        return np.concatenate(found)


@functools.cache
def classifier(name: str) -> tuple[Any, Any]:
    """A tokenizer and a classifier of texts, from a folder or by name, in safetensors.

    Raises:
        InputError: they cannot be loaded, or know harmless labels alone.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from leaven.generators.text.quiet import loading

    with loading("screen.toxicity", name, InputError):
        model: Any = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(name)
    if not harmful(model.config):
        told = ", ".join(str(label) for label in model.config.id2label.values())
        raise InputError(f"screen.toxicity: the model '{name}' has harmless labels alone ({told[:100]})")
    return tokenizer, model.eval()


def harmful(config: Any) -> list[int]:
    """Numbers of a classifier's labels that are not harmless by their names; a single label is harmful."""
    labels = [str(config.id2label[number]).lower() for number in range(config.num_labels)]
    return [number for number, label in enumerate(labels) if len(labels) == 1 or label not in HARMLESS]
