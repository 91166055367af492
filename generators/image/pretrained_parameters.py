"""What a recipe can say of images changed by a pretrained diffusion model."""

import string
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from leaven.generators.contract import Parameters


class PretrainedParameters(Parameters):
    """Parameters of pretrained."""

    model: str = Field(
        description="a diffusers pipeline: a folder, or a name on the Hugging Face hub", min_length=1
    )
    revision: str | None = Field(None, description="of a model on the hub: a commit, tag or branch")
    allow_download: bool = Field(
        False, description="fetch the model when it is not in the Hugging Face cache"
    )
    unsafe: bool = Field(False, description="accept pickled weights, which can run any code when they load")
    strength: float | list[float] = Field(
        [0.2, 0.8],
        description="how far images are noised, above 0 (as they are) to 1 (all noise): one number, the two ends of "
        "a range, or three and more to choose among",
    )
    guidance: float = Field(7.5, description="how closely the prompt is followed; 0 for turbo models", ge=0)
    steps: int = Field(25, description="denoising steps from pure noise; an image takes its share", ge=1)
    prompt: str = Field("a photo of {label}", description="what the model is told; {label}: the class")
    names: dict[str, str] = Field(
        {}, description="words for {label} where a class's own name says little to the model"
    )
    adapt: Literal["none", "lora", "textual_inversion"] = Field(
        "none", description="teach the model the train images: low-rank adapters, or one learned word a class"
    )
    adapt_steps: int = Field(1000, description="of 4 images each", ge=1)
    adapt_rate: float | None = Field(
        None, description="learning rate; left out: 1e-4 for lora, 5e-4 for textual_inversion", gt=0
    )
    rank: int = Field(8, description="of lora's adapters", ge=1, le=256)
    batch: int | None = Field(
        None,
        description="images at once; left out: 1 on a CPU, where more changes bytes and saves little, 8 on a GPU",
        ge=1,
    )
    side: int | None = Field(
        None,
        description="pixels at which the model works; left out: those it was made for",
        ge=8,
        le=2048,
    )

    @field_validator("strength")
    @classmethod
    def _within(cls, value: float | list[float]) -> float | list[float]:
        asked = value if isinstance(value, list) else [value]
        wrong = next((one for one in asked if not 0 < one <= 1), None)
        if wrong is not None or not asked:
            raise ValueError(f"must be above 0 and at most 1; found {wrong if asked else 'none'}")
        if len(asked) == 2 and asked[0] > asked[1]:
            raise ValueError(f"is a range from low to high; found {asked}")
        return value

    @field_validator("prompt")
    @classmethod
    def _fillable(cls, value: str) -> str:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(value) if field is not None]
        except ValueError as error:
            raise ValueError(f"cannot be filled in: {error}") from None
        if wrong := [field for field in fields if field != "label"]:
            raise ValueError(f"has {{{wrong[0]}}}; only {{label}} can be filled in")
        return value

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.adapt == "textual_inversion" and "{label" not in self.prompt:
            raise ValueError(
                f"prompt: needs {{label}}, where textual_inversion puts what it learned; found '{self.prompt}'"
            )
        return self
