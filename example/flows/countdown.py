import time

from prefect import flow


@flow(log_prints=True)
def countdown(seconds: int = 60):
    """Counts down, a line a second."""
    for left in range(seconds, 0, -1):
        print(f"{left} ...")
        time.sleep(1)
    print("done")
