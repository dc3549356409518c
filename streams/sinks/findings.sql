-- name: prepare
CREATE FUNCTION pg_temp.at(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN to_timestamp(least(greatest(ms, -62135596800000), 253402300799999) / 1000::float8);
SET client_min_messages = warning;

-- name: scan
-- The row stays locked to the end of the transaction, so that one batch at a time judges.
INSERT INTO finding_scans AS s (tenant, scan, tool, target, time, total, arrived)
VALUES ($1, $2, $3, $4, pg_temp.at($5), $6, $7::text::int4multirange)
ON CONFLICT (tenant, scan) DO UPDATE SET
  total = coalesce(excluded.total, s.total),
  time = CASE WHEN excluded.total IS NULL THEN s.time ELSE excluded.time END,
  arrived = s.arrived + excluded.arrived,
  updated_at = now()
RETURNING total IS NOT NULL AND arrived @> int4range(0, total) AND NOT judged,
  (extract(epoch FROM time) * 1000)::bigint;

-- name: known
SELECT uid, state, scan::text,
  (extract(epoch FROM first_seen) * 1000)::bigint,
  (extract(epoch FROM last_seen) * 1000)::bigint,
  (extract(epoch FROM judged) * 1000)::bigint
FROM findings WHERE tenant = $1 AND tool = $2 AND uid = ANY ($3::uuid[])
ORDER BY uid FOR UPDATE;

-- name: upsert
INSERT INTO findings AS f (tenant, tool, target, uid, source, class_uid, rule, title, severity_id,
  suppressed, state, scan, first_seen, last_seen, judged, ocsf, scope)
SELECT $1, $2, $3, uid, source, class_uid, rule, title, severity_id, suppressed, state, scan,
  pg_temp.at(first_seen), pg_temp.at(last_seen), pg_temp.at(judged), ocsf::jsonb, $17
FROM unnest($4::uuid[], $5::text[], $6::int[], $7::text[], $8::text[], $9::int[], $10::bool[],
  $11::text[], $12::uuid[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[]
) AS n (uid, source, class_uid, rule, title, severity_id, suppressed, state, scan, first_seen,
  last_seen, judged, ocsf)
ON CONFLICT (tenant, tool, uid) DO UPDATE SET
  target = excluded.target, source = excluded.source, class_uid = excluded.class_uid,
  rule = excluded.rule, title = excluded.title, severity_id = excluded.severity_id,
  suppressed = excluded.suppressed, state = excluded.state, scan = excluded.scan,
  first_seen = excluded.first_seen, last_seen = excluded.last_seen, judged = excluded.judged,
  ocsf = CASE WHEN excluded.judged >= f.judged THEN excluded.ocsf ELSE f.ocsf END,
  scope = CASE WHEN f.scope = '' AND f.state <> 'resolved' THEN '' ELSE excluded.scope END,
  updated_at = now();

-- name: others
SELECT uid, state, scan::text,
  (extract(epoch FROM first_seen) * 1000)::bigint,
  (extract(epoch FROM last_seen) * 1000)::bigint,
  (extract(epoch FROM judged) * 1000)::bigint
FROM findings
WHERE tenant = $1 AND tool = $2 AND target = $3 AND scan <> $4 AND state <> 'resolved'
  AND ($5::text = '' OR scope = $5)
ORDER BY uid FOR UPDATE;

-- name: missing
UPDATE findings f SET state = n.state, scan = n.scan, judged = pg_temp.at(n.judged),
  updated_at = now()
FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::bigint[]) AS n (uid, state, scan, judged)
WHERE f.tenant = $1 AND f.tool = $2 AND f.uid = n.uid;

-- name: judged
UPDATE finding_scans SET judged = true WHERE tenant = $1 AND scan = $2;

-- name: forget
-- Scans that were judged, or of which a part never came, are of no more use after a while.
DELETE FROM finding_scans WHERE updated_at < now() - make_interval(days => $1);
