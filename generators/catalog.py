"""Name -> generator. A class is imported only when it is used, since some of them import heavy libraries."""

import difflib
import importlib
from typing import Any, Literal, NamedTuple

from leaven.generators.contract import Generator, Parameters
from leaven.generators.errors import InputError


class Entry(NamedTuple):
    """Where a generator's class lives and what a person reads about it."""

    kind: Literal["table", "image", "text"]
    path: str  # module:class
    about: str
    control: bool = False  # known-bad on purpose: for comparison, never tried by `auto`
    parameters: str | None = None  # module:class of its parameters, where the class is heavy to import


CATALOG: dict[str, Entry] = {  # a name that stands for another kind already is written kind/name
    "autoregressive": Entry(
        "table",
        "leaven.generators.table.autoregressive:Autoregressive",
        "Leaven's own: a network that predicts any column from any others; fast, conditional on anything",
    ),
    "distillation": Entry(
        "table",
        "leaven.generators.table.distillation:Distillation",
        "Leaven's own for few rows: features near train rows, labelled by an ensemble",
    ),
    "gaussian_copula": Entry(
        "table",
        "leaven.generators.table.sdv_copula:GaussianCopula",
        "SDV's Gaussian copula on empirical marginals: fast, weak on dependence",
    ),
    "ctgan": Entry(
        "table", "leaven.generators.table.sdv_networks:CTGAN", "SDV's conditional tabular GAN: slow to train"
    ),
    "tvae": Entry(
        "table", "leaven.generators.table.sdv_networks:TVAE", "SDV's tabular variational autoencoder"
    ),
    "copula_gan": Entry(
        "table", "leaven.generators.table.sdv_networks:CopulaGAN", "SDV's CTGAN on copula-normalised columns"
    ),
    "smote": Entry(
        "table",
        "leaven.generators.table.smote:Smote",
        "SMOTE-NC: rows between a train row and its neighbour of the same class",
    ),
    "bootstrap": Entry(
        "table",
        "leaven.generators.table.controls:Bootstrap",
        "control: train rows drawn with replacement",
        control=True,
    ),
    "independent_columns": Entry(
        "table",
        "leaven.generators.table.controls:IndependentColumns",
        "control: each column drawn on its own",
        control=True,
    ),
    "memoriser": Entry(
        "table",
        "leaven.generators.table.controls:Memoriser",
        "control: train rows with almost invisible noise",
        control=True,
    ),
    "policy": Entry(
        "image",
        "leaven.generators.image.policy:Policy",
        "train images changed by albumentations: TrivialAugment, or a pipeline of your own",
    ),
    "image/distillation": Entry(
        "image",
        "leaven.generators.image.distillation:Distillation",
        "Leaven's own for few images: mixes of train images, labelled by an ensemble",
        parameters="leaven.generators.image.parameters:DistillationParameters",
    ),
    "gan": Entry(
        "image",
        "leaven.generators.image.gan:Gan",
        "adversarial network: relativistic loss with gradient penalties, augmented discriminator; sharp, fast to draw",
        parameters="leaven.generators.image.parameters:GanParameters",
    ),
    "vae": Entry(
        "image",
        "leaven.generators.image.vae:VAE",
        "Leaven's own: a variational autoencoder with a learned prior; also images between two of a class",
        parameters="leaven.generators.image.parameters:VAEParameters",
    ),
    "diffusion": Entry(
        "image",
        "leaven.generators.image.diffusion:Diffusion",
        "Leaven's own: flow matching with a small U-Net; guided by class, ten evaluations an image at most",
        parameters="leaven.generators.image.parameters:DiffusionParameters",
    ),
    "image/autoregressive": Entry(
        "image",
        "leaven.generators.image.autoregressive:Autoregressive",
        "images as codes that a transformer predicts one by one; gives likelihoods too",
        parameters="leaven.generators.image.parameters:AutoregressiveParameters",
    ),
    "pretrained": Entry(
        "image",
        "leaven.generators.image.pretrained:Pretrained",
        "a diffusion model that you name, through diffusers: train images noised part of the way and denoised",
        parameters="leaven.generators.image.pretrained_parameters:PretrainedParameters",
    ),
    "image/memoriser": Entry(
        "image",
        "leaven.generators.image.controls:Memoriser",
        "control: train images with almost invisible noise",
        control=True,
    ),
    "class_words": Entry(
        "text",
        "leaven.generators.text.class_words:ClassWords",
        "Leaven's own for few texts: what a label says, and words that a sentence encoder finds near to it",
    ),
    "back_translation": Entry(
        "text",
        "leaven.generators.text.back_translation:BackTranslation",
        "train texts translated into another language and back, by Leaven's own small models or yours",
    ),
    "language_model": Entry(
        "text",
        "leaven.generators.text.language_model:LanguageModel",
        "new texts of each class by a language model: behind an endpoint, or a small one fine-tuned on train",
    ),
    "paraphrase": Entry(
        "text",
        "leaven.generators.text.paraphrase:Paraphrase",
        "train texts in other words, by a language model that you name: local, or behind an endpoint",
    ),
    "edits": Entry(
        "text",
        "leaven.generators.text.edits:Edits",
        "train texts with words swapped, deleted or repeated (EDA), or punctuation put in (AEDA)",
    ),
}


def names(kind: str | None = None) -> list[str]:
    """Names of the generators of one kind, or of all."""
    found = [_name(key) for key, entry in CATALOG.items() if kind in (None, entry.kind)]
    return list(dict.fromkeys(found))


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def entry(name: str, kind: str | None = None) -> Entry:
    """The catalog's entry.

    Raises:
        InputError: no such generator (names the nearest), or one for another kind of data.
    """
    for key, found in CATALOG.items():
        if _name(key) == name and kind in (None, found.kind):
            return found
    known = names(kind)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
    other = f" for {kind} data" if kind else ""
    raise InputError(f"unknown generator '{name}'{other}; {hint}")


def get(name: str, kind: str | None = None) -> type[Generator]:
    """The generator's class, imported now."""
    found: type[Generator] = _imported(entry(name, kind).path)
    return found


def parameters(name: str, kind: str | None = None) -> type[Parameters]:
    """The model of the generator's parameters, without what is heavy to import."""
    found = entry(name, kind)
    model: type[Parameters] = (
        _imported(found.parameters) if found.parameters else _imported(found.path).Parameters
    )
    return model


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
