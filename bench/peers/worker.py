"""The protocol of the peers: commands are read and replies are written as JSON lines.

{"cmd": "load", "module": "unet"|"decoder"|"text", "family": "sd1"|"sdxl", "side": 64, "batch": 1, "threads": 2} -> {}
{"cmd": "run"}                                                                                               -> {"seconds": 1.5}

`side` is the side length of the latent; text encoders ignore it. The reply to load may have `precision`, the number format of the
products, where the peer selects it itself.
"""

import json
import os
import sys
import time


def serve(load):
    """`load(cell)` returns a function that runs the cell once, or the function and the reply to load. The function may return the
    seconds to report; otherwise the call is timed."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr
    run = None
    for line in sys.stdin:
        command = json.loads(line)
        if command["cmd"] == "load":
            run = None  # frees the previous model
            loaded = load(command)
            run, reply = loaded if isinstance(loaded, tuple) else (loaded, {})
        else:
            start = time.perf_counter()
            counted = run()
            reply = {"seconds": time.perf_counter() - start if counted is None else counted}
        print(json.dumps(reply), file=replies, flush=True)
