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


def test_every_arm_takes_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaven.pipelines.kinds.text import transformer

    asked: list[int] = []

    def planned(
        network: object, loss: object, score: object, plan: transformer.Plan, **options: object
    ) -> None:
        asked.append(plan.steps)

    monkeypatch.setattr(transformer, "train", planned)
    name = str(model(tmp_path / "model"))
    X, y = texts()
    for times in (1, 40, 400):
        Transformer(name, 1, 1).fit(np.tile(X, times), np.tile(y, times))
    assert asked == [transformer.STEPS] * 3


@pytest.mark.parametrize(
    "name, told",
    [
        ("./no/such-model", "there is no folder './no/such-model'"),
        ("/no/such/model", "there is no folder"),
        ("a/b/c", "there is no folder"),
        ("{empty}", "the folder has no config.json"),
        ("no/such-model", "the model hub is switched off"),
    ],
)
def test_a_model_that_is_not_there_is_refused_before_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    from huggingface_hub import constants

    from leaven.pipelines.kinds.text import kind
    from leaven.pipelines.recipe import Candidate, Recipe

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    learner = f"transformer:{name.format(empty=tmp_path)}"
    recipe = Recipe.model_validate(
        {"name": "t", "source": {"kind": "text", "path": "none"}, "utility": {"learners": [learner]}}
    )
    with pytest.raises(InputError, match=r"utility\.learners: 'transformer:") as caught:
        kind.refuse(Candidate(generator="edits"), recipe)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_may_be_there_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from leaven.pipelines.kinds.text.transformer import refuse_missing

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    refuse_missing("transformer:someone/some-model")
    refuse_missing("transformer:distilbert-base-uncased")
    refuse_missing(f"transformer:{model(tmp_path / 'model')}")
