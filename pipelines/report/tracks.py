"""Values on an axis: dots with intervals, and values between their floor and ceiling, as percentages of a width."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from leaven.pipelines.report import words
from leaven.pipelines.report.nouns import Say

# Where floor and ceiling stand on a metric's axis, in percent of its width: there is room for what lies beyond.
FLOOR_AT, CEILING_AT = 15.0, 85.0


def arms(utility: Mapping[str, Any], say: Say = str) -> dict[str, Any] | None:
    """The arms on one axis, with the line of the real rows."""
    found = utility.get("arms") or {}
    known = [arm for arm in words.ARMS if arm in found] + [arm for arm in found if arm not in words.ARMS]
    values = {arm: found[arm] for arm in known if (found[arm] or {}).get("value") is not None}
    if not values:
        return None
    axis = _axis([end for interval in values.values() for end in _ends(interval)])
    rows = [
        {
            "name": say(words.ARMS.get(arm, arm.replace("_", " "))),
            "note": say(words.ARMS_EXPLAINED.get(arm, "")),
            "kind": arm,
            "text": words.score(interval["value"]),
            "between": words.between(interval, words.score),
            **_placed(interval, axis),
        }
        for arm, interval in values.items()
    ]
    if utility.get("classic_chosen"):
        for row in rows:
            if row["kind"] == "classic":
                row["note"] = f"{utility['classic_chosen'].replace('_', ' ')}: {row['note']}"
    real = values.get("real")
    return {"rows": rows, "ticks": _ticks(axis), "line": _at(real["value"], axis) if real else None}


def lifts(utility: Mapping[str, Any], say: Say = str) -> dict[str, Any] | None:
    """The two differences on one axis around zero."""
    names = {"lift": "over real rows alone", "lift_over_classic": "over the classic ways"}
    found = [
        (say(names[key]), key, utility[key])
        for key in names
        if (utility.get(key) or {}).get("value") is not None
    ]
    return differences(found) if found else None


def differences(found: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Differences (name, kind, interval) on one axis around zero."""
    axis = _axis([0.0, *(end for _, _, interval in found for end in _ends(interval))])
    rows = [
        {
            "name": name,
            "kind": kind,
            "text": words.signed(interval["value"]),
            "between": words.between(interval),
            **_placed(interval, axis),
        }
        for name, kind, interval in found
    ]
    return {"rows": rows, "ticks": _ticks(axis, signed=True), "line": _at(0.0, axis)}


def metrics(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each metric placed between floor (left) and ceiling (right), whichever of the two numbers is larger."""
    rows = []
    for name, metric in found.items():
        value, floor, ceiling = (metric.get(key) for key in ("value", "floor", "ceiling"))
        row: dict[str, Any] = {"name": name, "what": metric.get("what", ""), "better": metric.get("better")}
        row |= {"value": words.score(value), "floor": words.score(floor), "ceiling": words.score(ceiling)}
        row["note"] = metric.get("note") or ""
        if value is None:
            row["missing"] = "could not be computed for these rows"
        elif floor is None or ceiling is None:
            row["missing"] = "has no control here, so the number would mean nothing"
        else:
            worse = ceiling > floor if metric.get("better") == "lower" else ceiling < floor
            if not worse:
                row["missing"] = (
                    f"synthetic {words.score(value)}, real rows {words.score(floor)}, but a known-bad generator gets "
                    f"{words.score(ceiling)}, so this number cannot tell good rows from bad ones here"
                )
            else:
                share = (value - floor) / (ceiling - floor)
                place = FLOOR_AT + share * (CEILING_AT - FLOOR_AT)
                row["at"] = round(min(98.0, max(2.0, place)), 2)
                row["beyond"] = place < 2 or place > 98
                row["share"] = share
                noise = metric.get("noise")
                if noise:
                    half = abs(2 * noise / (ceiling - floor)) * (CEILING_AT - FLOOR_AT)
                    row["noise"] = (
                        round(max(0.0, FLOOR_AT - half), 2),
                        round(min(100.0, FLOOR_AT + half), 2),
                    )
        rows.append(row)
    return rows


def _ends(interval: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(interval[key] for key in ("low", "value", "high") if interval.get(key) is not None)


def _axis(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.05 or 0.05
    return low - room, high + room


def _at(value: float, axis: tuple[float, float]) -> float:
    return round(100 * (value - axis[0]) / (axis[1] - axis[0]), 2)


def _placed(interval: Mapping[str, Any], axis: tuple[float, float]) -> dict[str, float]:
    ends = _ends(interval)
    return {"at": _at(interval["value"], axis), "left": _at(min(ends), axis), "right": _at(max(ends), axis)}


def _ticks(axis: tuple[float, float], signed: bool = False) -> list[dict[str, Any]]:
    from matplotlib.ticker import MaxNLocator

    values = [float(v) for v in MaxNLocator(4).tick_values(*axis) if axis[0] <= v <= axis[1]]
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    digits = next((d for d in range(6) if abs(round(step, d) - step) < step * 1e-6), 6)
    write = words.signed if signed else words.score
    places = [(_at(value, axis), write(value, digits)) for value in values]
    # A label at the very edge would stick out of a phone; its line says enough.
    return [{"at": at, "text": text if 2 <= at <= 98 else ""} for at, text in places]
