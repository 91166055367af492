"""What a recipe says of an endpoint."""

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from leaven.generators.contract import Parameters

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EndpointParameters(BaseModel):
    """Where the model is, and how much may be asked of it."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="base of the protocol, such as http://localhost:8000/v1")
    model: str = Field(min_length=1, description="name of the model there")
    temperature: float = Field(0.9, ge=0, le=2, description="of sampling")
    concurrency: int = Field(8, ge=1, le=256, description="requests on their way at once")
    retries: int = Field(4, ge=0, le=20, description="of a request that fails in passing")
    timeout: float = Field(60.0, gt=0, description="seconds for an answer")
    max_tokens: int | None = Field(
        None,
        gt=0,
        description="tokens, of questions and answers, after which it stops; all fits of a run's process share them",
    )
    price: tuple[_Price, _Price] | None = Field(
        None, description="of a million tokens asked and answered, in any currency"
    )
    max_cost: float | None = Field(
        None,
        gt=0,
        description="cost after which it stops, needs a price; all fits of a run's process share it",
    )

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not re.match(r"https?://[^/@\s]+", value) or "@" in value.split("/")[2]:
            raise ValueError("expected http://HOST/... or https://HOST/..., without a name or key in it")
        try:
            named = bool(urlsplit(value).hostname) and urlsplit(value).port != 0
        except ValueError:
            named = False
        if not named:
            raise ValueError(
                "expected http://HOST:PORT/..., where PORT is a number of 1 to 65535 or left out"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.max_cost is not None and not any(self.price or ()):
            raise ValueError("max_cost needs a price: [asked, answered] of a million tokens, not both 0")
        return self

    @property
    def digest(self) -> dict[str, Any]:
        """What answers depend on."""
        return {"url": self.url, "model": self.model, "temperature": self.temperature}


class ModelOrEndpoint(Parameters):
    """Parameters of a generator that has one of the two write."""

    endpoint: EndpointParameters | None = Field(
        None, description="a model behind an endpoint: url, model, and limits"
    )
    model: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("name either an endpoint or a model")
        return self
