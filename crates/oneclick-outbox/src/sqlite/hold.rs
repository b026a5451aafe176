//! Rows that a process drives by itself, and rows that were remembered elsewhere.

use std::time::Duration;

use oneclick_proto::{Purchase, PurchaseState};
use rusqlite::{named_params, params};

use super::claim::{Held, Written, hold};
use super::{Enqueued, Store, enqueue_at, json, millis, note, status, wall};
use crate::error::OutboxError;
use crate::intent::Status;

impl Store {
    /// Takes a row for a process that drives it by itself, and stores it if it is missing. Says
    /// whether it is new. `None` while another one holds it; with `alone`, only a worker counts.
    pub(crate) fn claim_alone(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        alone: bool,
        lease: Duration,
    ) -> Result<Option<(Held, bool)>, OutboxError> {
        let now = self.now();
        self.write(|tx| {
            let Enqueued { id, is_new } = enqueue_at(tx, &now, namespace, key, purchase)?;
            let (status, is_held) = tx.query_row(
                "SELECT status, due > ?2 AND (held = 1 OR held = 2 AND NOT ?3)
                 FROM oneclick_outbox_intent WHERE id = ?1",
                params![id, millis(now.since_boot), alone],
                |row| Ok((status(row, 0)?, row.get::<_, bool>(1)?)),
            )?;
            match status {
                Status::Ready | Status::Claimed | Status::Open if is_held => return Ok(None),
                Status::Ready | Status::Claimed | Status::Open => {}
                Status::Unresolved | Status::Refused => {
                    tx.execute(
                        "UPDATE oneclick_outbox_intent
                         SET status = CASE WHEN state IS NULL THEN 'ready' ELSE 'open' END,
                             answer = NULL, done_at = NULL
                         WHERE id = ?1",
                        [id],
                    )?;
                }
                Status::Bought | Status::Cancelling | Status::Cancelled | Status::Dropped => {
                    return Err(OutboxError::WrongStatus { status });
                }
            }
            let Some(held) = hold(tx, id, &now, lease)? else {
                let reason = "it is damaged or of a newer version".to_owned();
                return Err(OutboxError::Unreadable { id, reason });
            };
            tx.execute("UPDATE oneclick_outbox_intent SET held = 2 WHERE id = ?1", [id])?;
            // Whoever calls this decides when.
            Ok(Some((Held { is_probe: true, ..held }, is_new)))
        })
    }

    /// Stores the state of a row that this process holds; `false` if it is no longer its own.
    pub(crate) fn keep(
        &self,
        held: &Held,
        state: &PurchaseState,
        lease: Duration,
    ) -> Result<bool, OutboxError> {
        let until = millis(self.now().since_boot.saturating_add(lease));
        self.write(|tx| {
            let written = tx.execute(
                "UPDATE oneclick_outbox_intent SET status = 'open', state = :state, due = :until
                 WHERE id = :id AND epoch = :epoch AND status IN ('claimed', 'open')",
                named_params! {
                    ":id": held.id, ":epoch": held.epoch, ":state": json(state), ":until": until,
                },
            )?;
            Ok(written == 1)
        })
    }

    /// Removes a row that this process holds, with its events; `false` if it is no longer its
    /// own.
    pub(crate) fn forget(&self, held: &Held) -> Result<bool, OutboxError> {
        self.write(|tx| {
            let is_ours = "SELECT count(*) FROM oneclick_outbox_intent
                           WHERE id = ?1 AND epoch = ?2 AND status IN ('claimed', 'open')";
            if tx.query_row(is_ours, [held.id, held.epoch], |row| row.get::<_, u32>(0))? == 0 {
                return Ok(false);
            }
            tx.execute("DELETE FROM oneclick_outbox_event WHERE intent = ?1", [held.id])?;
            tx.execute("DELETE FROM oneclick_outbox_intent WHERE id = ?1", [held.id])?;
            Ok(true)
        })
    }

    /// Stores an intent as it was remembered elsewhere, unless there is one with its key.
    pub(crate) fn import(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        written: &Written,
    ) -> Result<bool, OutboxError> {
        let now = self.now();
        self.write(|tx| {
            let Enqueued { id, is_new } = enqueue_at(tx, &now, namespace, key, purchase)?;
            if !is_new {
                return Ok(false);
            }
            tx.execute(
                "UPDATE oneclick_outbox_intent
                 SET status = :status, state = :state, bought = :bought, answer = :answer,
                     found = :found, done_at = :done
                 WHERE id = :id",
                named_params! {
                    ":id": id, ":status": written.status.as_str(),
                    ":state": written.state.as_ref().map(json),
                    ":bought": written.bought.as_ref().map(json),
                    ":answer": written.answer.as_ref().map(json), ":found": written.found_json(),
                    ":done": written.status.is_final().then(wall),
                },
            )?;
            note(tx, id, 0, &written.what)?;
            Ok(true)
        })
    }
}
