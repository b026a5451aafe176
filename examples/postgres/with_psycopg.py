"""A shop that stores an intent in the transaction of its order, with psycopg 3.

See README.md beside this file for how to run it.
"""

import os

import psycopg
from psycopg.types.json import Jsonb


class NotPaid(Exception):
    pass


def order(shop, number, trees, is_paid):
    """Stores an order and the intent to plant its trees: both, or neither."""
    request = {
        "v": 1, "action": "plant_tree", "amount": trees, "customer_email": "ada@example.com",
    }
    with shop.transaction():  # an exception rolls back
        shop.execute(
            "INSERT INTO orders VALUES (%s, 'ada@example.com') ON CONFLICT DO NOTHING", (number,)
        )
        intent = shop.execute(
            "SELECT oneclick.enqueue('shop.example', %s, %s)", (number, Jsonb(request))
        ).fetchone()[0]
        if not is_paid:
            raise NotPaid
    return intent


with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as shop:
    shop.execute(
        "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, email text NOT NULL)"
    )
    for number, trees, is_paid in [
        ("A-1001", 3, True),
        ("A-1001", 3, True),  # again: the same intent
        ("A-1001", 4, True),  # another purchase under the same key
        ("A-1002", 0, True),  # a request that could not be sent
        ("A-1003", 1, False),  # an order that is rolled back
    ]:
        try:
            print(f"{number}: intent {order(shop, number, trees, is_paid)}")
        except NotPaid:
            print(f"{number}: not paid")
        except psycopg.errors.IntegrityError as error:
            print(f"{number}: {error.diag.message_primary}")
