-- name: begin
-- Nothing is asked about alerts from before the first time.
INSERT INTO opinion_services (service, seen)
SELECT '', coalesce(max(revision), 0) FROM alerts
ON CONFLICT DO NOTHING;

-- name: seen
SELECT seen FROM opinion_services WHERE tenant = '*' AND service = '' FOR UPDATE SKIP LOCKED;

-- name: saw
UPDATE opinion_services SET seen = $1 WHERE tenant = '*' AND service = '';

-- name: alerts
SELECT tenant, id, revision,
  severity_id >= $2 AND status NOT IN ('suppressed', 'staged')
    AND created_at > $3::timestamptz AS wanted
FROM alerts WHERE revision > $1 ORDER BY revision LIMIT $4;

-- name: evidence
SELECT ocsf::text FROM alert_events
WHERE tenant = $1 AND alert_id = $2 ORDER BY time, event_uid LIMIT $3;

-- name: ask
-- What is known already is answered at once; what others wait for too is asked once.
INSERT INTO opinions (tenant, alert_id, service, kind, value, due_at, state, asked_at, expires_at,
  said, malicious, link)
SELECT $1, $2, given.service, given.kind, given.value, $3::timestamptz,
  CASE WHEN known.asked_at IS NULL THEN 'pending' ELSE 'answered' END,
  known.asked_at, known.expires_at, coalesce(known.said, ''), known.malicious,
  coalesce(known.link, '')
FROM unnest($4::text[], $5::text[], $6::text[]) AS given (service, kind, value)
LEFT JOIN LATERAL (
  SELECT asked_at, expires_at, said, malicious, link FROM opinions o
  WHERE (o.service, o.kind, o.value) = (given.service, given.kind, given.value)
    AND o.state = 'answered' AND o.expires_at > $3
  ORDER BY o.expires_at DESC LIMIT 1) AS known ON true
ON CONFLICT DO NOTHING;

-- name: service
INSERT INTO opinion_services AS s (service) VALUES ($1)
ON CONFLICT (tenant, service) DO UPDATE SET service = s.service
RETURNING next_at, CASE WHEN day = $2::date THEN asked ELSE 0 END AS asked, failures;

-- name: due
SELECT tenant, alert_id, kind, value, attempts FROM opinions
WHERE service = $1 AND state = 'pending' AND due_at <= $2
ORDER BY due_at, created_at LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: lease
UPDATE opinions SET attempts = attempts + 1, due_at = $4
WHERE service = $1 AND kind = $2 AND value = $3 AND state = 'pending';

-- name: spend
UPDATE opinion_services SET next_at = $2, day = $3::date, asked = $4
WHERE tenant = '*' AND service = $1;

-- name: answer
UPDATE opinions SET state = 'answered', asked_at = $4, expires_at = $5, said = $6, malicious = $7,
  link = $8, error = ''
WHERE service = $1 AND kind = $2 AND value = $3 AND state = 'pending'
RETURNING tenant, alert_id;

-- name: fail
UPDATE opinions SET state = $4, due_at = $5, error = $6, attempts = attempts - $7
WHERE service = $1 AND kind = $2 AND value = $3 AND state = 'pending';

-- name: well
UPDATE opinion_services SET failures = 0, reason = '' WHERE tenant = '*' AND service = $1;

-- name: pause
UPDATE opinion_services SET next_at = $2, failures = failures + 1, reason = $3
WHERE tenant = '*' AND service = $1;

-- name: lock_alerts
SELECT pg_advisory_xact_lock(hashtext('sentinel.alerts'));

-- name: touch
UPDATE alerts SET revision = nextval('public.alerts_seq'), updated_at = now()
WHERE (tenant, id) IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: untold
-- Alerts with answers that subscribers do not know, once all are there or the first is old.
SELECT o.tenant, o.alert_id FROM opinions o
WHERE NOT o.told AND o.state = 'answered'
GROUP BY o.tenant, o.alert_id
HAVING min(o.created_at) < $1::timestamptz OR NOT EXISTS (
  SELECT FROM opinions p
  WHERE p.tenant = o.tenant AND p.alert_id = o.alert_id AND p.state = 'pending')
ORDER BY min(o.created_at)
LIMIT 100;

-- name: tell
UPDATE opinions SET told = true
WHERE tenant = $1 AND alert_id = $2 AND state = 'answered' AND NOT told
RETURNING service;

-- name: answers
SELECT service, kind, value, said, malicious, link FROM opinions
WHERE tenant = $1 AND alert_id = $2 AND state = 'answered'
ORDER BY malicious DESC NULLS LAST, service, value;

-- name: last_told
SELECT DISTINCT ON (subscription_id) subscription_id, payload FROM deliveries
WHERE alert_tenant = $1 AND alert_id = $2 AND type IN ('alert.created', 'alert.amended')
ORDER BY subscription_id, seq DESC;
