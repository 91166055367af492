"""New texts of a class by a language model: one behind an endpoint, shown examples of the class and of its neighbours,
or a small one that is fine-tuned on train (Anaby-Tavor et al., "Do Not Have Enough Data? Deep Learning to the Rescue!",
AAAI 2020: LAMBADA, whose filter is our label screen).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.seeds import derive
from leaven.generators.text.asking import EndpointWriter, answers_to
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.endpoint import Endpoint
from leaven.generators.text.endpoint_parameters import ModelOrEndpoint
from leaven.generators.text.plain import plain
from leaven.generators.text.prompts import prompt

WRITTEN, TUNED = "written.json", "tuned"


class LanguageModelParameters(ModelOrEndpoint):
    """Parameters of language_model."""

    model: str | None = Field(
        None, description="a local causal model, folder or name, that is fine-tuned on the train texts"
    )
    prompt: int = Field(1, ge=1, description="endpoint: version of the prompt")
    texts: int = Field(60, ge=1, description="endpoint: texts that are asked for of each class")
    at_once: int = Field(10, ge=1, le=50, description="endpoint: texts in one answer")
    examples: int = Field(8, ge=1, le=100, description="endpoint: train texts of the class in a prompt")
    neighbours: int = Field(3, ge=0, le=20, description="endpoint: nearest other classes in a prompt")
    epochs: int = Field(20, ge=1, description="model: passes over the train texts, unless the budget ends it")
    rate: float = Field(5e-5, gt=0, description="model: learning rate")
    temperature: float = Field(1.0, gt=0, le=5, description="model: of sampling")
    top_p: float = Field(0.95, gt=0, le=1, description="model: share of the likeliest pieces drawn from")


class LanguageModel(TextGenerator):
    """New texts of each class."""

    name = "language_model"
    role: ClassVar[Literal["sampler", "editor"]] = "sampler"
    Parameters = LanguageModelParameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self._written: list[list[str]] = []  # by class, what the endpoint wrote
        self._tuned: Any = None

    def to(self, device: str) -> Self:
        if self._tuned is not None:
            self._tuned.to(device)
        return super().to(device)

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        if self.parameters.model is None:
            return self._ask(seed, budget, progress)
        from leaven.generators.text.tuned import Tuned

        self._tuned, report = Tuned.fit(
            self.parameters.model,
            self.texts,
            [self.classes[label] for label in self.labels],
            epochs=self.parameters.epochs,
            rate=self.parameters.rate,
            seed=seed,
            budget=budget,
            device=self.device,
            threads=self.threads,
            progress=progress,
        )
        return report

    def _ask(self, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Ask the endpoint for texts of every class, so that sampling only chooses."""
        asked = self.parameters
        near = self._neighbours() if asked.neighbours else [[] for _ in self.classes]
        rounds = math.ceil(asked.texts / asked.at_once)
        items = [
            (self._prompt(label, near[label], derive(seed, self.classes[label], turn)), turn)
            for turn in range(rounds)
            for label in range(len(self.classes))
        ]
        writer = EndpointWriter(Endpoint(asked.endpoint), lambda item: str(item[0]))
        answers = answers_to(
            self.name,
            items,
            writer,
            {},
            budget=budget,
            progress=lambda done: progress(
                done / len(items), f"{self.name}: {done:,} of {len(items):,} requests"
            ),
        )
        self._written = [
            list(
                dict.fromkeys(
                    plain(text) for said in answers.texts[label :: len(self.classes)] for text in said
                )
            )
            for label in range(len(self.classes))
        ]
        without = [label for label, found in zip(self.classes, self._written, strict=True) if not found]
        if len(without) == len(self.classes):
            told = writer.told() or f"{answers.asked:,} of {len(items):,} requests were made"
            raise FitError(f"{self.name}: no text was written ({told})")
        notes = [writer.told()] if writer.told() else []
        notes += (
            [f"no text was written for {len(without):,} classes: {', '.join(without[:5])}"] if without else []
        )
        return answers.report(notes, "the budget ended it before all texts were asked for")

    def _neighbours(self) -> list[list[int]]:
        """For each class the others whose texts lie nearest to its own, nearest first."""
        from leaven.generators.text.encoder import class_means

        means = class_means(self.texts, self.labels, len(self.classes), self.threads)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        alike = means @ means.T
        np.fill_diagonal(alike, -np.inf)
        order = np.argsort(-alike, axis=1, kind="stable")[
            :, : min(self.parameters.neighbours, len(means) - 1)
        ]
        return [row.tolist() for row in order]

    def _prompt(self, label: int, near: Sequence[int], seed: int) -> str:
        """Ask for texts of a class, with some of its own and one or two of each neighbour; equal seeds ask the same."""
        rng = np.random.default_rng(seed)

        def some(code: int, count: int) -> list[str]:
            own = np.flatnonzero(self.labels == code)
            return [self.texts[row] for row in rng.permutation(own)[:count]]

        def lines(texts: Sequence[str]) -> str:
            return "\n".join(f"- {' '.join(text.split())}" for text in texts)

        others = [f'"{self.classes[code]}":\n{lines(some(code, 2))}' for code in near]
        return prompt(
            self.name,
            self.parameters.prompt,
            count=str(self.parameters.at_once),
            label=self.classes[label],
            examples=lines(some(label, self.parameters.examples)),
            neighbours="\n".join(others) or "(none)",
        )

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        if self._tuned is not None:
            settings = {"temperature": self.parameters.temperature, "top_p": self.parameters.top_p}
            labels = [self.classes[ask.label] for ask in asked]
            return self._tuned.write(labels, [ask.seed for ask in asked], **settings)
        return [self._chosen(ask, asked[0].seed) for ask in asked]

    def _chosen(self, ask: Ask, shard: int) -> str:
        """One of the texts written for the class: all of them in a shard's own order before one comes again."""
        found = self._written[ask.label]
        order = np.random.default_rng(derive(shard, ask.label)).permutation(len(found))
        return found[order[ask.replicate % len(found)]] if found else ""

    def _save(self, directory: Path) -> None:
        if self._tuned is not None:
            self._tuned.save(directory / TUNED)
        else:
            (directory / WRITTEN).write_text(json.dumps(self._written, ensure_ascii=False), encoding="utf-8")

    def _load(self, directory: Path) -> None:
        if self.parameters.model is None:
            self._written = json.loads((directory / WRITTEN).read_text(encoding="utf-8"))
            return
        from leaven.generators.text.tuned import Tuned

        self._tuned = Tuned.load(directory / TUNED, self.device, self.threads)
