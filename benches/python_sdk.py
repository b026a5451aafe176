"""Calls `GET /v1/whoami` with the official Python SDK.

Each line of standard input is a number of calls. The script makes them and prints
the nanoseconds that they took."""

import sys
import time

from makeimpact import Environment, OneClickImpact

sdk = OneClickImpact("test_benches", Environment.SANDBOX)
sdk.base_url = sys.argv[1]
for line in sys.stdin:
    start = time.perf_counter_ns()
    for _ in range(int(line)):
        sdk.who_am_i()
    print(time.perf_counter_ns() - start, flush=True)
