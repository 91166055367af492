"""A classifier that is fine-tuned from a model of transformers, as scikit-learn has its estimators."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from leaven.generators.contract import Budget, silent
from leaven.generators.errors import InputError
from leaven.generators.seeds import derive, torch_threads
from leaven.generators.text.quiet import loading
from leaven.generators.training import Plan, train
from leaven.pipelines.recipe import TUNED

if TYPE_CHECKING:
    import torch

BATCH, ASKED_AT_ONCE = 16, 64
STEPS = 500  # batches of a training, the same for every arm, however many texts it has
RATE = 5e-5
LONGEST = 256  # pieces of a text; the rest is not looked at
_CONFIG = "config.json"
_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Transformer:
    """All weights of a model trained on texts, every class weighing the same. What is random depends on the seed.

    Args:
        name: folder or name of a model in safetensors.
        seed, threads, device: of the training.
    """

    def __init__(self, name: str, seed: int, threads: int, device: str = "cpu"):
        self._name, self._seed, self._threads, self._device = name, seed, threads, device

    def fit(self, texts: Sequence[str], codes: np.ndarray) -> Self:
        """Learn from texts with their class codes.

        Raises:
            InputError: the model cannot be loaded.
        """
        import torch
        from torch.nn.functional import cross_entropy

        self.classes_, own = np.unique(codes, return_inverse=True)
        torch.manual_seed(derive(self._seed, "head") % 2**31)
        self._tokenizer, self._model = _loaded(self._name, len(self.classes_))
        self._model.to(self._device).train()
        weights = torch.tensor(len(own) / (len(self.classes_) * np.bincount(own)), dtype=torch.float32)
        weights = weights.to(self._device)
        each = -(-len(own) // BATCH)

        def loss(step: int) -> "torch.Tensor":
            turn, part = divmod(step, each)
            order = np.random.default_rng(derive(self._seed, "order", turn)).permutation(len(own))
            rows = order[part * BATCH : (part + 1) * BATCH]
            torch.manual_seed(derive(self._seed, "dropout", step) % 2**31)
            truth = torch.from_numpy(own[rows]).to(self._device)
            return cross_entropy(self._logits([texts[row] for row in rows]), truth, weight=weights)

        plan = Plan(STEPS, RATE, every=STEPS, average=0.9, warm_up=max(1, STEPS // 10))
        with torch_threads(self._threads):
            train(self._model, loss, None, plan, budget=Budget(), progress=silent, name=self._name)
        self._model.eval()
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (texts, classes)."""
        import torch

        parts = []
        with torch.no_grad(), torch_threads(self._threads):
            for start in range(0, len(texts), ASKED_AT_ONCE):
                logits = self._logits(list(texts[start : start + ASKED_AT_ONCE]))
                parts.append(logits.double().softmax(dim=1).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes_)))

    def _logits(self, texts: Sequence[str]) -> "torch.Tensor":
        given = self._tokenizer(
            [str(text) for text in texts],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        ).to(self._device)
        found: torch.Tensor = self._model(**given).logits.float()
        return found


def refuse_missing(learner: str) -> None:
    """Look whether the model of a learner `transformer:NAME` can be there. The network is not asked: what may lie on
    the model hub passes, unless the hub is switched off (`HF_HUB_OFFLINE`) and nothing of it has been fetched.

    Raises:
        InputError: there is no such folder, or nothing but a hub that is switched off could have it.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    name = learner.removeprefix(TUNED)
    folder, field = Path(name), f"utility.learners: '{learner}'"
    if folder.is_dir():
        if not (folder / _CONFIG).is_file():
            raise InputError(f"{field}: the folder has no {_CONFIG}; expected a model of transformers")
    elif not _ON_HUB.fullmatch(name):
        raise InputError(f"{field}: there is no folder '{name}'; expected one, or a name on the model hub")
    elif constants.HF_HUB_OFFLINE and not isinstance(try_to_load_from_cache(name, _CONFIG), str):
        raise InputError(f"{field}: there is no folder '{name}', and the model hub is switched off")


def _loaded(name: str, classes: int) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with loading("utility.learners", name, InputError):
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            name, num_labels=classes, use_safetensors=True, ignore_mismatched_sizes=True
        )
        return AutoTokenizer.from_pretrained(name), model
