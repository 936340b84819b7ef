"""Holds the limit `long` for longer than its lease of 60 s, which only renewals make possible."""

import time

from prefect.concurrency.sync import concurrency

with concurrency("long", lease_duration=60, strict=True):
    print("held", flush=True)
    time.sleep(65)
print("released", flush=True)
