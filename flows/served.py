"""The flow as `leaven serve` has it run: in a process of its own that ends when the serving one is gone.

Without that, a run would go on after `leaven serve` was killed, holding its lock, with nobody to report to.
"""

from leaven.flows.augment import augment
from leaven.flows.workers import end_with_server

__all__ = ["augment"]

end_with_server()
