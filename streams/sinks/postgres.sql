-- Times come as milliseconds since the epoch and are bounded to the years 1 to 9999, which
-- is what the readers of these tables can represent.

-- name: prepare
CREATE FUNCTION pg_temp.at(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN to_timestamp(least(greatest(ms, -62135596800000), 253402300799999) / 1000::float8);
-- The new rows are few and the tables large: always look rows up by index, also while a
-- young partition is empty and has no statistics, and look again how large it is each time.
SET plan_cache_mode = force_custom_plan;
SET enable_material = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
SET jit = off;
SET client_min_messages = warning;

-- name: events
-- The primary key holds within a day; the same event that arrived on another day is found
-- by looking in all partitions that are kept, from $1 on. "|| ''" keeps the planner from the
-- index that begins with the tenant, which costs 40 times as much once there are rows.
WITH n AS MATERIALIZED (
  SELECT * FROM unnest(
    $2::text[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::int[], $8::int[],
    $9::int[], $10::int[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
    $16::text[], $17::date[]
  ) AS given (
    tenant, uid, time, arrived, source, class_uid, activity_id, status_id, severity_id,
    entity, operation, service, src_ip, raw, ocsf, day)
), added AS (
  INSERT INTO events (
    tenant, uid, day, time, arrived, source, class_uid, activity_id, status_id, severity_id,
    entity, operation, service, src_ip, raw, ocsf)
  SELECT tenant, uid, day, pg_temp.at(time), pg_temp.at(arrived), source, class_uid,
    activity_id, status_id, severity_id, entity, operation, service, src_ip, raw, ocsf::jsonb
  FROM n
  WHERE NOT EXISTS (
    SELECT FROM events e
    WHERE e.uid = n.uid AND e.tenant || '' = n.tenant AND e.day >= $1)
  ON CONFLICT DO NOTHING
  RETURNING tenant, source
)
SELECT tenant, source, count(*) FROM added GROUP BY 1, 2;

-- name: lock_alerts
SELECT pg_advisory_xact_lock(hashtext('sentinel.alerts'));

-- name: alerts
WITH highest AS MATERIALIZED (
  -- 'new' sorts before 'staged' and 'suppressed', '' before any id: one new record is enough.
  SELECT DISTINCT ON (tenant, id) *,
    min(given_status) OVER same AS status, min(given_suppression) OVER same AS suppression
  FROM unnest(
    $1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
    $8::float8[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
    $14::bigint[], $15::text[], $16::text[]
  ) AS given (
    tenant, id, kind, rule_id, title, source, severity_id, score, techniques, entity,
    explanation, count, first_seen, last_seen, given_status, given_suppression)
  WINDOW same AS (PARTITION BY tenant, id)
  ORDER BY tenant, id, count DESC
), upserted AS (
  INSERT INTO alerts AS a (
    tenant, id, seq, revision, kind, rule_id, title, source, severity_id, score, techniques,
    entity, explanation, status, suppression, count, first_seen, last_seen)
  SELECT tenant, id, nextval('public.alerts_seq'), nextval('public.alerts_seq'), kind, rule_id,
    title, source, least(greatest(severity_id, 1), 5), score,
    ARRAY(SELECT jsonb_array_elements_text(techniques::jsonb)), entity, explanation::jsonb,
    status, suppression, count, pg_temp.at(first_seen), pg_temp.at(last_seen)
  FROM (SELECT * FROM highest ORDER BY first_seen, id) AS ordered
  ON CONFLICT (tenant, id) DO UPDATE SET
    revision = nextval('public.alerts_seq'),
    severity_id = greatest(a.severity_id, excluded.severity_id),
    score = greatest(a.score, excluded.score),
    explanation = excluded.explanation,
    -- What is open stays as people left it; what was kept quiet opens with a new record.
    status = CASE WHEN a.status IN ('suppressed', 'staged') THEN excluded.status
      ELSE a.status END,
    suppression = CASE WHEN a.status IN ('suppressed', 'staged') THEN excluded.suppression
      ELSE a.suppression END,
    count = excluded.count,
    first_seen = least(a.first_seen, excluded.first_seen),
    last_seen = greatest(a.last_seen, excluded.last_seen),
    updated_at = now()
  WHERE excluded.count > a.count
  RETURNING tenant, id, source, xmax = 0 AS created, status -- xmax is set where the row was there
)
SELECT tenant, id::text, source, created, status FROM upserted;

-- name: alert_events
WITH added AS (
  INSERT INTO alert_events (
    tenant, alert_id, event_uid, time, arrived, score, source, ocsf, raw)
  SELECT tenant, alert_id, event_uid, pg_temp.at(time), pg_temp.at(arrived), score, source,
    ocsf::jsonb, raw
  FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::float8[], $7::text[],
    $8::text[], $9::bytea[]
  ) AS given (tenant, alert_id, event_uid, time, arrived, score, source, ocsf, raw)
  ON CONFLICT DO NOTHING
  RETURNING tenant, source
)
SELECT tenant, source, count(*) FROM added GROUP BY 1, 2;

-- name: dead_letters
WITH added AS (
  INSERT INTO dead_letters (
    topic, "partition", "offset", origin_topic, origin_partition, origin_offset, origin_index,
    stage, reason, detail, tenant, source, time, size, value)
  SELECT topic, "partition", "offset", origin_topic, origin_partition, origin_offset,
    origin_index, stage, reason, detail, tenant, source, pg_temp.at(time), size, value
  FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::text[], $5::int[], $6::bigint[], $7::int[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[],
    $14::bigint[], $15::bytea[]
  ) AS given (
    topic, "partition", "offset", origin_topic, origin_partition, origin_offset,
    origin_index, stage, reason, detail, tenant, source, time, size, value)
  ON CONFLICT DO NOTHING
  RETURNING tenant, source
)
SELECT tenant, source, count(*) FROM added GROUP BY 1, 2;

-- name: transaction
SELECT pg_current_xact_id()::text;

-- name: outcome
SELECT pg_xact_status($1::text::xid8);

-- name: partition
SELECT events_partition($1);

-- name: expire
SELECT events_expire($1);

-- name: expire_tenants
SELECT tenants_expire($1);

-- name: json
SELECT $1::text::jsonb;
