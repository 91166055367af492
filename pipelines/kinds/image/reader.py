"""Labelled images -> Parquet of pixels: one pass to see sizes and colours, one to decode. Broken ones are set aside."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.image.pixels import image_shape
from leaven.generators.schema import Column, Schema
from leaven.pipelines import target as targets
from leaven.pipelines.kinds import ingested
from leaven.pipelines.kinds.image.decode import Fault, Look, decode, eight_bits, fit, look
from leaven.pipelines.kinds.image.sources import Images, Item, open_images
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.row_digest import row_digests

IMAGE = "image"  # the column of pixels
LEAST_SIDE, MOST_SIDE, USUAL_SIDE = 8, 256, 64
_BATCH_BYTES = 2**24  # of pixels that are written at once


@dataclass
class _Written:
    """What stands in a Parquet file, and what does not."""

    rows: int = 0
    digest: str = ""
    labels: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, str, str]] = field(default_factory=list)


def read(
    recipe: Recipe,
    folder: Path,
    out: Path,
    *,
    keep: Mapping[str, Column] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Read the recipe's images into `out`: columns `image` (uint8 pixels, height x width x channels) and the target.

    Arguments, files and result are those of `ingest`. `keep`: the earlier run's column of images, whose shape stays.

    Raises:
        InputError: a structural fault of a source, or a recipe that does not fit it.
    """
    asked = recipe.task.target
    source = open_images(resolve(recipe.source.path, folder), _target(recipe), "source.path")
    if asked == IMAGE:
        raise InputError(f"task.target: '{IMAGE}' is the column of pixels; give the labels another name")
    others = {
        part: open_images(resolve(text, folder), _target(recipe), f"split.{part}_path")
        for part, text in (("validation", recipe.split.validation_path), ("test", recipe.split.test_path))
        if text is not None
    }
    parts = {"rows": source, **others}
    warnings = [note for one in parts.values() for note in one.notes]
    shape = keep[IMAGE].shape if keep and IMAGE in keep else _shape(recipe, parts, warnings, progress)
    assert shape is not None
    schema = Schema(
        columns=(Column(name=IMAGE, type="image", shape=shape), Column(name=asked, type="category")),
        target=asked,
    )
    written = {part: _write(one, schema, out / f"{part}.parquet", progress) for part, one in parts.items()}
    main = written["rows"]
    for part, one in written.items():
        _refuse_mostly_faulty(parts[part], one)
    task, told = targets.understand(recipe.task, schema[asked], "classification", main.labels)
    for part in others:
        targets.same_labels(task, f"split.{part}_path", parts[part].path.name, written[part].labels)
    rejected = _write_rejected(out / "rejected.parquet", parts, written)
    if rejected:
        warnings.append(f"{rejected} images cannot be used and were set aside (rejected.parquet)")
    return ingested.finish(
        out,
        schema,
        _profile(schema, main),
        {part: one.digest for part, one in written.items()},
        rows=main.rows,
        rejected=rejected,
        task=task,
        warnings=[*warnings, *told],
    )


def _target(recipe: Recipe) -> str:
    """The label's name in the source: `y` in npz unless the recipe says otherwise."""
    named = "target" in recipe.task.model_fields_set and recipe.task.target != "label"
    return recipe.task.target if named or not recipe.source.path.endswith(".npz") else "y"


def _shape(
    recipe: Recipe, parts: Mapping[str, Images], warnings: list[str], progress: Progress
) -> tuple[int, int, int]:
    """Side, side and channels that all images are brought to: colour as soon as one image has it."""
    seen: Counter[tuple[int, int]] = Counter()
    channels = 1
    for source in parts.values():
        for item in source.items():
            found = _seen(item)
            if found is not None:
                seen[found.height, found.width] += 1
                channels = max(channels, found.channels)
            progress(float("nan"), f"looked at {item.number + 1:,} of {len(source):,} images")
    if not seen:
        return (USUAL_SIDE, USUAL_SIDE, 1)  # nothing can be read: told where the rows are written
    side = recipe.source.resolution
    if side is None:
        (height, width), *others = seen
        if not others and height == width and LEAST_SIDE <= height <= MOST_SIDE:
            return height, width, channels
        side = USUAL_SIDE
        low, high = min(seen, key=np.prod), max(seen, key=np.prod)
        span = (
            f"are {low[1]} x {low[0]}" if not others else f"have {low[1]} x {low[0]} to {high[1]} x {high[0]}"
        )
        warnings.append(f"images {span} pixels and are brought to {side} x {side}: say source.resolution")
    return side, side, channels


