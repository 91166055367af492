"""What the columns of a table are. Names and types only: statistics are learned from train rows, never kept here."""

import math
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

TableType = Literal["number", "integer", "boolean", "category", "date", "text", "identifier"]
ColumnType = Literal[TableType, "image"]

_ARROW = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "date": pa.timestamp("us"),
    "text": pa.string(),
}


class Column(BaseModel):
    """One column.

    Attributes:
        storage: how an identifier is stored: as an integer or as a string.
        shape: height, width and channels of images, which are stored as uint8 pixels in that order.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    type: ColumnType
    nullable: bool = False
    storage: Literal["int64", "string"] = "string"
    shape: tuple[int, int, int] | None = Field(None, exclude_if=lambda shape: shape is None)

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type in which the column is stored."""
        if self.shape is not None:
            return pa.binary(math.prod(self.shape))
        if self.type == "identifier":
            return pa.int64() if self.storage == "int64" else pa.string()
        return _ARROW[self.type]

    @property
    def learnable(self) -> bool:
        """Whether generators and classifiers may use the column (identifiers and free text are not learned)."""
        return self.type not in ("identifier", "text")


class Schema(BaseModel):
    """The columns of a table in their order, and which one is the target (the label)."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[Column, ...]
    target: str

    def __iter__(self) -> Iterator[Column]:  # type: ignore[override]
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def of(self, *types: ColumnType) -> list[str]:
        """Names of the columns of the given types, in order."""
        return [column.name for column in self.columns if column.type in types]

    @property
    def features(self) -> list[Column]:
        """The learnable columns without the target."""
        return [column for column in self.columns if column.learnable and column.name != self.target]

    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])
