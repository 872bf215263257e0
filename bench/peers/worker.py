"""What every peer's process does: read commands as JSON lines, answer with JSON lines.

{"cmd": "load", "module": "unet"|"decoder", "family": "sd1"|"sdxl", "side": 64, "batch": 1, "threads": 2} -> {}
{"cmd": "run"}                                                                                        -> {"seconds": 1.5}
"""

import json
import os
import sys
import time


def serve(load):
    """`load(cell)` gives a function that runs the cell once (and may give back the seconds that count)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    run = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["cmd"] == "load":
            run = None  # frees the one before
            run = load(asked)
            said = {}
        else:
            start = time.perf_counter()
            counted = run()
            said = {"seconds": time.perf_counter() - start if counted is None else counted}
        print(json.dumps(said), file=answers, flush=True)
