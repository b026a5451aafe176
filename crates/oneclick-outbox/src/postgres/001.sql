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

-- Why a text cannot be an e-mail address, by the core's rules and in its words; NULL if it may be.
CREATE FUNCTION oneclick.email_fault(address text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    domain text := substring(address FROM '[^@]*$');
    local text := left(address, -1 - length(domain));
    -- `"a b"@example.com` and `"a@b"@example.com` are valid.
    is_quoted boolean := local ~ '^".*"$';
    -- `[127.0.0.1]` is a valid domain.
    is_literal boolean := domain ~ '^[[].*[]]$';
    -- What else counts as a space is refused before.
    space text := '[\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]';
    invisible text := '[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff'
        '\ufff9-\ufffd\U000e0000-\U000e007f]';
BEGIN
    RETURN CASE
        WHEN address !~ '@' THEN 'it has no @'
        WHEN octet_length(convert_to(address, 'UTF8')) > 254 THEN 'it is longer than 254 bytes'
        WHEN address ~ '[\u0001-\u001f\u007f-\u009f]' THEN 'it contains a control character'
        WHEN local = '' THEN 'there is nothing before the @'
        WHEN domain = '' THEN 'there is nothing after the @'
        WHEN NOT is_quoted AND local ~ '^"' THEN 'its quotation marks are not closed'
        WHEN NOT is_quoted AND local ~ '@' THEN 'it has more than one @'
        WHEN address ~ invisible THEN
            'it contains an invisible character or U+FFFD, which replaces lost characters'
        WHEN NOT is_quoted AND local <> translate(local, '()<>[]:;,"' || chr(92), '') THEN
            'it contains one of ( ) < > [ ] : ; , ' || chr(92) || ' " outside quotation marks'
        WHEN domain ~ space OR NOT is_quoted AND local ~ space THEN 'it contains a space'
        WHEN NOT is_literal AND domain ~ '[^-._A-Za-z0-9\u0080-\U0010ffff]' THEN
            'its domain contains punctuation other than dots, hyphens and underscores'
        WHEN domain ~ '(^|[.])([.]|$)' THEN
            'its domain starts or ends with a dot, or has two dots in a row'
    END;
END
$$;

-- Raises an error unless the request is a purchase that can be sent. Returns it in the form in
-- which equal purchases are equal: without fields that are null, and with 5 for 5.0.
CREATE FUNCTION oneclick.checked(request jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    action text := request ->> 'action';
    unit text;
    most numeric;
    fields text[] := ARRAY['amount', 'customer_email', 'customer_name', 'notify', 'metadata'];
    field text;
    value jsonb;
    amount numeric;
    fault text;
BEGIN
    IF jsonb_typeof(request) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the request must be a JSON object' USING ERRCODE = 'check_violation';
    END IF;
    IF request -> 'v' IS DISTINCT FROM '1' THEN
        RAISE EXCEPTION 'the version "v" of the request must be 1 (got %)',
            coalesce(left(request ->> 'v', 40), 'none') USING ERRCODE = 'check_violation';
    END IF;
    -- Here and below, a query would take longer than all other checks.
    unit := CASE action WHEN 'plant_tree' THEN 'trees' WHEN 'restore_coral' THEN 'coral fragments'
        WHEN 'clean_ocean' THEN 'pounds' WHEN 'capture_carbon' THEN 'pounds'
        WHEN 'donate_money' THEN 'cents' END;
    most := CASE unit WHEN 'cents' THEN 1000000000 ELSE 10000000 END;
    IF unit IS NULL THEN
        RAISE EXCEPTION 'unknown action %: expected plant_tree, clean_ocean, capture_carbon, '
            'restore_coral or donate_money', coalesce(left(action, 40), 'none')
            USING ERRCODE = 'check_violation';
    END IF;
    IF action IN ('plant_tree', 'donate_money') THEN
        fields := fields || 'category'::text;
    END IF;
    IF request - fields - '{v,action}'::text[] <> '{}' THEN
        SELECT min(key) INTO field FROM jsonb_object_keys(request - fields - '{v,action}'::text[])
            AS unknown (key);
        RAISE EXCEPTION 'unknown field %: % takes %', left(field, 40), action,
            array_to_string(fields, ', ') USING ERRCODE = 'check_violation';
    END IF;
    FOREACH field IN ARRAY fields LOOP
        IF request -> field = 'null' THEN
            request := request - field;
        END IF;
    END LOOP;

    IF jsonb_typeof(request -> 'amount') = 'number' THEN
        amount := (request ->> 'amount')::numeric;
    END IF;
    -- The longest number that the core reads.
    IF amount IS NULL OR amount <> trunc(amount) OR abs(amount) > 9223372036854775807 THEN
        RAISE EXCEPTION 'expected a whole number of %, such as 5', unit
            USING ERRCODE = 'check_violation';
    END IF;
    IF amount NOT BETWEEN 1 AND most AND unit = 'cents' THEN
        RAISE EXCEPTION 'the amount must be between $0.01 and $10,000,000.00 (got %$%)',
            CASE WHEN amount < 0 THEN '-' ELSE '' END,
            to_char(abs(amount) / 100, 'FM999,999,999,999,999,990.00')
            USING ERRCODE = 'check_violation';
    END IF;
    IF amount NOT BETWEEN 1 AND most THEN
        RAISE EXCEPTION '% must be between 1 and 10,000,000 (got %)', unit,
            to_char(amount, 'FM9,999,999,999,999,999,990') USING ERRCODE = 'check_violation';
    END IF;
    request := request || jsonb_build_object('v', 1, 'amount', trim_scale(amount));

    IF action = 'plant_tree' AND request -> 'category' <> '"food"' THEN
        RAISE EXCEPTION 'unknown category: expected food' USING ERRCODE = 'check_violation';
    END IF;
    IF jsonb_typeof(request -> 'category') <> 'string' THEN
        RAISE EXCEPTION '"category" must be a text' USING ERRCODE = 'check_violation';
    END IF;
    IF jsonb_typeof(request -> 'notify') <> 'boolean' THEN
        RAISE EXCEPTION '"notify" must be true or false' USING ERRCODE = 'check_violation';
    END IF;
    -- No message shows an address or a name.
    IF jsonb_typeof(request -> 'customer_name') <> 'string' THEN
        RAISE EXCEPTION '"customer_name" must be a text' USING ERRCODE = 'check_violation';
    END IF;
    IF request ? 'customer_name' AND NOT request ? 'customer_email' THEN
        RAISE EXCEPTION '"customer_name" needs "customer_email"' USING ERRCODE = 'check_violation';
    END IF;
    IF jsonb_typeof(request -> 'customer_email') <> 'string' THEN
        RAISE EXCEPTION '"customer_email" must be a text' USING ERRCODE = 'check_violation';
    END IF;
    fault := oneclick.email_fault(request ->> 'customer_email');
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'invalid e-mail address: %', fault USING ERRCODE = 'check_violation';
    END IF;

    IF jsonb_typeof(request -> 'metadata') <> 'object' THEN
        RAISE EXCEPTION '"metadata" must be an object with texts as values'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT request ? 'metadata' THEN
        RETURN request;
    END IF;
    IF request -> 'metadata' = '{}' THEN
        RETURN request - 'metadata';
    END IF;
    FOR field, value IN SELECT * FROM jsonb_each(request -> 'metadata') LOOP
        fault := CASE
            WHEN jsonb_typeof(value) <> 'string' THEN
                '"metadata" must be an object with texts as values'
            WHEN field = '' THEN 'invalid metadata: a key is empty'
            WHEN field IN ('gift', 'widgetID') THEN
                'invalid metadata: the keys gift and widgetID are reserved'
            WHEN field = 'oneclick_intent' THEN
                'invalid metadata: the key oneclick_intent belongs to another intent: leave it out'
            WHEN length(field) > 40 THEN format(
                'the metadata key must have at most 40 characters (got %s)', length(field))
            WHEN length(value #>> '{}') > 500 THEN format(
                'the metadata value must have at most 500 characters (got %s)',
                length(value #>> '{}'))
        END;
        IF fault IS NOT NULL THEN
            RAISE EXCEPTION '%', fault USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    IF (SELECT count(*) FROM jsonb_object_keys(request -> 'metadata')) > 19 THEN
        RAISE EXCEPTION 'invalid metadata: it must have at most 19 pairs, because oneclick_intent '
            'is added to them' USING ERRCODE = 'check_violation';
    END IF;
    RETURN request;
END
$$;

-- Stores an intent at a time of the caller's, unless it is there. What it calls is looked up in
-- its own `search_path` and not in that of the caller.
CREATE FUNCTION oneclick.store(
    in_namespace text, in_key text, in_request jsonb, moment bigint,
    OUT id bigint, OUT is_new boolean
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    request jsonb := oneclick.checked(in_request);
    -- The key is in it, so it does not tell that two intents have one customer.
    digest text := encode(sha256(convert_to(jsonb_build_array(
        in_namespace, in_key, request)::text, 'UTF8')), 'hex');
    stored text;
BEGIN
    IF in_namespace IS NULL OR in_key IS NULL THEN
        RAISE EXCEPTION 'the namespace and the key of an intent must not be NULL'
            USING ERRCODE = 'check_violation';
    END IF;
    -- A second time if the row is deleted in between.
    LOOP
        INSERT INTO oneclick.intent AS i
            (namespace, key, request, digest, enqueued_at, enqueued, due)
        VALUES (in_namespace, in_key, request, digest, oneclick.wall(clock_timestamp()), moment,
            moment)
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
        EXIT WHEN FOUND;
    END LOOP;
    IF stored <> digest THEN
        RAISE EXCEPTION 'the intent "%" of "%" stands for another purchase: use another key, or '
            'the same purchase', in_key, in_namespace USING ERRCODE = 'unique_violation';
    END IF;
END
$$;

-- Stores an intent inside the caller's own transaction, so that it exists exactly if the order
-- does. Returns its number. The same key with the same request is the intent that exists. It has
-- the rights of the owner, so a shop needs none on the tables.
CREATE FUNCTION oneclick.enqueue(namespace text, key text, request jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (oneclick.store(namespace, key, request,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint)).id;
END
$$;

-- Only the owner may call them, until they are granted.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA oneclick FROM PUBLIC;
