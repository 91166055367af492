"""The flow `approve` as `leaven serve` has it run; see `served.py`."""

from leaven.flows.approve import approve
from leaven.flows.workers import end_with_server

__all__ = ["approve"]

end_with_server()
