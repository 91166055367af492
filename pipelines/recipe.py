"""What a user asks for: the recipe. YAML on disk, pydantic here, a JSON Schema for editors, the form in Prefect."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from leaven.generators.constraints import Constraint
from leaven.generators.errors import InputError
from leaven.generators.schema import TableType

MAX_SEED = 2**32 - 1
MAX_ROWS = 1_000_000_000


def seconds(value: Any) -> Any:
    """`90`, `90s`, `10m`, `1.5h` or `1d` -> seconds. Anything else is left for pydantic to refuse."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
        if not found:
            raise ValueError(f"'{value}' is not a duration such as 90s, 10m or 2h")
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=30 * 86400)]


def text(value: Any) -> Any:
    """A number or truth value where a text is meant (`positive: 1`, a column named 2020) -> its text."""
    return str(value) if isinstance(value, (bool, int, float)) else value


Text = Annotated[str, BeforeValidator(text)]
Name = Annotated[str, BeforeValidator(text), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Source(_Part):
    """Where the real rows are."""

    kind: Literal["table", "image", "text"] = Field(description="what the rows are")
    path: str = Field(min_length=1, description="file or folder, from the recipe's folder")
    delimiter: str | None = Field(None, description="CSV delimiter; found when left out")
    encoding: str | None = Field(None, description="text encoding; found when left out")
    columns: dict[Name, TableType] = Field(
        default_factory=dict, description="types of columns that were understood wrongly: {zip: category}"
    )
    drop: list[Name] = Field(default_factory=list, description="columns to leave out")
    missing: list[Text] = Field(
        default_factory=list, description="further texts that mean missing, such as '?'"
    )
    resolution: int | None = Field(None, ge=8, le=256, description="images: side in pixels")
    text: Name | None = Field(None, description="texts: the text column")


Metric = Literal["roc_auc", "average_precision", "macro_f1", "balanced_accuracy", "accuracy", "f1", "r2"]


class Task(_Part):
    """What the classifier is to predict."""

    target: Name = Field("label", description="the label column")
    type: Literal["classification", "regression"] | None = Field(None, description="follows from the data")
    metric: Metric | None = Field(
        None,
        description="two classes: roc_auc (average_precision when the minority is under 5 %); more: macro_f1; "
        "regression: r2",
    )
    positive: Text | None = Field(
        None, description="the class that counts as positive; the rarer one by default"
    )


class Split(_Part):
    """How real rows are divided before anything is fitted."""

    validation: float = Field(0.2, gt=0, lt=0.9, description="share of rows for choices")
    test: float = Field(0.2, gt=0, lt=0.9, description="share of rows read once, at the end")
    seed: int = Field(7, ge=0, le=MAX_SEED, description="seed of the split and of everything random after it")
    validation_path: str | None = Field(None, description="a file of its own for validation rows")
    test_path: str | None = Field(None, description="a file of its own for test rows")
    group: Name | None = Field(None, description="rows with one value here stay on one side")
    time: Name | None = Field(
        None, description="test rows are the latest by this column, validation those before"
    )

    @model_validator(mode="after")
    def _shares(self) -> "Split":
        share = (0 if self.validation_path else self.validation) + (0 if self.test_path else self.test)
        if share >= 0.95:
            raise ValueError(
                f"validation and test together take {share:.0%} of the rows; at least 5 % must be left to train on"
            )
        if self.group and self.time:
            raise ValueError("group and time exclude each other; choose one")
        return self


class Candidate(BaseModel):
    """A generator to try. Its own parameters stand beside its name."""

    model_config = ConfigDict(extra="allow")

    generator: str = Field(description="a name from the catalog")

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @property
    def label(self) -> str:
        """Name with its parameters, as reports show it."""
        return label(self.generator, self.parameters)


def label(generator: str, parameters: Mapping[str, Any]) -> str:
    """A generator with its parameters: `tvae(epochs=300)`; of an endpoint its model, of other tables their size."""

    def short(value: Any) -> Any:
        return value.get("model") or f"{len(value)} entries" if isinstance(value, Mapping) else value

    return called(generator, {key: short(value) for key, value in parameters.items()})


def called(generator: str, parameters: Mapping[str, Any]) -> str:
    """A generator with its parameters to the last one."""
    inside = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{generator}({inside})" if inside else generator


class Amount(_Part):
    """How many synthetic rows. Exactly one way; several ratios are tried side by side."""

    ratio: (
        Annotated[list[Annotated[float, Field(gt=0, le=1000)]], Field(min_length=1)] | Literal["auto"] | None
    ) = Field(
        None,
        description="times the train rows; auto, as where no amount is given: what has paid for the generator",
    )
    shares: list[Literal["natural", "balanced"]] | None = Field(
        None,
        description="with ratio: classes as often as in train (natural), or equally often (balanced); several are "
        "tried. Both where the ratio is auto, else natural",
        min_length=1,
    )
    rows: Annotated[int, Field(gt=0, le=MAX_ROWS)] | None = Field(None, description="so many in all")
    per_class: dict[str, Annotated[int, Field(gt=0, le=MAX_ROWS)]] | None = Field(
        None, description="rows per label", min_length=1
    )
    balance: bool | None = Field(None, description="fill every class up to the largest")
    where: list[str] = Field(default_factory=list, description="conditions that every row meets: ['age>=60']")

    @field_validator("ratio", "shares", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        one = isinstance(value, (int, float, str)) and not isinstance(value, bool) and value != "auto"
        return [value] if one else value

    @field_validator("per_class", mode="before")
    @classmethod
    def _labels_are_texts(cls, value: Any) -> Any:
        return {str(key): count for key, count in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way(self) -> "Amount":
        ways = [self.ratio, self.rows, self.per_class, self.balance or None]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("give one of ratio, rows, per_class and balance, not several")
        if self.shares is not None and any(way is not None for way in ways[1:]):
            raise ValueError("shares goes with ratio alone")
        if not any(way is not None for way in ways):
            self.ratio = "auto"
        if self.ratio == "auto" and self.shares is None and not self.where:
            self.shares = ["natural", "balanced"]
        return self


Agreement = Annotated[float, Field(gt=0, le=1)] | Literal["mild", "strict", False]
TUNED = "transformer:"  # a learner's name begins so, where the rest names its model
LEVELS: tuple[Any, ...] = (False, "mild", "strict")  # of label agreement, that `auto` tries


class Screen(_Part):
    """Which synthetic rows are dropped; `false` switches a screen off."""

    type_and_range: bool = Field(True, description="values outside what train rows have")
    constraints: bool = Field(True, description="rows that break the recipe's constraints")
    copies: bool = Field(True, description="exact copies of train rows that are unique there")
    near_copies: Annotated[float, Field(gt=0, le=1)] | Literal[False] = Field(
        0.01,
        description="rows this close to a train row: all categories equal, numbers within this share of their spread; "
        "images: as close as this share of real images that were held out",
    )
    duplicates: bool = Field(
        True, description="images and texts: those that equal an earlier synthetic one; texts also nearly"
    )
    length: bool = Field(
        True, description="texts: much longer or shorter than real ones, or repeating themselves"
    )
    entities: bool = Field(
        True,
        description="texts: numbers, addresses, code and names that are not those of the text they started from",
    )
    language: bool = Field(True, description="texts: in another language than the real ones")
    meaning: Annotated[float, Field(ge=0, le=1)] | Literal[False] = Field(
        0.5,
        description="texts: least cosine to the text they started from, by a sentence encoder; those that hardly "
        "differ from it go as well",
    )
    personal_data: bool = Field(
        False,
        description="texts: addresses of mail, numbers of telephones, cards and accounts (leaven[safety])",
    )
    toxicity: str | Literal[False] = Field(
        False,
        description="texts: what a classifier of transformers, a folder or name, finds toxic; such as "
        "unitary/toxic-bert",
    )
    out_of_distribution: Annotated[float, Field(gt=0, lt=1)] | Literal[False] = Field(
        0.01,
        description="images: farther from train than all but this share of real images that were held out",
    )
    focus: Literal["late", False] = Field(
        False, description="images: keep only those of the kind that a classifier learns late"
    )
    label_agreement: Literal["auto"] | Agreement | list[Agreement] = Field(
        "auto",
        description="how well a row's label must fit its other columns, by classifiers cross-fitted on train: false, "
        "mild, strict, or the least P(own label) / P(likeliest label); a list is tried level by level; auto: those "
        "of false, mild and strict that have paid for the generator",
    )

    reject_file: str | None = Field(
        None,
        description="rows that a person marked as bad (Parquet, CSV or JSON lines): those equal to one of them, in the "
        "columns that the file has, are dropped; tables and texts",
    )

    @field_validator("label_agreement")
    @classmethod
    def _some_level(cls, value: Any) -> Any:
        if value == []:
            raise ValueError("is empty; name at least one level, or false")
        return value

    @property
    def level(self) -> Any:
        """The first level of label agreement, the only one where nothing is left to try."""
        return self.levels()[0].label_agreement

    def levels(self) -> list["Screen"]:
        """The screens to try, each with one level of label agreement, as given; a level named twice counts once."""
        asked = self.label_agreement
        several = LEVELS if asked == "auto" else asked if isinstance(asked, list) else [asked]
        return [self.model_copy(update={"label_agreement": level}) for level in dict.fromkeys(several)]


class Utility(_Part):
    """How lift is measured."""

    repeats: int = Field(5, ge=1, le=100, description="seeds for learners that are random")
    learners: list[str] | None = Field(None, min_length=1, description="names, or module:factory of your own")
    draws: int = Field(1000, ge=100, le=100_000, description="bootstrap draws for the intervals")
    max_rows: int = Field(100_000, ge=100, description="at most so many rows of each arm train a learner")
    folds: int = Field(5, ge=2, le=20, description="folds where validation is small (under 1,000 rows)")
    classic: dict[str, Any] | None = Field(
        None,
        description="images: your own augmentation, as albumentations.to_dict gives it, to be beaten as well",
    )


class Quality(_Part):
    """How synthetic and real rows are compared."""

    extractor: str = Field(
        "resnet9",
        description="images: the features in which they are compared: resnet9, a classifier trained on train; "
        "torchvision:NAME; a TorchScript file (FILE, or FILE@SIDE); or module:factory",
    )


class BudgetPart(_Part):
    """Time limits."""

    fit: Seconds = Field(600.0, description="seconds (or 10m) for one fit; it stops at its best state")
    total: Seconds = Field(7200.0, description="seconds (or 2h) for the whole run; what is left out is said")


class Gate(_Part):
    """A bound on one number of the report."""

    min: float | None = Field(None, description="least value; for lift: `lift.low` must be above it")
    max: float | None = Field(None, description="largest value")
    margin: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="privacy: how far above the held-out floor and its noise is still allowed"
    )


class Schedule(_Part):
    """When `leaven serve` runs the recipe."""

    cron: str | None = Field(None, description="cron expression")
    interval: Seconds | None = Field(None, description="every so many seconds (or 12h)")
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _one_way(self) -> "Schedule":
        if (self.cron is None) == (self.interval is None):
            raise ValueError("give either cron or interval")
        return self


Reference = Annotated[str, Field(pattern=r"^env:[A-Za-z_][A-Za-z0-9_]*$")]


class Notify(_Part):
    """Who is told when a version was released or withheld."""

    webhook: str | None = Field(
        None, description="gets JSON by POST: a URL, or env:NAME for one that an environment variable holds"
    )
    token: Reference | None = Field(
        None, description="env:NAME of the variable whose value is sent as bearer token"
    )

    @field_validator("webhook")
    @classmethod
    def _no_secret(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", value):
            return value
        # What the URL holds is not repeated: it may be the secret.
        if not re.match(r"https?://[^/]", value):
            raise ValueError("is neither a URL (https://…) nor env:NAME")
        if re.search(r"[@?#]", value) or not re.fullmatch(r"https?://[^/]+(/[A-Za-z_.-]{0,15})*/?", value):
            raise ValueError(
                "has a user, a query, or a path that may be secret; put the URL into an environment variable, and "
                "write env:NAME"
            )
        return value


class Recipe(_Part):
    """What to learn from, what to try, how much to make, and what must hold before it is released."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="name of the dataset in the store"),
    ]
    source: Source
    task: Task = Field(default_factory=Task)  # type: ignore[arg-type]
    split: Split = Field(default_factory=Split)  # type: ignore[arg-type]
    constraints: list[Constraint] = Field(
        default_factory=list, description="what must hold in every row (tables)"
    )
    candidates: list[Candidate] | Literal["auto"] = Field("auto", description="generators tried side by side")
    amount: Amount = Field(default_factory=Amount)  # type: ignore[arg-type]
    screen: Screen = Field(default_factory=Screen)  # type: ignore[arg-type]
    utility: Utility = Field(default_factory=Utility)  # type: ignore[arg-type]
    quality: Quality = Field(default_factory=Quality)  # type: ignore[arg-type]
    budget: BudgetPart = Field(default_factory=BudgetPart)  # type: ignore[arg-type]
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="cuda when there is one; `cuda` demands it"
    )
    gates: dict[str, Gate | bool] = Field(
        default_factory=dict,
        description="merged over the defaults (lift, copies, near_copies, worst_attack); false switches one off; "
        "approval: true has a version wait for a person, once all others have passed",
    )
    schedule: Schedule | None = None
    notify: Notify | None = Field(None, description="who is told when a version was released or withheld")
    store: str = Field("data/store", description="folder or URI of the store")
    threads: int = Field(2, ge=1, le=256, description="threads of a fit; equal bytes need equal threads")
    workers: int = Field(1, ge=1, le=256, description="processes that sample shards; never changes the bytes")
    shard_rows: int = Field(50_000, ge=100, le=10_000_000, description="rows in one shard")

    @field_validator("candidates")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value == []:
            raise ValueError("is empty; leave it out for `auto`, or name at least one generator")
        return value


def resolve(path: str, folder: Path) -> Path:
    """A path of the recipe, counted from the recipe's folder; what lies in a bucket is copied to this machine.

    Raises:
        InputError: an address in the web; or see `distant.near`.
    """
    if re.match(r"\s*(https?|ftps?)://", path, re.IGNORECASE):  # a recipe must not make a server ask around
        shown = path.partition("?")[0]  # what follows may be a secret
        raise InputError(
            f"'{shown}' is an address in the web, and none is fetched; expected a file or folder (fetch it first)"
        )
    if "://" in path:
        from leaven.pipelines.distant import near

        return near(path)
    return (folder / Path(path).expanduser()).resolve()
