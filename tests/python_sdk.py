"""The official Python SDK, unmodified but for its base URL, against the emulator, and through
`oneclick outbox serve`.

    pip install makeimpact==2.0.0
    cargo build -p oneclick-emulator -p oneclick-cli
    python tests/python_sdk.py target/debug/oneclick-emulator target/debug/oneclick

A client that somebody else wrote: it does not share our mistakes.
"""

import os
import subprocess
import sys
import tempfile
from unittest import mock

import requests
from makeimpact import Environment, OneClickImpact
from makeimpact.exceptions import OneClickImpactError

KINDS = ["tree_planted", "waste_removed", "carbon_captured", "coral_restored", "money_donated"]
METADATA = {"orderId": "A-1001", "source": "checkout"}


def client(base_url, key):
    sdk = OneClickImpact(key, Environment.SANDBOX)
    sdk.base_url = base_url
    return sdk


def buys(sdk, **options):
    """Each of the five actions once, with its kind and amount."""
    yield sdk.plant_tree(amount=1, category="food", **options), "tree_planted", 1
    yield sdk.clean_ocean(amount=2, **options), "waste_removed", 2
    yield sdk.capture_carbon(amount=3, **options), "carbon_captured", 3
    yield sdk.restore_coral(amount=4, **options), "coral_restored", 4
    yield sdk.donate_money(amount=500, category="veterans", **options), "money_donated", 500


def totals(part):
    return [getattr(part, kind) for kind in KINDS]


def refused(call, *words):
    try:
        call()
    except OneClickImpactError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("it was not refused")


def buy_and_read_back(sdk):
    account = sdk.who_am_i()
    assert account.user_id and account.email

    own = list(buys(sdk, metadata=METADATA))
    ada = {"customer_email": "ada@example.com", "customer_name": "Ada", "notify": False}
    for_ada = list(buys(sdk, metadata=METADATA, **ada))
    for receipt, kind, amount in own + for_ada:
        assert receipt.user_id == account.user_id
        assert getattr(receipt, kind) == amount
    assert for_ada[0][0].customer.customer_info.customer_name == "Ada"
    assert own[0][0].category == "food" and own[4][0].category == "veterans"

    impact = sdk.get_impact()
    assert totals(impact.user_impact) == totals(impact.customer_impact) == [1, 2, 3, 4, 500]
    assert totals(impact) == [2, 4, 6, 8, 1000]
    days = sdk.get_daily_impact().daily_impact
    assert sum(day.coral_restored for day in days) == 8

    records, cursor = [], None
    for _ in range(10):
        page = sdk.get_records(limit=2, cursor=cursor)
        records += page.user_records
        cursor = page.cursor
        if not cursor:
            break
    assert [getattr(row, kind) for row, kind in zip(records, KINDS)] == [1, 2, 3, 4, 500]
    assert all(row.metadata == METADATA for row in records)
    newest = sdk.get_records(sort_order="desc", filter_by="coral_restored").user_records
    assert [row.coral_restored for row in newest] == [4]

    hers = sdk.get_customer_records(customer_email="ada@example.com").customer_records
    assert len(hers) == 5 and all(row.metadata == METADATA for row in hers)
    customers = sdk.get_customers().customers
    assert [customer.customer_email for customer in customers] == ["ada@example.com"]
    return own


def cancel_and_track(sdk, own):
    for receipt, kind, amount in own:
        handle = {"user_id": receipt.user_id, "time_utc": receipt.time_utc}
        tracking = sdk.track(**handle)
        assert tracking.impact_initiated == receipt.time_utc
        assert getattr(tracking, kind) == amount and tracking.cancelled_on is None

        first = sdk.cancel_impact(**handle, reason="order refunded")
        assert first.message == "impact cancelled" and getattr(first, kind) == amount
        again = sdk.cancel_impact(**handle)
        assert again.message == "impact was already cancelled"
        assert again.cancelled_on == first.cancelled_on and again.reason == "order refunded"
        tracking = sdk.track(**handle)
        assert tracking.cancelled_on == first.cancelled_on
        assert tracking.cancellation_reason == "order refunded"
    impact = sdk.get_impact()
    assert totals(impact.user_impact) == [0] * 5
    assert totals(impact.customer_impact) == [1, 2, 3, 4, 500]
    assert len(sdk.get_records().user_records) == 5


