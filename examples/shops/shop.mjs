// A shop that plants a tree for each order, and needs neither the API's key nor a database.
//
//     oneclick --local outbox serve &
//     printf 'A-1001\nA-1002\n' > orders.txt
//     node examples/shops/shop.mjs http://127.0.0.1:8788 orders.txt
//
// Kill it whenever you like, and start it again: each order gets the receipt of its one tree.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [outbox, orders] = process.argv.slice(2);

async function plant(order) {
  const headers = {
    "content-type": "application/json",
    "idempotency-key": JSON.stringify(order), // in quotes; the same whenever it is sent
    prefer: "wait=20",
  };
  const body = JSON.stringify({ amount: 1, metadata: { order } });
  for (;;) {
    const request = fetch(`${outbox}/v1/plant_tree`, { method: "POST", headers, body });
    const response = await request.catch(() => null); // the outbox is being restarted
    if (response?.ok) return response.json();
    // These two ask for the same request again.
    if (response && ![409, 503].includes(response.status)) throw new Error(await response.text());
    await sleep(1000 * Number(response?.headers.get("retry-after") ?? 1));
  }
}

for (const order of readFileSync(orders, "utf8").split(/\s+/).filter(Boolean)) {
  console.log(order, (await plant(order)).time_utc);
}
