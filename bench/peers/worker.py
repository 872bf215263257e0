"""The protocol of the peers: commands are read and replies are written as JSON lines.

{"cmd": "load", "module": "unet"|"decoder", "family": "sd1"|"sdxl", "side": 64, "batch": 1, "threads": 2} -> {}
{"cmd": "run"}                                                                                        -> {"seconds": 1.5}
"""

import json
import os
import sys
import time


def serve(load):
    """`load(cell)` returns a function that runs the cell once. It may return the seconds to report; otherwise the call is timed."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr
    run = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["cmd"] == "load":
            run = None  # frees the previous model
            run = load(command)
            reply = {}
        else:
            start = time.perf_counter()
            counted = run()
            reply = {"seconds": time.perf_counter() - start if counted is None else counted}
        print(json.dumps(reply), file=replies, flush=True)
