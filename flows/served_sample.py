"""The flow `sample` as `leaven serve` has it run; see `served.py`. It imports less, so rows come sooner."""

from leaven.flows.on_demand import sample
from leaven.flows.workers import end_with_server

__all__ = ["sample"]

end_with_server()
