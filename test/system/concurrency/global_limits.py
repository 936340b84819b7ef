"""Prefect's own concurrency() and rate_limit(), sync and async, against the limits `one`, `rate` and `missing`."""

import asyncio
import threading
import time

from prefect.concurrency.asyncio import concurrency as aconcurrency
from prefect.concurrency.asyncio import rate_limit as arate_limit
from prefect.concurrency.sync import concurrency, rate_limit

holding = 0
most = 0
lock = threading.Lock()


def enter(by):
    global holding, most
    with lock:
        holding += by
        most = max(most, holding)


def hold():
    with concurrency("one", occupy=1):
        enter(1)
        time.sleep(0.2)
        enter(-1)


async def ahold():
    async with aconcurrency("one", occupy=1):
        enter(1)
        await asyncio.sleep(0.2)
        enter(-1)


threads = [threading.Thread(target=hold) for _ in range(3)]
for thread in threads:
    thread.start()
asyncio.run(ahold())
for thread in threads:
    thread.join()
print("most", most)

with concurrency("one"):
    try:
        with concurrency("one", timeout_seconds=1):
            print("timeout no")
    except TimeoutError:
        print("timeout yes")

try:
    with concurrency("missing", strict=True):
        print("strict no")
except Exception as error:
    print("strict", type(error).__name__)

with concurrency("missing"):
    print("lenient yes")

started = time.monotonic()
rate_limit("rate")
rate_limit("rate")
asyncio.run(arate_limit("rate"))
print("rate", time.monotonic() - started >= 1.5)
