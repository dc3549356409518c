-- Every query runs as sentinel_api, in a transaction that begins with "tenant": row-level
-- security shows that tenant's rows. A parameter that is null filters nothing.

-- name: tenant
SELECT set_config('sentinel.tenant', $1, true);

-- name: actor
-- Who writes, for the audit log.
SELECT set_config('sentinel.actor', $1, true), set_config('sentinel.address', $2, true),
  set_config('sentinel.request', $3, true);

-- name: alert_columns
id, seq, revision, version, first_seen, tenant, source, severity, score, rule_id, title,
techniques, entity, {explanation} AS explanation, status, assignee, disposition,
disposition_reason, merged_into, suppression, updated_at, count, {event_uids} AS event_uids

-- name: event_uids
ARRAY(
  SELECT event_uid FROM alert_events AS e
  WHERE e.tenant = a.tenant AND e.alert_id = a.id
  ORDER BY e.time, e.event_uid LIMIT 1000
)

-- name: explanation
a.explanation

-- name: alerts
SELECT {alert_columns}
FROM alerts AS a
WHERE ($1::timestamptz IS NULL OR (a.first_seen, a.id) < ($1, $2::uuid))
AND {wanted}
ORDER BY a.first_seen DESC, a.id DESC
LIMIT $3;

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

-- name: lock_alerts
SELECT pg_advisory_xact_lock(hashtext('sentinel.alerts'));

-- name: alerts_to_change
SELECT tenant, id, kind, rule_id, source, entity, status, assignee, disposition,
  disposition_reason, merged_into, triaged_at, resolved_at, version
FROM alerts
WHERE id = ANY ($1::uuid[])
ORDER BY tenant, id
FOR UPDATE;

-- name: change_alert
UPDATE alerts
SET status = $3, assignee = $4, disposition = $5, disposition_reason = $6, triaged_at = $7,
  resolved_at = $8, version = version + 1, revision = nextval('public.alerts_seq'),
  updated_at = now()
WHERE tenant = $1 AND id = $2;

-- name: touch_alert
UPDATE alerts
SET version = version + 1, revision = nextval('public.alerts_seq'), updated_at = now()
WHERE tenant = $1 AND id = $2;

-- name: merge_alert
UPDATE alerts
SET merged_into = $3, status = 'resolved', triaged_at = coalesce(triaged_at, now()),
  resolved_at = coalesce(resolved_at, now()), version = version + 1,
  revision = nextval('public.alerts_seq'), updated_at = now()
WHERE tenant = $1 AND id = $2;

-- name: add_history
INSERT INTO alert_history (tenant, alert_id, actor, action, detail)
VALUES ($1, $2, $3, $4, $5::jsonb);

-- name: add_feedback
INSERT INTO feedback_outbox (tenant, key, body) VALUES ($1, $2, $3);

-- name: feedback_waiting
SELECT id, tenant, key, body FROM feedback_outbox
ORDER BY id LIMIT $1
FOR UPDATE SKIP LOCKED;

-- name: feedback_sent
DELETE FROM feedback_outbox WHERE id = ANY ($1::bigint[]);

-- name: timeline
-- Events that the alert stands on and what people did, in one order; $3, $4 are a place in it.
SELECT * FROM (
  SELECT at, 'h' || lpad(id::text, 20, '0') AS place, actor, action, detail
  FROM alert_history WHERE tenant = $1 AND alert_id = $2
  UNION ALL
  SELECT time, 'e' || event_uid, '', 'event',
    jsonb_build_object('event_uid', event_uid, 'source', source, 'score', score)
  FROM alert_events WHERE tenant = $1 AND alert_id = $2
) AS happened
WHERE $3::timestamptz IS NULL OR (at, place COLLATE "C") > ($3, $4::text)
ORDER BY at, place COLLATE "C"
LIMIT $5;

-- name: newest_revision
SELECT coalesce(max(revision), 0) FROM alerts;

-- name: changes
-- What was created or amended after revision $1, in that order.
SELECT {alert_columns}
FROM alerts AS a
WHERE a.revision > $1 AND a.revision <= $2 AND {wanted}
ORDER BY a.revision
LIMIT $3;

-- name: events
SELECT uid, time, arrived, tenant, source, class_uid, activity_id, status_id, severity_id,
  entity, operation, service, src_ip, raw, ocsf
FROM events
WHERE ($1::timestamptz IS NULL OR (time, uid) < ($1, $2::uuid))
AND {wanted}
ORDER BY time DESC, uid DESC
LIMIT $3;

-- name: alert_counts
SELECT date_bin($1::interval, first_seen, 'epoch') AS time, {key} AS key, count(*) AS count
FROM alerts AS a
WHERE first_seen >= $2 AND first_seen < $3 AND {wanted}
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: alert_top
SELECT {key} AS key, count(*) AS count, sum(count(*)) OVER ()::bigint AS total
FROM alerts AS a
WHERE first_seen >= $1 AND first_seen < $2 AND {wanted}
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT $3;

-- name: alert_heat
SELECT extract(isodow FROM first_seen)::int AS weekday, extract(hour FROM first_seen)::int AS hour,
  count(*) AS count
FROM alerts AS a
WHERE first_seen >= $1 AND first_seen < $2 AND {wanted}
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: event_counts
SELECT date_bin($1::interval, time, 'epoch') AS time, {key} AS key, count(*) AS count
FROM events
WHERE time >= $2 AND time < $3 AND {wanted}
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: event_top
SELECT {key} AS key, count(*) AS count, sum(count(*)) OVER ()::bigint AS total
FROM events
WHERE time >= $1 AND time < $2 AND {wanted}
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT $3;

-- name: event_heat
SELECT extract(isodow FROM time)::int AS weekday, extract(hour FROM time)::int AS hour,
  count(*) AS count
FROM events
WHERE time >= $1 AND time < $2 AND {wanted}
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: alert_techniques
SELECT technique, count(*) AS count,
  (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[max(severity_id)] AS worst
FROM alerts AS a, unnest(techniques) AS found (technique)
WHERE first_seen >= $1 AND first_seen < $2 AND {wanted}
GROUP BY 1
ORDER BY 2 DESC, 1;

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
