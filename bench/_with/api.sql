-- name: partition
-- Where events of today are made, before there is a partition of today.
CREATE TABLE bench_events (LIKE events INCLUDING DEFAULTS);

-- name: attach
-- Makes that the partition of today, as events_partition() would have; builds its indexes.
DO $$
BEGIN
  EXECUTE format('ALTER TABLE bench_events RENAME TO events_%s',
    to_char(current_date, 'YYYYMMDD'));
  EXECUTE format('ALTER TABLE events ATTACH PARTITION events_%s FOR VALUES FROM (%L) TO (%L)',
    to_char(current_date, 'YYYYMMDD'), current_date, current_date + 1);
END
$$;

-- name: events
-- $1 events of today, spread over a day; 5,000 entities.
INSERT INTO bench_events (
  tenant, uid, day, time, arrived, source, class_uid, activity_id, status_id, severity_id,
  entity, operation, service, src_ip, raw)
SELECT 'default', md5('e' || n)::uuid, current_date, now() - n * ('1 day'::interval / $1::int),
  now(), 'cloudtrail', 6003, 1, 1 + n % 2,
  1 + n % 4, 'user-' || (n * 7919) % 5000, 'Operation' || n % 200, 'service-' || n % 30,
  '192.0.2.' || n % 255,
  '{"eventName": "Operation' || n % 200 || '", "eventSource": "service-' || n % 30 ||
  '.amazonaws.com", "eventTime": "2026-01-31T12:00:00Z", "awsRegion": "eu-central-1", ' ||
  '"userIdentity": {"type": "IAMUser", "userName": "user-' || (n * 7919) % 5000 ||
  '"}, "sourceIPAddress": "192.0.2.' || n % 255 || '", "requestParameters": {"bucketName": ' ||
  '"bucket-' || n % 1000 || '"}}'
FROM generate_series($2::bigint, $3::bigint) AS made (n);

-- name: alerts
INSERT INTO alerts (
  tenant, id, revision, kind, rule_id, title, source, severity_id, score, techniques, entity,
  explanation, count, first_seen, last_seen)
SELECT 'default', md5('a' || n)::uuid, nextval('alerts_seq'), 'rule', 'rule-' || n % 300,
  'Example of a rule, number ' || n % 300, 'cloudtrail', 1 + n % 5, (n % 100) / 100.0,
  ARRAY['T1078.00' || n % 5], 'user-' || (n * 7919) % 5000,
  jsonb_build_object('what', 'eventName is Operation' || n % 200, 'quiet', 'nothing',
    'matched', jsonb_build_object('eventName', 'Operation' || n % 200)),
  1, now() - n * ('30 days'::interval / $1::int), now() - n * ('30 days'::interval / $1::int)
FROM generate_series(1, $1::bigint) AS made (n);

-- name: evidence
INSERT INTO alert_events (tenant, alert_id, event_uid, time, arrived, score, source, ocsf, raw)
SELECT tenant, id, id, first_seen, first_seen, score, source, '{"class_uid": 6003}', '{"a": 1}'
FROM alerts;
