-- name: escalations
SELECT e.tenant, e.subscription_id, e.alert_tenant, e.alert_id, e.step, d.payload,
  coalesce(a.status, 'new') = 'new' AS open
FROM escalations e
JOIN deliveries d ON (d.tenant, d.id) = (e.tenant, e.delivery_id)
LEFT JOIN alerts a ON (a.tenant, a.id) = (e.alert_tenant, e.alert_id)
WHERE e.due_at <= $1
ORDER BY e.due_at
LIMIT 100
FOR UPDATE OF e SKIP LOCKED;

-- name: escalated
UPDATE escalations SET step = $5, due_at = $6
WHERE tenant = $1 AND subscription_id = $2 AND alert_tenant = $3 AND alert_id = $4;

-- name: done
DELETE FROM escalations
WHERE tenant = $1 AND subscription_id = $2 AND alert_tenant = $3 AND alert_id = $4;

-- name: resolved
-- Tickets that are open though the alert is over, with what was last told of it.
SELECT t.tenant, t.subscription_id, d.payload, a.revision
FROM tickets t
JOIN alerts a ON (a.tenant, a.id) = (t.alert_tenant, t.alert_id)
CROSS JOIN LATERAL (
  SELECT payload FROM deliveries d
  WHERE d.alert_tenant = t.alert_tenant AND d.alert_id = t.alert_id
    AND d.subscription_id = t.subscription_id
  ORDER BY seq DESC LIMIT 1) AS d
WHERE t.state = 'open' AND a.status IN ('resolved', 'false_positive')
  AND NOT EXISTS (
    SELECT FROM deliveries r
    WHERE r.alert_tenant = t.alert_tenant AND r.alert_id = t.alert_id
      AND r.subscription_id = t.subscription_id AND r.type = 'alert.resolved'
      AND r.state = 'pending')
LIMIT 200;

-- name: unchecked
-- Open tickets to ask about, marked so that no other process asks too.
UPDATE tickets t SET checked_at = $1
FROM (
  SELECT tenant, subscription_id, alert_tenant, alert_id FROM tickets
  WHERE state = 'open' AND checked_at <= $2 AND subscription_id = ANY ($3::uuid[])
  ORDER BY checked_at LIMIT 100
  FOR UPDATE SKIP LOCKED) AS due
WHERE (t.tenant, t.subscription_id, t.alert_tenant, t.alert_id)
  = (due.tenant, due.subscription_id, due.alert_tenant, due.alert_id)
RETURNING t.tenant, t.subscription_id, t.alert_tenant, t.alert_id, t.reference;

-- name: over
UPDATE tickets SET state = 'resolved'
WHERE tenant = $1 AND subscription_id = $2 AND alert_tenant = $3 AND alert_id = $4;

-- name: lock_alerts
SELECT pg_advisory_xact_lock(hashtext('sentinel.alerts'));

-- name: resolve_alert
WITH before AS (
  SELECT tenant, id, status FROM alerts
  WHERE tenant = $1 AND id = $2 AND status NOT IN ('resolved', 'false_positive')
  FOR UPDATE
), changed AS (
  UPDATE alerts a
  SET status = 'resolved', resolved_at = now(), triaged_at = coalesce(triaged_at, now()),
    version = version + 1, revision = nextval('public.alerts_seq'), updated_at = now()
  FROM before b WHERE (a.tenant, a.id) = (b.tenant, b.id)
  RETURNING a.tenant, a.id, b.status
)
INSERT INTO alert_history (tenant, alert_id, actor, action, detail)
SELECT tenant, id, $3, 'change', jsonb_build_object(
  'status', jsonb_build_array(status, 'resolved'), 'ticket', $4::text)
FROM changed;

-- name: told_changes
SELECT seen FROM told_changes FOR UPDATE SKIP LOCKED;

-- name: next_changes
-- The last of the next changes after $1.
SELECT max(id) FROM (
  SELECT id FROM alert_history WHERE id > $1 ORDER BY id LIMIT 500) AS following;

-- name: changes
-- What people made of alerts after $1, until $2, and what was last told of these, to whom.
SELECT h.id, h.actor, h.at, h.status, d.subscription_id, d.payload
FROM (
  SELECT id, tenant, alert_id, actor, at,
    CASE WHEN action = 'merged_into' THEN 'resolved'
      ELSE coalesce(detail -> 'status' ->> 'to', detail -> 'status' ->> 1) END AS status
  FROM alert_history
  WHERE id > $1 AND id <= $2 AND action IN ('change', 'merged_into')) AS h
CROSS JOIN LATERAL (
  SELECT DISTINCT ON (subscription_id) subscription_id, payload FROM deliveries
  WHERE alert_tenant = h.tenant AND alert_id = h.alert_id
    AND type IN ('alert.created', 'alert.amended')
  ORDER BY subscription_id, seq DESC) AS d
WHERE h.status IS NOT NULL
ORDER BY h.id;

-- name: changes_told
UPDATE told_changes SET seen = $1;