def read_projects(sdk):
    projects = sdk.get_projects().projects
    assert projects and all(isinstance(project.latitude, float) for project in projects)
    assert all(isinstance(goal.number, int) for project in projects for goal in project.sdgs)
    for kind in ["trees", "ocean", "carbon"]:
        assert {project.type for project in sdk.get_projects(type=kind).projects} == {kind}
    names = set()
    for locale in ["en", "de", "es", "fr", "nl"]:
        names.add(sdk.get_project_by_id(projects[0].project_id, locale=locale).name)
        assert len(sdk.get_projects(locale=locale).projects) == len(projects)
    assert len(names) == 5


def be_refused(sdk, other, own):
    receipt = own[0][0]
    handle = {"user_id": receipt.user_id, "time_utc": receipt.time_utc}
    refused(lambda: other.track(**handle), "no impact")
    refused(lambda: other.cancel_impact(**handle), "no impact")
    refused(lambda: sdk.plant_tree(amount=-3.5), "whole number")
    refused(lambda: sdk.plant_tree(amount=1, metadata={"gift": "yes"}), "reserved")
    refused(lambda: sdk.get_customers(customer_email="a&limit=1000@x.com"), "customer_email")
    refused(lambda: sdk.get_project_by_id("nowhere"), "no project")


def with_key(key):
    """Adds the header to what the SDK sends. It has no option for that."""
    post = requests.post

    def keyed(url, headers, **more):
        return post(url, headers={**headers, "Idempotency-Key": f'"{key}"'}, **more)

    return mock.patch("requests.post", keyed)


def through_the_outbox(base_url, sdk):
    """The SDK with another base URL, and a key that only the outbox knows."""
    with tempfile.TemporaryDirectory() as home:
        database = os.path.join(home, "outbox.db")
        command = [sys.argv[2], "outbox", "serve", "--listen", "127.0.0.1:0"]
        environment = {"ONECLICK_BASE_URL": base_url, "ONECLICK_API_KEY": sdk.api_key}
        server = subprocess.Popen(
            command + ["--database", database],
            env={**os.environ, **environment, "HOME": home},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            outbox = client(server.stdout.readline().strip(), "not_needed")
            assert outbox.who_am_i() == sdk.who_am_i()
            assert outbox.get_records(limit=3) == sdk.get_records(limit=3)
            ada = {"customer_email": "ada@example.com"}
            assert outbox.get_customer_records(**ada) == sdk.get_customer_records(**ada)
            assert outbox.get_customers() == sdk.get_customers()
            assert outbox.get_daily_impact() == sdk.get_daily_impact()
            refused(lambda: outbox.get_project_by_id("nowhere"), "no project")
            read_projects(outbox)

            before = totals(sdk.get_impact())
            refused(lambda: outbox.plant_tree(amount=1), "Idempotency-Key")
            with with_key("order-1"):
                first = outbox.plant_tree(amount=2, metadata=METADATA)
                assert outbox.plant_tree(amount=2, metadata=METADATA) == first
                refused(lambda: outbox.plant_tree(amount=3, metadata=METADATA), "another purchase")
            assert first.tree_planted == 2
            assert totals(sdk.get_impact()) == [before[0] + 2] + before[1:]
            handle = {"user_id": first.user_id, "time_utc": first.time_utc}
            assert outbox.cancel_impact(**handle).message == "impact cancelled"
            assert outbox.track(**handle) == sdk.track(**handle)
        finally:
            server.terminate()
            ended = server.wait(timeout=60)
    assert ended == 0, ended


def main():
    command = [sys.argv[1], "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        base_url = server.stdout.readline().strip()
        refused(client(base_url, "wrong").who_am_i, "API Key does not exist")
        sdk = client(base_url, "test_python")
        own = buy_and_read_back(sdk)
        cancel_and_track(sdk, own)
        read_projects(sdk)
        be_refused(sdk, client(base_url, "test_other"), own)
        through_the_outbox(base_url, sdk)
    finally:
        server.terminate()
        ended = server.wait(timeout=10)
    assert ended == 0, ended
    print(
        "the official Python SDK bought, cancelled, listed, tracked and read projects, and bought "
        "once with a key through the outbox"
    )


main()
