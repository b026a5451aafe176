-- Intents, what happened to them, and the account that they belong to, in a schema of their own.

CREATE SCHEMA oneclick;

CREATE TABLE oneclick.meta (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- The number of the latest step.
INSERT INTO oneclick.meta (name, value) VALUES ('schema_version', '1');

CREATE TABLE oneclick.intent (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    namespace text NOT NULL,
    key text NOT NULL,
    -- The purchase as versioned JSON. Personal data are here and in `answer`, and nowhere else.
    -- NULL once erased.
    request jsonb,
    -- Tells another request for the same key, also after the request was erased.
    digest text NOT NULL,
    status text NOT NULL DEFAULT 'ready' CHECK (status IN
        ('ready', 'claimed', 'open', 'bought', 'refused', 'cancelling', 'cancelled', 'unresolved',
         'dropped')),
    -- For people, and in milliseconds since 1970 by this server's clock.
    enqueued_at text NOT NULL,
    enqueued bigint NOT NULL,
    -- When a worker may take the row, in the same milliseconds. While a worker holds it, the end
    -- of the lease.
    due bigint NOT NULL,
    -- 1 while a worker holds it, and 2 while a process does that drives it by itself.
    held integer NOT NULL DEFAULT 0,
    -- Counts the claims, so that no worker writes a row that another one has taken since.
    epoch bigint NOT NULL DEFAULT 0,
    -- How often it was tried in a row without an outcome.
    tries integer NOT NULL DEFAULT 0,
    -- What the core needs to resume the purchase.
    state text,
    -- The impact that was bought.
    bought text,
    -- Whether a record shows it, and not only a receipt.
    looked boolean NOT NULL DEFAULT false,
    -- What the API answered: its status and its JSON.
    answer text,
    -- Why it is not bought, or not known to be.
    problem text,
    -- The impacts that may be it.
    found text,
    done_at text,
    -- Whether a person wants it cancelled, or never bought.
    cancel boolean NOT NULL DEFAULT false,
    -- When to audit it, in the same milliseconds. NULL if there is
    -- no reason to, or no more.
    audit_at bigint,
    -- How often that was done.
    audits integer NOT NULL DEFAULT 0,
    -- The impacts that are not cancelled, if there are more than there should be.
    surplus text,
    UNIQUE (namespace, key)
);

-- Two of them, so that neither a backlog nor what is open keeps the other from its turn.
CREATE INDEX intent_ready ON oneclick.intent (due, id) WHERE status IN ('ready', 'claimed');
CREATE INDEX intent_open ON oneclick.intent (due, id) WHERE status IN ('open', 'cancelling');
-- An impact is that of one intent.
CREATE INDEX intent_bought ON oneclick.intent (bought) WHERE bought IS NOT NULL;
CREATE INDEX intent_audit ON oneclick.intent (audit_at, id) WHERE audit_at IS NOT NULL;
CREATE INDEX intent_surplus ON oneclick.intent (id) WHERE surplus IS NOT NULL;

CREATE TABLE oneclick.event (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    intent bigint NOT NULL REFERENCES oneclick.intent (id),
    at text NOT NULL,
    epoch bigint NOT NULL,
    what text NOT NULL
);
CREATE INDEX event_of ON oneclick.event (intent, id);

-- What holds back all workers at once.
CREATE TABLE oneclick.gate (
    one integer PRIMARY KEY CHECK (one = 1),
    -- No purchase before this time, in the same milliseconds.
    not_before bigint NOT NULL DEFAULT 0,
    -- How many failures in a row said that the API cannot be reached.
    failures integer NOT NULL DEFAULT 0,
    -- Why a person or a revoked key has paused it.
    paused text
);
INSERT INTO oneclick.gate (one) VALUES (1);

-- A time as people read it.
CREATE FUNCTION oneclick.wall(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Raises an error unless the request is a purchase that can be sent.
CREATE FUNCTION oneclick.check_request(request jsonb) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    action text := request ->> 'action';
    unit text;
    most numeric;
    fields text[] := ARRAY['v', 'action', 'amount', 'customer_email', 'customer_name', 'notify',
                           'metadata'];
    field text;
    value jsonb;
    amount numeric;
BEGIN
    IF jsonb_typeof(request) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the request must be a JSON object' USING ERRCODE = 'check_violation';
    END IF;
    IF request -> 'v' IS DISTINCT FROM '1' THEN
        RAISE EXCEPTION 'the version "v" of the request must be 1 (got %)',
            coalesce(request ->> 'v', 'none') USING ERRCODE = 'check_violation';
    END IF;
    SELECT a.unit, a.most INTO unit, most FROM (VALUES
        ('plant_tree', 'trees', 10000000), ('clean_ocean', 'pounds', 10000000),
        ('capture_carbon', 'pounds', 10000000), ('restore_coral', 'coral fragments', 10000000),
        ('donate_money', 'cents', 1000000000)
    ) AS a (name, unit, most) WHERE a.name = action;
    IF unit IS NULL THEN
        RAISE EXCEPTION 'unknown action %: expected plant_tree, clean_ocean, capture_carbon, '
            'restore_coral or donate_money', coalesce(request ->> 'action', 'none')
            USING ERRCODE = 'check_violation';
    END IF;
    IF action = 'plant_tree' THEN
        fields := fields || 'category'::text;
    END IF;
    FOR field, value IN SELECT * FROM jsonb_each(request) LOOP
        IF field <> ALL (fields) THEN
            RAISE EXCEPTION 'unknown field %: % takes %', field, action,
                array_to_string(fields[3:], ', ') USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    IF jsonb_typeof(request -> 'amount') IS DISTINCT FROM 'number' THEN
        RAISE EXCEPTION 'expected a whole number of %, such as 5', unit
            USING ERRCODE = 'check_violation';
    END IF;
    amount := (request ->> 'amount')::numeric;
    IF amount <> trunc(amount) THEN
        RAISE EXCEPTION 'expected a whole number of %, such as 5', unit
            USING ERRCODE = 'check_violation';
    END IF;
    IF amount < 1 OR amount > most THEN
        RAISE EXCEPTION '% must be between 1 and % (got %)', unit,
            ltrim(to_char(most, '9,999,999,999')), trim_scale(amount)
            USING ERRCODE = 'check_violation';
    END IF;
    IF request ? 'category'
        AND coalesce(request ->> 'category', '') NOT IN ('food', 'animals', 'beauty', 'cloud')
    THEN
        RAISE EXCEPTION 'unknown category %: expected food, animals, beauty or cloud',
            request -> 'category' USING ERRCODE = 'check_violation';
    END IF;
    IF request ? 'notify' AND jsonb_typeof(request -> 'notify') <> 'boolean' THEN
        RAISE EXCEPTION '"notify" must be true or false' USING ERRCODE = 'check_violation';
    END IF;
    IF request ? 'customer_name' THEN
        IF jsonb_typeof(request -> 'customer_name') <> 'string' THEN
            RAISE EXCEPTION '"customer_name" must be a text' USING ERRCODE = 'check_violation';
        END IF;
        IF NOT request ? 'customer_email' THEN
            RAISE EXCEPTION '"customer_name" needs "customer_email"'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    -- No message shows an address. Whatever is stranger is refused by a worker.
    IF request ? 'customer_email' AND (
        jsonb_typeof(request -> 'customer_email') <> 'string'
        OR octet_length(request ->> 'customer_email') > 254
        OR (request ->> 'customer_email') !~ '^[^[:cntrl:]]+@[^@[:space:][:cntrl:]]+$'
    ) THEN
        RAISE EXCEPTION 'invalid e-mail address' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT request ? 'metadata' THEN
        RETURN;
    END IF;
    IF jsonb_typeof(request -> 'metadata') <> 'object' THEN
        RAISE EXCEPTION '"metadata" must be an object with texts as values'
            USING ERRCODE = 'check_violation';
    END IF;
    -- The marker of the intent is one more.
    IF (SELECT count(*) FROM jsonb_object_keys(request -> 'metadata')) > 19 THEN
        RAISE EXCEPTION 'invalid metadata: it has more than 19 pairs, and the marker of the intent '
            'needs one of 20' USING ERRCODE = 'check_violation';
    END IF;
    FOR field, value IN SELECT * FROM jsonb_each(request -> 'metadata') LOOP
        IF jsonb_typeof(value) <> 'string' OR length(value #>> '{}') > 500 THEN
            RAISE EXCEPTION 'invalid metadata: each value must be a text of at most 500 characters'
                USING ERRCODE = 'check_violation';
        END IF;
        IF length(field) NOT BETWEEN 1 AND 40 OR field IN ('gift', 'widgetID', 'oneclick_intent')
        THEN
            RAISE EXCEPTION 'invalid metadata: a key has 1 to 40 characters, and gift, widgetID '
                'and oneclick_intent are reserved' USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
END
$$;

-- Stores an intent at a time of the caller's, unless it is there.
CREATE FUNCTION oneclick.store(
    in_namespace text, in_key text, in_request jsonb, moment bigint,
    OUT id bigint, OUT is_new boolean
) LANGUAGE plpgsql AS $$
DECLARE
    -- 5 and 5.0 are one amount.
    request jsonb := CASE WHEN jsonb_typeof(in_request -> 'amount') = 'number'
        THEN in_request || jsonb_build_object('v', in_request -> 'v', 'amount',
            trim_scale((in_request ->> 'amount')::numeric))
        ELSE in_request END;
    -- The key is in it, so it does not tell that two intents have one customer.
    digest text := encode(sha256(convert_to(jsonb_build_array(
        in_namespace, in_key, request)::text, 'UTF8')), 'hex');
    stored text;
BEGIN
    PERFORM oneclick.check_request(request);
    INSERT INTO oneclick.intent AS i
        (namespace, key, request, digest, enqueued_at, enqueued, due)
    VALUES (in_namespace, in_key, request, digest, oneclick.wall(clock_timestamp()), moment, moment)
    ON CONFLICT (namespace, key) DO NOTHING
    RETURNING i.id INTO id;
    is_new := id IS NOT NULL;
    IF is_new THEN
        INSERT INTO oneclick.event (intent, at, epoch, what)
        VALUES (id, oneclick.wall(clock_timestamp()), 0, 'stored');
        RETURN;
    END IF;
    SELECT i.id, i.digest INTO id, stored FROM oneclick.intent AS i
    WHERE i.namespace = in_namespace AND i.key = in_key;
    IF stored IS DISTINCT FROM digest THEN
        RAISE EXCEPTION 'the intent "%" of "%" stands for another purchase: use another key, or '
            'the same purchase', in_key, in_namespace USING ERRCODE = 'unique_violation';
    END IF;
END
$$;

-- Stores an intent inside the caller's own transaction, so that it exists exactly if the order
-- does. Returns its number. The same key with the same request is the intent that exists.
CREATE FUNCTION oneclick.enqueue(namespace text, key text, request jsonb) RETURNS bigint
LANGUAGE sql AS $$
    SELECT id FROM oneclick.store(namespace, key, request,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;
