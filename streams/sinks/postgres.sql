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

-- A temporary table is made when first used, because emptying one costs 1.3 ms a commit.

-- name: new_alerts
CREATE TEMPORARY TABLE IF NOT EXISTS new_alerts (
  tenant text, id uuid, kind text, rule_id text, title text, source text, severity_id int,
  score float8, techniques text[], entity text, explanation jsonb, count bigint,
  first_seen bigint, last_seen bigint
) ON COMMIT DELETE ROWS;

-- name: new_alert_events
CREATE TEMPORARY TABLE IF NOT EXISTS new_alert_events (
  tenant text, alert_id uuid, event_uid uuid, time bigint, arrived bigint, score float8,
  source text, ocsf jsonb, raw bytea
) ON COMMIT DELETE ROWS;

-- name: new_dead_letters
CREATE TEMPORARY TABLE IF NOT EXISTS new_dead_letters (
  topic text, "partition" int, "offset" bigint, origin_topic text, origin_partition int,
  origin_offset bigint, origin_index int, stage text, reason text, detail text, tenant text,
  source text, time bigint, size bigint, value bytea
) ON COMMIT DELETE ROWS;

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
WITH highest AS (
  SELECT DISTINCT ON (tenant, id) * FROM new_alerts ORDER BY tenant, id, count DESC
), upserted AS (
  INSERT INTO alerts AS a (
    tenant, id, seq, revision, kind, rule_id, title, source, severity_id, score, techniques,
    entity, explanation, count, first_seen, last_seen)
  SELECT tenant, id, nextval('public.alerts_seq'), nextval('public.alerts_seq'), kind, rule_id,
    title, source, least(greatest(severity_id, 1), 5), score, techniques, entity, explanation,
    count, pg_temp.at(first_seen), pg_temp.at(last_seen)
  FROM (SELECT * FROM highest ORDER BY first_seen, id) AS ordered
  ON CONFLICT (tenant, id) DO UPDATE SET
    revision = nextval('public.alerts_seq'),
    severity_id = greatest(a.severity_id, excluded.severity_id),
    score = greatest(a.score, excluded.score),
    explanation = excluded.explanation,
    count = excluded.count,
    first_seen = least(a.first_seen, excluded.first_seen),
    last_seen = greatest(a.last_seen, excluded.last_seen),
    updated_at = now()
  WHERE excluded.count > a.count
  RETURNING tenant, source, xmax = 0 AS created -- xmax is set where the row was there
)
SELECT tenant, source, count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created)
FROM upserted GROUP BY 1, 2;

-- name: alert_events
WITH added AS (
  INSERT INTO alert_events (
    tenant, alert_id, event_uid, time, arrived, score, source, ocsf, raw)
  SELECT tenant, alert_id, event_uid, pg_temp.at(time), pg_temp.at(arrived), score, source,
    ocsf, raw
  FROM new_alert_events
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
  FROM new_dead_letters
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

-- name: json
SELECT $1::text::jsonb;
