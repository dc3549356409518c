-- Every query runs as sentinel_api, in a transaction that sets sentinel.tenant first: row-level
-- security shows that tenant's rows. A parameter that is null filters nothing.

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

-- name: worst_alerts
SELECT {alert_columns}
FROM alerts AS a
WHERE {wanted}
ORDER BY a.severity_id DESC, a.score DESC, a.first_seen DESC, a.id
LIMIT $1;

-- name: count
SELECT count(*) FROM {table} WHERE {wanted};

-- name: alerts_of
SELECT {alert_columns}
FROM alerts AS a
WHERE (a.tenant, a.id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: alert
SELECT {alert_columns}
FROM alerts AS a
WHERE a.id = $1
LIMIT 1;

-- name: alert_detail
-- With a page of its evidence after the place $2, $3, and all opinions: rows of rows.
SELECT {alert_columns},
  ARRAY(
    SELECT ROW (e.event_uid, e.time, e.score, e.source, e.ocsf, e.raw)
    FROM alert_events AS e
    WHERE e.tenant = a.tenant AND e.alert_id = a.id
    AND ($2::timestamptz IS NULL OR (e.time, e.event_uid) > ($2, $3::uuid))
    ORDER BY e.time, e.event_uid
    LIMIT $4
  ) AS evidence,
  ARRAY(
    SELECT ROW (service, kind, value, state, said, malicious, link, error, asked_at)
    FROM opinions AS o
    WHERE o.tenant = a.tenant AND o.alert_id = a.id
    ORDER BY malicious DESC NULLS LAST, service, value
  ) AS opinions
FROM alerts AS a
WHERE a.id = $1
LIMIT 1;

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
-- OFFSET 0: else as many groups as rows are expected, and all rows sorted instead of the groups.
SELECT time, key, count(*) AS count
FROM (
  SELECT date_bin($1::interval, first_seen, 'epoch') AS time, {key} AS key
  FROM alerts AS a
  WHERE first_seen >= $2 AND first_seen < $3 AND {wanted}
  OFFSET 0) AS found
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
SELECT time, key, count(*) AS count
FROM (
  SELECT date_bin($1::interval, time, 'epoch') AS time, {key} AS key
  FROM events
  WHERE time >= $2 AND time < $3 AND {wanted}
  OFFSET 0) AS found
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
-- Few sets of techniques are in many alerts, so these are counted first.
SELECT technique, sum(alerts)::bigint AS count,
  (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[max(worst)] AS worst
FROM (
  SELECT techniques, count(*) AS alerts, max(severity_id) AS worst
  FROM alerts AS a
  WHERE first_seen >= $1 AND first_seen < $2 AND {wanted}
  GROUP BY 1) AS sets, unnest(techniques) AS found (technique)
GROUP BY 1
ORDER BY 2 DESC, 1;

-- name: incident_columns
tenant, id, seq, revision, version, title, severity, score, tactics, techniques, entities,
sources, alerts, status, assignee, merged_into, first_seen, last_seen, updated_at

-- name: incidents
SELECT {incident_columns}
FROM incidents
WHERE ($1::timestamptz IS NULL OR last_seen >= $1)
AND ($2::timestamptz IS NULL OR first_seen < $2)
AND ($3::int IS NULL OR severity_id >= $3)
AND ($4::text IS NULL OR status = $4)
AND ($5::text IS NULL OR entities @> ARRAY[$5])
AND ($6 OR merged_into IS NULL)
AND ($7::text IS NULL OR tenant = $7)
AND alerts >= $8
AND ($9::text IS NULL OR starts_with(id::text, $9))
AND ($10::timestamptz IS NULL OR (last_seen, id) < ($10, $11::uuid))
ORDER BY last_seen DESC, id DESC
LIMIT $12;

-- name: incident
SELECT {incident_columns} FROM incidents WHERE id = $1 LIMIT 1;

-- name: incident_members
SELECT {alert_columns}, a.kind, a.last_seen
FROM alerts AS a
WHERE a.tenant = $1 AND a.id IN (
  SELECT alert_id FROM incident_alerts AS i WHERE i.tenant = $1 AND i.incident_id = $2)
AND ($3::timestamptz IS NULL OR (a.first_seen, a.id) > ($3, $4::uuid))
ORDER BY a.first_seen, a.id
LIMIT $5;

-- name: change_incident
UPDATE incidents
SET status = $3, assignee = $4, version = version + 1,
  revision = nextval('public.incidents_seq'), updated_at = now()
WHERE tenant = $1 AND id = $2;

-- name: covering
-- The exception that covers the finding f, if any.
SELECT x.id FROM finding_exceptions AS x
WHERE x.tenant = f.tenant AND x.ended_at IS NULL AND x.expires > now()
AND (x.uid IS NULL OR x.uid = f.uid) AND (x.tool = '' OR x.tool = f.tool)
AND (x.rule = '' OR x.rule = f.rule) AND (x.target = '' OR x.target = f.target)
ORDER BY x.expires DESC LIMIT 1

-- name: findings
SELECT f.*, x.id AS exception
FROM findings AS f LEFT JOIN LATERAL ({covering}) AS x ON true
WHERE f.state = ANY ($1::text[]) AND f.severity_id >= $2
AND ($3::text IS NULL OR f.source = $3)
AND ($4::text IS NULL OR f.target = $4)
AND ($5::text IS NULL OR f.scope = $5)
AND ($6::text IS NULL OR f.rule = $6)
AND ($7 OR (x.id IS NULL AND NOT f.suppressed))
AND ($8::text IS NULL OR f.tenant = $8)
AND ($9::bigint IS NULL OR (f.severity_id, f.last_seen, f.uid) < ($9, $10::timestamptz, $11::uuid))
ORDER BY f.severity_id DESC, f.last_seen DESC, f.uid DESC
LIMIT $12;

-- name: finding
SELECT f.*, x.id AS exception
FROM findings AS f LEFT JOIN LATERAL ({covering}) AS x ON true
WHERE f.uid = $1 AND ($2::text IS NULL OR f.tool = $2)
ORDER BY f.tenant, f.tool
LIMIT 1;

-- name: exceptions
SELECT * FROM finding_exceptions
WHERE $1 OR (ended_at IS NULL AND expires > now())
ORDER BY created_at DESC, id
LIMIT 1000;

-- name: add_exception
INSERT INTO finding_exceptions (tenant, tool, uid, rule, target, owner, reason, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING *;

-- name: end_exception
UPDATE finding_exceptions SET ended_at = now(), ended_by = $2
WHERE id = $1 AND ended_at IS NULL AND expires > now()
RETURNING tenant;

-- name: entities
-- Risk as api/routes/entities.py says; ln(1 - …) adds up what the product multiplies.
SELECT entity, tenant,
  100 * (1 - exp(sum(ln(greatest(1 - score * power(0.5,
    extract(epoch FROM greatest(now() - last_seen, '0'::interval))::float8 / 604800), 1e-9))
  ))) AS risk,
  count(*) AS alerts,
  (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[max(severity_id)] AS worst,
  coalesce((SELECT array_agg(DISTINCT t ORDER BY t)
    FROM unnest(string_to_array(string_agg(array_to_string(techniques, ' '), ' '), ' ')) AS u (t)
    WHERE t <> ''), '{{}}') AS techniques,
  array_agg(DISTINCT source) AS sources,
  max(last_seen) AS last_seen
FROM alerts
WHERE status NOT IN ('resolved', 'false_positive', 'suppressed', 'staged')
AND merged_into IS NULL AND entity <> '' AND last_seen > now() - '30 days'::interval
AND ($1::text IS NULL OR entity = $1)
AND ($2::text IS NULL OR tenant = $2)
GROUP BY tenant, entity
ORDER BY risk DESC, tenant, entity
LIMIT $3;

-- name: entity_timeline
SELECT * FROM (
  SELECT first_seen AS at, 'alert' AS kind, id::text AS id, id::text AS alert_id, title, severity,
    status, source
  FROM alerts
  WHERE entity = $1 AND ($2::text IS NULL OR tenant = $2)
  UNION ALL
  SELECT e.time, 'event', e.event_uid::text, a.id::text, a.title, a.severity, a.status, e.source
  FROM alerts AS a JOIN alert_events AS e ON e.tenant = a.tenant AND e.alert_id = a.id
  WHERE a.entity = $1 AND ($2::text IS NULL OR a.tenant = $2)
) AS happened
WHERE $3::timestamptz IS NULL OR (at, id COLLATE "C") < ($3, $4::text)
ORDER BY at DESC, id COLLATE "C" DESC
LIMIT $5;

-- name: searches
SELECT id, owner, name, subject, query, shared, created_at FROM saved_searches
WHERE owner = $1 OR shared
ORDER BY name, owner, id
LIMIT $2;

-- name: keep_search
INSERT INTO saved_searches (tenant, owner, name, subject, query, shared)
SELECT $1, $2, $3, $4, $5, $6
WHERE (SELECT count(*) FROM saved_searches WHERE tenant = $1 AND owner = $2) < $7
OR EXISTS (SELECT FROM saved_searches WHERE tenant = $1 AND owner = $2 AND name = $3)
ON CONFLICT (tenant, owner, name) DO UPDATE
SET subject = excluded.subject, query = excluded.query, shared = excluded.shared
RETURNING id, owner, name, subject, query, shared, created_at;

-- name: remove_search
DELETE FROM saved_searches WHERE id = $1 AND owner = $2 RETURNING tenant;

-- name: rule_counts
SELECT rule_id, count(*) AS alerts,
  count(*) FILTER (WHERE disposition = 'false_positive') AS false_positives,
  max(last_seen) AS last_alert
FROM alerts
WHERE last_seen >= $1 AND ($2::text IS NULL OR tenant = $2)
GROUP BY 1;

-- name: source_counts
SELECT source, count(*) AS events, max(arrived) AS last_event
FROM events
WHERE day >= current_date - 1 AND ($1::text IS NULL OR tenant = $1)
GROUP BY 1;

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
