-- Every query runs as sentinel_api, in a transaction that begins with "tenant": row-level
-- security shows that tenant's rows. A parameter that is null filters nothing.

-- name: tenant
SELECT set_config('sentinel.tenant', $1, true);

-- name: actor
-- Who writes, for the audit log.
SELECT set_config('sentinel.actor', $1, true), set_config('sentinel.address', $2, true),
  set_config('sentinel.request', $3, true);

-- name: alert_columns
id, seq, revision, first_seen, tenant, source, severity, score, rule_id, title, techniques,
entity, explanation, status, count, ARRAY(
  SELECT event_uid FROM alert_events AS e
  WHERE e.tenant = a.tenant AND e.alert_id = a.id
  ORDER BY e.time, e.event_uid LIMIT 1000
) AS event_uids

-- name: alert_filter
    ($1::timestamptz IS NULL OR a.last_seen >= $1)
AND ($2::timestamptz IS NULL OR a.first_seen < $2)
AND ($3::text[] IS NULL OR a.severity = ANY ($3))
AND ($4::int IS NULL OR a.severity_id >= $4)
AND ($5::text IS NULL OR a.rule_id = $5)
AND ($6::text IS NULL OR a.entity = $6)
AND ($7::text IS NULL OR a.source = $7)
AND ($8::text IS NULL OR EXISTS (
  SELECT FROM unnest(a.techniques) AS t WHERE t = $8 OR starts_with(t, $8 || '.')))
AND ($9::text IS NULL OR a.status = $9)
AND ($10::text IS NULL OR a.tenant = $10)

-- name: words
-- Of all texts within the JSON `texts`, as sentinel/words.py makes them: "C" lowers ASCII only.
regexp_split_to_array(lower((
  SELECT coalesce(string_agg(each #>> '{}', ' '), '')
  FROM jsonb_path_query(texts, 'strict $.**') AS found (each)
  WHERE jsonb_typeof(each) = 'string'
) COLLATE "C"), '[\x01-\x2f\x3a-\x60\x7b-\x7f]+')

-- name: alerts
SELECT {alert_columns}
FROM alerts AS a, LATERAL (SELECT jsonb_build_array(
  a.title, a.rule_id, a.entity, a.techniques, a.explanation) AS texts) AS t
WHERE {alert_filter}
AND ($11::timestamptz IS NULL OR (a.first_seen, a.id) < ($11, $12::uuid))
-- A word that is no part of the whole text is none of its words: 20 times as fast to tell.
AND ($13::text[] IS NULL OR lower(texts::text COLLATE "C") LIKE ALL (
  ARRAY(SELECT '%' || word || '%' FROM unnest($13) AS found (word))) AND {words} @> $13)
ORDER BY a.first_seen DESC, a.id DESC
LIMIT $14;

-- name: alerts_of
SELECT {alert_columns}
FROM alerts AS a
WHERE (a.tenant, a.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: alert
SELECT {alert_columns}
FROM alerts AS a
WHERE a.id = $1
LIMIT 1;

-- name: evidence
SELECT e.event_uid, e.time, e.score, e.source, e.ocsf, e.raw
FROM alert_events AS e
WHERE e.tenant = $1 AND e.alert_id = $2
AND ($3::timestamptz IS NULL OR (e.time, e.event_uid) > ($3, $4::uuid))
ORDER BY e.time, e.event_uid
LIMIT $5;

-- name: newest_revision
SELECT coalesce(max(revision), 0) FROM alerts;

-- name: changes
-- What was created or amended after revision $11, in that order.
SELECT {alert_columns}
FROM alerts AS a
WHERE {alert_filter}
AND a.revision > $11 AND a.revision <= $12
ORDER BY a.revision
LIMIT $13;

-- name: events
SELECT uid, time, arrived, tenant, source, class_uid, activity_id, status_id, severity_id,
  entity, operation, service, src_ip, raw, ocsf
-- What the source wrote is searched: the texts of JSON, else all of it (`sentinel.words.written`).
FROM events, LATERAL (
  SELECT replace(coalesce(nullif(raw, ''), ocsf::text), '\u0000', ' ') AS written) AS w,
LATERAL (
  SELECT CASE WHEN pg_input_is_valid(written, 'jsonb') THEN written::jsonb
  ELSE to_jsonb(written) END AS texts) AS t
WHERE ($1::timestamptz IS NULL OR time >= $1)
AND ($2::timestamptz IS NULL OR time < $2)
AND ($3::uuid IS NULL OR uid = $3)
AND ($4::text IS NULL OR source = $4)
AND ($5::text IS NULL OR entity = $5)
AND ($6::text IS NULL OR operation = $6)
AND ($7::text IS NULL OR service = $7)
AND ($8::text IS NULL OR src_ip = $8)
AND ($9::int IS NULL OR class_uid = $9)
AND ($10::int IS NULL OR severity_id >= $10)
AND ($11::text IS NULL OR tenant = $11)
AND ($12::timestamptz IS NULL OR (time, uid) < ($12, $13::uuid))
-- JSON writes words of ASCII as they are, others maybe not: 20 times as fast to tell.
AND ($14::text[] IS NULL OR lower(written COLLATE "C") LIKE ALL (
  ARRAY(SELECT '%' || word || '%' FROM unnest($14) AS found (word) WHERE word ~ '^[a-z0-9]+$'))
  AND {words} @> $14)
ORDER BY time DESC, uid DESC
LIMIT $15;

-- name: alert_counts
SELECT date_bin($1::interval, first_seen, 'epoch') AS time, {key} AS key, count(*) AS count
FROM alerts
WHERE first_seen >= $2 AND first_seen < $3 AND ($4::text IS NULL OR tenant = $4)
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: event_counts
SELECT date_bin($1::interval, time, 'epoch') AS time, {key} AS key, count(*) AS count
FROM events
WHERE time >= $2 AND time < $3 AND ($4::text IS NULL OR tenant = $4)
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: dead_letters
SELECT topic, "partition", "offset", origin_topic, origin_partition, origin_offset,
  origin_index, stage, reason, detail, tenant, source, time, size, value, status, updated_at
FROM dead_letters
WHERE ($1::text IS NULL OR status = $1)
AND ($2::text IS NULL OR reason = $2)
AND ($3::text IS NULL OR stage = $3)
AND ($4::text IS NULL OR source = $4)
AND ($5::text IS NULL OR tenant = $5)
AND ($6::bigint IS NULL OR ("offset", "partition", topic) < ($6, $7::int, $8::text))
ORDER BY "offset" DESC, "partition" DESC, topic DESC
LIMIT $9;

-- name: ledger
SELECT stage, tenant, source, what, count FROM ledger_rows()
WHERE $1 = '*' OR tenant = $1
ORDER BY 1, 2, 3, 4;

-- name: positions
SELECT stage, topic, "partition", next_offset, updated_at
FROM checkpoints
ORDER BY 1, 2, 3;

-- name: ping
SELECT 1;
