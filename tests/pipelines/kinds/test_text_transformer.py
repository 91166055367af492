"""A model that the recipe names, fine-tuned as a learner."""

from pathlib import Path

import numpy as np
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.text.learners import learners
from leaven.pipelines.kinds.text.transformer import Transformer
from leaven.pipelines.task import Task

TASK = Task(target="label", type="classification", metric="macro_f1", classes=("cold", "hot", "wet"))
WORDS = {"cold": ("ice", "snow", "frost"), "hot": ("sun", "fire", "heat"), "wet": ("rain", "sea", "drop")}


def model(folder: Path) -> Path:
    """A BERT of one small layer that nobody has trained."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "there", "is", "much", *(word for of in WORDS.values() for word in of)]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, initializer_range=0.3)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    return folder


def texts() -> tuple[np.ndarray, np.ndarray]:
    made = [(f"there is {much}{word}", code) for code, of in enumerate(WORDS.values())
            for word in of for much in ("", "much ")]  # fmt: skip
    return np.array([text for text, _ in made], dtype=object), np.array([code for _, code in made])


def test_it_learns_and_depends_on_its_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaven.pipelines.kinds.text import transformer

    monkeypatch.setattr(transformer, "RATE", 3e-3)  # what nobody has trained has more to learn
    (learner,) = learners(TASK, [f"transformer:{model(tmp_path / 'model')}"])
    assert learner.random
    X, y = texts()
    found = learner.fit_predict(X, y, None, X, 1, 1)
    assert found.shape == (18, 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(18))
    assert (found.argmax(axis=1) == y).all()
    assert (learner.fit_predict(X, y, None, X, 1, 1) == found).all()
    assert (learner.fit_predict(X, y, None, X, 2, 1) != found).any()


def test_a_class_that_is_not_there_has_no_probability(tmp_path: Path) -> None:
    (learner,) = learners(TASK, [f"transformer:{model(tmp_path / 'model')}"])
    X, y = texts()
    found = learner.fit_predict(X[y != 1], y[y != 1], None, X, 1, 1)
    assert (found[:, 1] == 0).all()


def test_what_is_no_model_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"utility\.learners: the model .* cannot be loaded") as caught:
        Transformer(str(tmp_path), 1, 1).fit(*texts())
    assert "\n" not in str(caught.value)
