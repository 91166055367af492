"""Approval by a person: a version that passed every other gate waits, unseen by readers, until someone decides.

A version's files never change, so the decision is kept beside the versions, and `latest` points to what was approved.
"""

import datetime
import json
from dataclasses import replace
from typing import Any

from leaven.generators.errors import InputError, StoreError
from leaven.pipelines.release import Outcome
from leaven.pipelines.store import Store
from leaven.pipelines.version import Version

FILE = "approvals.json"  # version -> the decision, kept beside the versions


def decisions(store: Store, name: str) -> dict[str, dict[str, Any]]:
    """What was decided of the versions of a name: `approved`, `why`, `by`, `at`.

    Raises:
        StoreError: the file is damaged.
    """
    path = store.kept(name, FILE)
    if path is None:
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: is damaged; expected a decision for each version") from error


def state(store: Store, version: Version) -> str:
    """`released`, `withheld`, or `pending` where a person still has to decide."""
    if not version.report.get("pending"):
        return version.verdict
    decision = decisions(store, version.name).get(version.id)
    return "pending" if decision is None else "released" if decision["approved"] else "withheld"


def report(store: Store, version: Version) -> dict[str, Any]:
    """A version's report as it stands now: with a person's decision, where there is one, as verdict, gate and
    `approval`."""
    told = version.report
    decision = decisions(store, version.name).get(version.id) if told.get("pending") else None
    if decision is None:
        return {**told, "verdict": state(store, version)}
    gates = [
        {**gate, "passed": decision["approved"]} if gate["gate"] == "approval" else gate
        for gate in told.get("gates", ())
    ]
    return {**told, "verdict": state(store, version), "pending": False, "gates": gates, "approval": decision}


def settled(store: Store, outcome: Outcome, name: str) -> Outcome:
    """What a run came to: an equal version of an earlier run may have been decided on since."""
    version = store.get(name, outcome.version)
    if not outcome.report.get("pending") or (stands := state(store, version)) == "pending":
        return outcome
    if stands == "released":
        store.point(name, version.id)  # a kill may have come between the decision and this
    return replace(outcome, verdict=stands, report=report(store, version))


def decide(store: Store, reference: str, approved: bool, why: str = "", by: str = "") -> Version:
    """Release a waiting version, or leave it withheld for good.

    Args:
        reference: `NAME@VERSION`, or a name whose newest version waits.

    Raises:
        InputError: there is no such version, none waits, it was decided already, or a newer one is released.
        StoreError: files of the version were altered, or the store cannot be written.
    """
    version = store.find(reference, released_only=False)
    if not version.report.get("pending"):
        raise InputError(f"{version}: does not wait for approval; it was {version.verdict} by its gates")
    all_decisions = decisions(store, version.name)
    latest = store.latest(version.name)
    if (known := all_decisions.get(version.id)) is not None and known["approved"] != approved:
        told = "approved" if known["approved"] else "rejected"
        raise InputError(
            f"{version}: was {told} already, {known['at']}{' by ' * bool(known['by'])}{known['by']}"
        )
    if approved and latest is not None and latest > version.id:
        raise InputError(f"{version}: a newer version is released already: {version.name}@{latest}")
    if approved and (altered := version.altered()):
        raise StoreError(f"{version}: {altered[0]} is not the file that the manifest lists; not released")
    if known is None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        decision = {"approved": approved, "why": why, "by": by, "at": now}
        # Of two at once, the first one stands.
        store.note(version.name, FILE, lambda others: {version.id: decision} | (others or {}))
        if decisions(store, version.name)[version.id]["approved"] != approved:
            return decide(store, str(version), approved, why, by)  # somebody was quicker: say so
    if approved:  # after the decision: a kill in between is put right by approving again
        store.point(version.name, version.id)
    return version
