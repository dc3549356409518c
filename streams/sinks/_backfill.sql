-- Rows as the sinks take them: times in ms since the epoch.

-- name: lock
SELECT pg_try_advisory_lock(hashtext('sentinel.backfill'));

-- name: alerts
SELECT tenant, id, kind, rule_id, title, source, severity_id, score, techniques, entity,
  explanation::text AS explanation, count,
  (extract(epoch FROM first_seen) * 1000)::bigint AS first_seen,
  (extract(epoch FROM last_seen) * 1000)::bigint AS last_seen
FROM alerts
WHERE (tenant, id) > ($1, $2::text::uuid)
ORDER BY tenant, id
LIMIT $3;

-- name: evidence
SELECT tenant, alert_id, event_uid AS uid, (extract(epoch FROM time) * 1000)::bigint AS time,
  (extract(epoch FROM arrived) * 1000)::bigint AS arrived, score, source, ocsf::text AS ocsf, raw
FROM alert_events
WHERE alert_id = ANY ($1);

-- name: days
SELECT DISTINCT day FROM events ORDER BY day DESC;

-- name: events
SELECT tenant, uid, (extract(epoch FROM time) * 1000)::bigint AS time,
  (extract(epoch FROM arrived) * 1000)::bigint AS arrived, source, class_uid, activity_id,
  status_id, severity_id, entity, operation, service, src_ip, raw, ocsf::text AS ocsf
FROM events
WHERE day = $1 AND uid > $2::text::uuid
ORDER BY uid
LIMIT $3;
