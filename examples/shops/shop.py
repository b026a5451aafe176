"""A shop that plants a tree for each order, and needs neither the API's key nor a database.

    oneclick --local outbox serve &
    printf 'A-1001\nA-1002\n' > orders.txt
    python3 examples/shops/shop.py http://127.0.0.1:8788 orders.txt

Kill it whenever you like, and start it again: each order gets the receipt of its one tree.
"""

import json
import sys
import time
import urllib.error
import urllib.request


def plant(outbox, order):
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": json.dumps(order),  # in quotes; the same whenever it is sent
        "Prefer": "wait=20",
    }
    body = json.dumps({"amount": 1, "metadata": {"order": order}}).encode()
    request = urllib.request.Request(outbox + "/v1/plant_tree", body, headers)
    while True:
        pause = 1
        try:
            return json.load(urllib.request.urlopen(request, timeout=60))
        except urllib.error.HTTPError as error:
            if error.code not in (409, 503):  # these two ask for the same request again
                raise
            pause = int(error.headers.get("Retry-After", pause))
        except OSError:
            pass  # the outbox is being restarted
        time.sleep(pause)


for order in open(sys.argv[2]).read().split():
    print(order, plant(sys.argv[1], order)["time_utc"], flush=True)
