// A shop that stores an intent in the transaction of its order, with node-postgres.
//
// See README.md beside this file for how to run it.

import pg from "pg";

/// Stores an order and the intent to plant its trees: both, or neither.
async function order(shop, number, trees, isPaid) {
  const request = {
    v: 1, action: "plant_tree", amount: trees, customer_email: "ada@example.com",
  };
  await shop.query("BEGIN");
  try {
    await shop.query(
      "INSERT INTO orders VALUES ($1, 'ada@example.com') ON CONFLICT DO NOTHING", [number],
    );
    const { rows } = await shop.query(
      "SELECT oneclick.enqueue('shop.example', $1, $2) AS intent", [number, request],
    );
    if (!isPaid) throw new Error("not paid");
    await shop.query("COMMIT");
    return rows[0].intent;
  } catch (error) {
    await shop.query("ROLLBACK");
    throw error;
  }
}

const shop = new pg.Client({ connectionString: process.env.DATABASE_URL });
await shop.connect();
await shop.query(
  "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, email text NOT NULL)",
);
for (const [number, trees, isPaid] of [
  ["A-1001", 3, true],
  ["A-1001", 3, true], // again: the same intent
  ["A-1001", 4, true], // another purchase under the same key
  ["A-1002", 0, true], // a request that could not be sent
  ["A-1003", 1, false], // an order that is rolled back
]) {
  try {
    console.log(`${number}: intent ${await order(shop, number, trees, isPaid)}`);
  } catch (error) {
    console.log(`${number}: ${error.message}`);
  }
}
await shop.end();
