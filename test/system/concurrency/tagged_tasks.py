"""Six tasks at once that carry the tag `db`, whose limit is 2."""

import threading
import time

from prefect import flow, task

holding = 0
most = 0
lock = threading.Lock()


@task(tags=["db"])
def query(n):
    global holding, most
    with lock:
        holding += 1
        most = max(most, holding)
    time.sleep(0.3)
    with lock:
        holding -= 1


@flow
def tagged():
    for future in query.map(list(range(6))):
        future.result()


tagged()
print("most", most)
