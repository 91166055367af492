"""Automations of Prefect that Leaven sets up: each stands on the server once, however often it is asked for."""

import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

CRASHED = "leaven: runs whose heartbeat has stopped are crashed"
BEAT_SECONDS = 30  # the least that Prefect knows
SILENCE_SECONDS = 180.0  # a busy machine may miss some beats
_LAST = ("Completed", "Failed", "Cancelled", "Crashed", "TimedOut", "Suspended")  # no beat comes after these


def watch_heartbeats() -> None:
    """Have the server mark runs of `leaven serve` as crashed whose heartbeat stopped, as where a machine went down."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    beat = "prefect.flow-run.heartbeat"
    message = "Its heartbeat stopped. Its finished stages are kept; the next run resumes."
    ensure(
        AutomationCore(
            name=CRASHED,
            description="Set up by `leaven serve`; other runs than Leaven's are left alone.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                after={beat},
                expect={beat, *(f"prefect.flow-run.{state}" for state in _LAST)},
                match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
                match_related=ResourceSpecification(
                    {"prefect.resource.id": "prefect.tag.leaven", "prefect.resource.role": "tag"}
                ),
                for_each={"prefect.resource.id"},
                threshold=1,
                within=datetime.timedelta(seconds=SILENCE_SECONDS),
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
        )
    )


def ensure(wanted: "AutomationCore") -> None:
    """Have an automation on the server, once. One of its name that is as wanted stays untouched: it may be counting."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        standing = client.read_automations_by_name(wanted.name)
        for other in standing[1:]:
            client.delete_automation(other.id)
        if not standing:
            client.create_automation(wanted)
        elif _content(standing[0]) != _content(wanted):
            client.update_automation(standing[0].id, wanted)


def _content(automation: "AutomationCore") -> Any:
    """What an automation does, without the ids that the server gave its parts."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inside) for key, inside in value.items() if key != "id"}
        return sorted(map(plain, value), key=str) if isinstance(value, list) else value

    dumped = automation.model_dump(mode="json")
    return plain({key: dumped[key] for key in ("description", "enabled", "trigger", "actions")})
