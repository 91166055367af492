"""The flow as `leaven serve` has it run: in a process of its own that ends when the serving one is gone.

Without that, a run would go on after `leaven serve` was killed, holding its lock, with nobody to report to.
"""

import os
import threading

from leaven.flows.augment import augment
from leaven.flows.workers import end_with

__all__ = ["augment"]

if os.environ.get("LEAVEN_SERVING_PID") == str(os.getppid()):
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
