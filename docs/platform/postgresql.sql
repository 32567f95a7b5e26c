-- What a platform needs in PostgreSQL (14 or newer) to take records in, idempotently, and to prove that none is missing.
-- Loaded as it stands by scripts/fleet and by the tests; docs/platform/completeness.md explains it.

-- One numbering: a stream of one incarnation (epoch) of one gateway's store. A small integer keeps the large index small.
CREATE TABLE series (
    series    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway   text NOT NULL,
    epoch     text NOT NULL,
    stream    text NOT NULL,
    told_last bigint NOT NULL DEFAULT 0,   -- streams.*.last of the gateway's own status, asked from time to time
    proved    bigint NOT NULL DEFAULT 0,   -- complete up to here, found by prove_on()
    UNIQUE (gateway, epoch, stream)
);

CREATE TABLE records (
    series   integer NOT NULL,
    sequence bigint NOT NULL,
    id       uuid NOT NULL UNIQUE,
    type     text NOT NULL,
    time     timestamptz NOT NULL,
    record   json NOT NULL,                -- json, not jsonb: the very bytes that the gateway wrote
    PRIMARY KEY (series, sequence)
);

-- A whole number that fits, or NULL: what a gateway writes must never stop a platform with an error of a cast.
CREATE FUNCTION whole(value json) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value::text ~ '^[0-9]{1,18}$' THEN value::text::bigint END
$$;

-- The ranges of linli.gap.v1 records, written in the same transaction as the records themselves.
CREATE TABLE gaps (
    series   integer NOT NULL,
    sequence bigint NOT NULL,
    first    bigint NOT NULL CHECK (first >= 1),
    last     bigint NOT NULL,
    PRIMARY KEY (series, sequence),
    CHECK (first <= last AND last < sequence)
);

-- A gateway that salvaged records from a damaged store sends them in its new epoch with their old ids: the record is
-- here already, but its number in the new epoch has to be accounted for.
CREATE TABLE salvaged (
    series   integer NOT NULL,
    sequence bigint NOT NULL,
    id       uuid NOT NULL,
    PRIMARY KEY (series, sequence)
);

-- What must never be: another record under a number or an id that is taken. ON CONFLICT DO NOTHING alone would hide it.
CREATE TABLE conflicts (
    series   integer NOT NULL,
    sequence bigint NOT NULL,
    id       uuid NOT NULL,
    record   text NOT NULL,
    reason   text NOT NULL,
    noticed  timestamptz NOT NULL DEFAULT now()
);

-- A message that is no batch of records: kept for a person to look at, and acknowledged, or it would come for ever.
CREATE TABLE refused (
    topic   text NOT NULL,
    payload bytea NOT NULL,
    reason  text NOT NULL,
    noticed timestamptz NOT NULL DEFAULT now()
);

-- Every consumer fills its own copy by COPY and calls take_in() in the same transaction:
--   CREATE TEMP TABLE incoming (LIKE incoming_shape) ON COMMIT DELETE ROWS
CREATE TABLE incoming_shape (
    series   integer NOT NULL,
    sequence bigint NOT NULL,
    id       uuid NOT NULL,
    type     text NOT NULL,
    time     timestamptz NOT NULL,
    record   json NOT NULL
);

-- Takes what is in `incoming`; returns how many records were new. Acknowledge to the broker after the COMMIT, not before.
-- The settings: a plan that was made while `records` was small, or knows nothing of `incoming`, would read all of it.
CREATE FUNCTION take_in() RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    here bigint;
    fresh bigint;
