"""What `auto` stands for with images, by how many there are and how large they are."""

import math

import pytest

from leaven.generators import catalog
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.image.kind import (
    FEW,
    MOST_BYTES,
    auto_candidates,
    usual_levels,
    usual_ratio,
)
from leaven.pipelines.kinds.image.learners import learners, steps
from leaven.pipelines.task import Task

TASK = Task(type="classification", target="label", classes=("a", "b", "c"), metric="macro_f1")


def schema(side: int = 28, channels: int = 1) -> Schema:
    shape = (side, side, channels)
    return Schema(
        columns=(Column(name="image", type="image", shape=shape), Column(name="label", type="category")),
        target="label",
    )


@pytest.mark.parametrize("rows", [30, FEW, FEW + 1, 100_000])
def test_auto_tries_mixes_alone_beside_few_images(rows: int) -> None:
    tried = [candidate.generator for candidate in auto_candidates(schema(), TASK, rows)]
    assert tried == ["distillation" if rows <= FEW else "diffusion"]
    assert not any(catalog.entry(name, "image").control for name in tried)


def test_many_synthetic_images_beside_few_real_ones() -> None:
    for name in catalog.names("image"):
        assert usual_levels(name)
        ratios = [usual_ratio(name, schema(), rows) for rows in (20, FEW, FEW + 1, 10**7)]
        assert ratios == ([20, 20, 20, 1] if name == "distillation" else [5, 5, 1, 1])


@pytest.mark.parametrize("side", [8, 64, 256])
def test_their_pixels_fit_into_memory(side: int) -> None:
    for rows in (10, 300, FEW):
        ratio = usual_ratio("distillation", schema(side, 3), rows)
        assert ratio >= 1 and ratio * rows * math.prod((side, side, 3)) <= MOST_BYTES


def test_the_classifier_learns_longer_from_images_that_are_not_tiny() -> None:
    (network,) = learners(TASK)
    assert steps(8) == steps(16) == 500 and steps(28) == steps(256) == 1_000
    assert network.share == 1 and network.quick().share == 0.6 == network.quick().quick().share
