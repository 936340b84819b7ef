"""A flow that runs for longer than the lease of its deployment's slot was given for."""

import time

from prefect import flow


@flow
def slow():
    time.sleep(65)
