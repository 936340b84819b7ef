from __future__ import annotations

import random
from datetime import date, timedelta
from enum import Enum

from prefect import flow, get_run_logger, task


class Region(str, Enum):
    north = "north"
    south = "south"


PRODUCTS = {"apples": 1.2, "pears": 1.9, "plums": 2.4}


@task
def read_sales(day: date, region: Region) -> dict[str, int]:
    """Stands for a query: the same day and region always give the same numbers."""
    numbers = random.Random(f"{day}/{region.value}")
    return {product: numbers.randint(10, 90) for product in PRODUCTS}


@task
def sum_up(sales: list[dict[str, int]]) -> dict[str, float]:
    return {
        product: round(sum(day[product] for day in sales) * price, 2)
        for product, price in PRODUCTS.items()
    }


@flow(name="sales-report")
def sales_report(
    days: int = 1,
    region: Region = Region.north,
    until: date | None = None,
) -> dict[str, float]:
    """Adds up what each product earned.

    Args:
        days: How many days to look back.
        region: Where the shops are.
        until: The last day; yesterday if not given.
    """
    logger = get_run_logger()
    last = until or date.today() - timedelta(days=1)
    logger.info("Sales of %d day(s) up to %s, %s", days, last, region.value)

    sales = [read_sales(last - timedelta(days=back), region) for back in range(days)]
    earned = sum_up(sales)

    for product, amount in earned.items():
        logger.info("  %-8s %8.2f", product, amount)
    logger.info("Total %.2f", sum(earned.values()))
    return earned


if __name__ == "__main__":
    sales_report()
