//! Rows that a process drives by itself, and rows that another store recorded.

use std::time::Duration;

use oneclick_proto::{Purchase, PurchaseState};

use super::claim::{Held, Written, hold};
use super::row::Holder;
use super::{Enqueued, Store, enqueue};
use crate::error::OutboxError;
use crate::intent::Status;

impl Store {
    /// Takes a row for a process that drives it by itself, and stores it if it is missing. Also
    /// returns whether it is new. Returns `None` while a worker or another process holds it; with
    /// `alone`, only while a worker does.
    pub(crate) fn claim_alone(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        alone: bool,
        lease: Duration,
    ) -> Result<Option<(Held, bool)>, OutboxError> {
        self.write(|tx, now| {
            let Enqueued { id, is_new } = enqueue(tx, now, namespace, key, purchase)?;
            let mut row = tx.row(id)?.ok_or(OutboxError::NoSuchIntent)?;
            match row.status {
                Status::Ready | Status::Claimed | Status::Open => {
                    if row.is_held(now) && !(alone && row.holder == Holder::Process) {
                        return Ok(None);
                    }
                }
                Status::Unresolved | Status::Refused => {
                    row.status = if row.state.is_none() { Status::Ready } else { Status::Open };
                    (row.answer, row.done_at) = (None, None);
                }
                status @ (Status::Bought
                | Status::Cancelling
                | Status::Cancelled
                | Status::Dropped) => return Err(OutboxError::WrongStatus { id, status }),
            }
            tx.save(&row)?;
            let Some(held) = hold(tx, vec![row], Holder::Process, now, lease)?.pop() else {
                let reason = "it is damaged or of a newer version".to_owned();
                return Err(OutboxError::Unreadable { id, reason });
            };
            // The caller decides when to send, so only a pause of the outbox prevents it.
            Ok(Some((Held { is_probe: true, ..held }, is_new)))
        })
    }

    /// Stores the state of a row that this process holds; `false` if it no longer does.
    pub(crate) fn keep(
        &self,
        held: &Held,
        state: &PurchaseState,
        lease: Duration,
    ) -> Result<bool, OutboxError> {
        self.write(|tx, now| {
            let row = tx.row(held.id)?.filter(|row| held.is_still(row));
            let Some(mut row) = row else { return Ok(false) };
            (row.status, row.due) = (Status::Open, now.saturating_add(lease));
            row.set_state(Some(state));
            tx.save(&row)?;
            Ok(true)
        })
    }

    /// Removes a row that this process holds, with its events; `false` if it no longer
    /// does, or if a person has cancelled it.
    pub(crate) fn forget(&self, held: &Held) -> Result<bool, OutboxError> {
        self.write(|tx, _| {
            let row = tx.row(held.id)?;
            let is_removed = row.is_some_and(|row| held.is_still(&row) && !row.cancel);
            if is_removed {
                tx.delete(held.id)?;
            }
            Ok(is_removed)
        })
    }

    /// Stores an intent as another store recorded it, unless one with its key exists.
    pub(crate) fn import(
        &self,
        namespace: &str,
        key: &str,
        purchase: &Purchase,
        written: &Written,
    ) -> Result<bool, OutboxError> {
        self.write(|tx, now| {
            let Enqueued { id, is_new } = enqueue(tx, now, namespace, key, purchase)?;
            if is_new {
                let mut row = tx.row(id)?.ok_or(OutboxError::NoSuchIntent)?;
                written.apply(&mut row, written.status);
                tx.save(&row)?;
                tx.note(id, 0, &written.what)?;
            }
            Ok(is_new)
        })
    }
}