def _seen(item: Item) -> Look | None:
    """Size and colour of an image; None where it cannot be used."""
    if item.data is None:
        return None
    if isinstance(item.data, np.ndarray):
        return Look(
            item.data.shape[1], item.data.shape[0], 3 if item.data.ndim == 3 and item.data.shape[2] > 1 else 1
        )
    try:
        return look(item.data)
    except Fault:
        return None


def _pixels(item: Item, side: int, channels: int) -> np.ndarray:
    """Pixels uint8 (side, side, channels); Fault where there are none."""
    if item.fault:
        raise Fault(item.fault)
    if isinstance(item.data, bytes):
        return decode(item.data, side, channels)
    assert item.data is not None
    plain = eight_bits(item.data) if item.data.dtype == np.uint16 else item.data
    plain = plain[..., 0] if plain.ndim == 3 and plain.shape[2] == 1 else plain
    image = Image.fromarray(plain)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return fit(image, side, channels)


def _write(source: Images, schema: Schema, path: Path, progress: Progress) -> _Written:
    """Decode a source into a Parquet file, batch by batch."""
    made, content = _Written(), hashlib.sha256()
    side, _, channels = image_shape(schema)
    size = max(16, _BATCH_BYTES // (side * side * channels))
    with pq.ParquetWriter(path, schema.arrow(), compression="zstd", use_dictionary=[schema.target]) as writer:
        for batch in _batches(_usable(source, schema, made, progress), size):
            pixels = pa.array([image.tobytes() for image, _ in batch], schema[IMAGE].arrow)
            labels = pa.array([label for _, label in batch], pa.string())
            table = pa.Table.from_arrays([pixels, labels], schema=schema.arrow())
            writer.write_table(table)
            content.update(row_digests(table).tobytes())
            made.labels.update(label for _, label in batch)
            made.rows += len(batch)
    made.digest = content.hexdigest()
    return made


def _usable(
    source: Images, schema: Schema, made: _Written, progress: Progress
) -> Iterator[tuple[np.ndarray, str]]:
    """Pixels and label of each image that can be used; the others become faults."""
    side, _, channels = image_shape(schema)
    for item in source.items():
        if item.label is None and not item.fault:
            made.faults.append((item.number, schema.target, item.where, "target is missing"))
            continue
        try:
            image = _pixels(item, side, channels)
        except Fault as fault:
            made.faults.append((item.number, IMAGE, item.where, str(fault)))
            continue
        yield image, str(item.label)
        progress((item.number + 1) / len(source), f"{item.number + 1:,} images")


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _refuse_mostly_faulty(source: Images, written: _Written) -> None:
    """Where most images cannot be used, the source is another one than was meant."""
    total = written.rows + len(written.faults)
    if not written.rows or len(written.faults) > total / 2:
        _, column, where, reason = written.faults[0]
        raise InputError(
            f"{source.path.name}: {len(written.faults):,} of {total:,} images cannot be used; the first is {where}, "
            f"whose {column} {reason}"
        )


def _write_rejected(path: Path, parts: Mapping[str, Images], written: Mapping[str, _Written]) -> int:
    """Write what was set aside, with its place and the reason; return how many."""
    rows = [
        (number, column, where, reason + ("" if part == "rows" else f" (in {parts[part].path.name})"))
        for part, one in written.items()
        for number, column, where, reason in one.faults
    ]
    ingested.write_rejected(path, rows)
    return len(rows)


def _profile(schema: Schema, main: _Written) -> dict[str, Any]:
    """What people see of the images."""
    height, width, channels = image_shape(schema)
    note = f"{width} x {height} pixels, {'grey' if channels == 1 else 'colour'}"
    labels = [{"value": value, "count": count} for value, count in main.labels.most_common()]
    shared = {"missing": 0, "distinct_exact": True}
    return {
        "rows": main.rows,
        "columns": [
            {"name": IMAGE, "type": "image", "target": False, "distinct": main.rows, "note": note, **shared},
            {
                "name": schema.target,
                "type": "category",
                "target": True,
                "distinct": len(labels),
                "note": "",
                "top": labels,
                **shared,
            },
        ],
    }