BEGIN
    SELECT count(*) INTO here FROM incoming;
    -- In one order for everybody: two consumers that take the same resent records would otherwise lock each other out.
    INSERT INTO records (series, sequence, id, type, time, record)
        SELECT i.series, i.sequence, i.id, i.type, i.time, i.record FROM incoming i ORDER BY i.series, i.sequence
        ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS fresh = ROW_COUNT;

    WITH told AS MATERIALIZED (
        SELECT i.series, i.sequence, i.id, i.record, i.record -> 'data' ->> 'stream' = s.stream AS ours,
               whole(i.record -> 'data' -> 'first') AS first, whole(i.record -> 'data' -> 'last') AS last,
               whole(i.record -> 'data' -> 'count') AS count
        FROM incoming i JOIN series s USING (series) WHERE i.type = 'linli.gap.v1'
    ), good AS (
        INSERT INTO gaps (series, sequence, first, last)
            SELECT series, sequence, first, last FROM told
            WHERE ours AND 1 <= first AND first <= last AND last < sequence AND count = last - first + 1
            ON CONFLICT DO NOTHING
    )
    INSERT INTO conflicts (series, sequence, id, record, reason)
        SELECT series, sequence, id, record::text, 'bad gap' FROM told
        WHERE (ours AND 1 <= first AND first <= last AND last < sequence AND count = last - first + 1) IS NOT TRUE;

    IF fresh < here THEN
        INSERT INTO salvaged (series, sequence, id)
            SELECT DISTINCT i.series, i.sequence, i.id
            FROM incoming i
            JOIN series now_in USING (series)
            JOIN records r ON r.id = i.id AND r.type = i.type AND r.time = i.time AND r.series <> i.series
            JOIN series was_in ON was_in.series = r.series AND was_in.gateway = now_in.gateway
                AND was_in.stream = now_in.stream AND was_in.epoch <> now_in.epoch
            WHERE NOT EXISTS (SELECT FROM records o WHERE o.series = i.series AND o.sequence = i.sequence)
            ON CONFLICT DO NOTHING;
        INSERT INTO conflicts (series, sequence, id, record, reason)
            SELECT i.series, i.sequence, i.id, i.record::text,
                   CASE WHEN r.series IS NULL THEN 'id taken' ELSE 'number taken' END
            FROM incoming i
            LEFT JOIN records r USING (series, sequence)
            LEFT JOIN salvaged s USING (series, sequence)
            WHERE (r.series IS NULL AND s.id IS DISTINCT FROM i.id)
               OR r.id <> i.id OR r.record::text <> i.record::text;
    END IF;
    RETURN fresh;
END
$$;

-- Numbers that are accounted for, of series whose numbers from `after` on matter.
CREATE FUNCTION accounted(one integer, after bigint) RETURNS int8multirange LANGUAGE sql STABLE AS $$
    SELECT coalesce(range_agg(span), '{}') FROM (
        SELECT int8range(min(sequence), max(sequence), '[]') AS span
        FROM (
            SELECT sequence, sequence - row_number() OVER (ORDER BY sequence) AS island
            FROM (
                SELECT sequence FROM records WHERE series = one AND sequence > after
                UNION ALL SELECT sequence FROM salvaged WHERE series = one AND sequence > after
            ) AS numbers
        ) AS numbered
        GROUP BY island
        UNION ALL
        SELECT int8range(first, last, '[]') FROM gaps WHERE series = one AND last > after
    ) AS spans
$$;

-- The proof: one row a series, `missing` empty if every number is a record or explained. Reads every number above
-- `proved`, so after prove_on() it costs what came since then.
CREATE VIEW completeness AS
SELECT series, gateway, epoch, stream, proved, known.last,
       CASE WHEN known.last > proved
            THEN int8multirange(int8range(proved + 1, known.last, '[]')) - accounted(series, proved)
            ELSE '{}' END AS missing
FROM series,
LATERAL (SELECT greatest(told_last,
                         (SELECT max(sequence) FROM records WHERE records.series = series.series),
                         (SELECT max(sequence) FROM salvaged WHERE salvaged.series = series.series)) AS last) AS known;

-- Moves `proved` up to just before the first number that is missing; returns how many series still miss something.
CREATE FUNCTION prove_on() RETURNS bigint LANGUAGE sql AS $$
    WITH found AS MATERIALIZED (SELECT series, last, missing FROM completeness),
    moved AS (
        UPDATE series SET proved = CASE WHEN isempty(missing) THEN last ELSE lower(missing) - 1 END
        FROM found
        WHERE found.series = series.series
          AND series.proved < CASE WHEN isempty(missing) THEN last ELSE lower(missing) - 1 END
    )
    SELECT count(*) FROM found WHERE NOT isempty(missing)
$$;
