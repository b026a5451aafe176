-- Intents, what happened to them, and the account that they belong to.

CREATE TABLE oneclick_outbox_meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE oneclick_outbox_intent (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    -- The purchase as versioned JSON. Personal data are here and in `answer`, and nowhere else.
    -- NULL once erased.
    request TEXT,
    -- Tells another request for the same key, also after the request was erased.
    digest TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ready' CHECK (status IN
        ('ready', 'claimed', 'open', 'bought', 'refused', 'cancelling', 'cancelled', 'unresolved',
         'dropped')),
    -- For people, and since the machine started in milliseconds; -1 before its last start.
    enqueued_at TEXT NOT NULL,
    enqueued INTEGER NOT NULL,
    -- When a worker may take the row, in milliseconds since the machine started. While a
    -- worker holds it, the end of the lease.
    due INTEGER NOT NULL,
    -- 1 while a worker holds it, and 2 while a process does that drives it by itself.
    held INTEGER NOT NULL DEFAULT 0,
    -- Counts the claims, so that no worker writes a row that another one has taken since.
    epoch INTEGER NOT NULL DEFAULT 0,
    -- How often it was tried in a row without an outcome.
    tries INTEGER NOT NULL DEFAULT 0,
    -- What the core needs to resume the purchase.
    state TEXT,
    -- The impact that was bought.
    bought TEXT,
    -- Whether a record shows it, and not only a receipt.
    looked INTEGER NOT NULL DEFAULT 0,
    -- What the API answered: its status and its JSON.
    answer TEXT,
    -- Why it is not bought, or not known to be.
    problem TEXT,
    -- The impacts that may be it.
    found TEXT,
    done_at TEXT,
    -- Whether a person wants it cancelled, or never bought.
    cancel INTEGER NOT NULL DEFAULT 0,
    -- When to audit it, in milliseconds since the machine started.
    -- NULL if there is no reason to, or no more.
    audit_at INTEGER,
    -- How often that was done.
    audits INTEGER NOT NULL DEFAULT 0,
    -- The impacts that are not cancelled, if there are more than there should be.
    surplus TEXT,
    UNIQUE (namespace, key)
) STRICT;

-- Two of them, so that neither a backlog nor what is open keeps the other from its turn.
CREATE INDEX oneclick_outbox_ready ON oneclick_outbox_intent (due, id)
    WHERE status IN ('ready', 'claimed');
CREATE INDEX oneclick_outbox_open ON oneclick_outbox_intent (due, id)
    WHERE status IN ('open', 'cancelling');
-- An impact is that of one intent.
CREATE INDEX oneclick_outbox_bought ON oneclick_outbox_intent (bought) WHERE bought IS NOT NULL;
CREATE INDEX oneclick_outbox_audit ON oneclick_outbox_intent (audit_at)
    WHERE audit_at IS NOT NULL;

CREATE TABLE oneclick_outbox_event (
    id INTEGER PRIMARY KEY,
    intent INTEGER NOT NULL REFERENCES oneclick_outbox_intent (id),
    at TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    what TEXT NOT NULL
) STRICT;
CREATE INDEX oneclick_outbox_event_of ON oneclick_outbox_event (intent, id);

-- What holds back all workers at once.
CREATE TABLE oneclick_outbox_gate (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- No purchase before this time, in milliseconds since the machine started.
    not_before INTEGER NOT NULL DEFAULT 0,
    -- How many failures in a row said that the API cannot be reached.
    failures INTEGER NOT NULL DEFAULT 0,
    -- Why a person or a revoked key has paused it.
    paused TEXT
) STRICT;
INSERT INTO oneclick_outbox_gate (one) VALUES (1);
