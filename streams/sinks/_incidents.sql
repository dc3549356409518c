-- name: own
SELECT alert_id::text, incident_id::text FROM incident_alerts
WHERE tenant = $1 AND alert_id = ANY ($2::uuid[]);

-- name: links
SELECT alert_id::text, link FROM incident_links
WHERE tenant = $1 AND alert_id = ANY ($2::uuid[]);

-- name: near
-- One more than makes a hub is enough to know that it is one.
SELECT DISTINCT l.link, l.alert_id::text, a.incident_id::text,
  (extract(epoch FROM l.first_seen) * 1000)::bigint,
  (extract(epoch FROM l.last_seen) * 1000)::bigint
FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS g (link, since, until)
CROSS JOIN LATERAL (
  SELECT * FROM incident_links AS i
  WHERE i.tenant = $1 AND i.link = g.link
    AND i.last_seen >= pg_temp.at(g.since) AND i.first_seen <= pg_temp.at(g.until)
  ORDER BY i.last_seen DESC
  LIMIT $5
) AS l
JOIN incident_alerts AS a ON a.tenant = l.tenant AND a.alert_id = l.alert_id;

-- name: incidents
SELECT id::text, title, severity_id, score, techniques, entities, sources, alerts,
  (extract(epoch FROM first_seen) * 1000)::bigint AS first_seen,
  (extract(epoch FROM last_seen) * 1000)::bigint AS last_seen,
  (extract(epoch FROM lead_seen) * 1000)::bigint AS lead_seen
FROM incidents WHERE tenant = $1 AND id = ANY ($2::uuid[]);

-- name: upsert
-- Arrays of arrays would have to be rectangles: lists come as JSON. An incident that people
-- have closed opens again when an alert is added to it.
INSERT INTO incidents AS i (tenant, id, seq, revision, title, severity_id, score, tactics,
  techniques, entities, sources, alerts, first_seen, last_seen, lead_seen)
SELECT $1, n.id, nextval('public.incidents_seq'), nextval('public.incidents_seq'), n.title,
  n.severity_id, n.score,
  ARRAY(SELECT jsonb_array_elements_text(n.lists::jsonb -> 0)),
  ARRAY(SELECT jsonb_array_elements_text(n.lists::jsonb -> 1)),
  ARRAY(SELECT jsonb_array_elements_text(n.lists::jsonb -> 2)),
  ARRAY(SELECT jsonb_array_elements_text(n.lists::jsonb -> 3)),
  n.alerts, pg_temp.at(n.first_seen), pg_temp.at(n.last_seen), pg_temp.at(n.lead_seen)
FROM unnest($2::uuid[], $3::text[], $4::int[], $5::float8[], $6::text[], $7::int[],
  $8::bigint[], $9::bigint[], $10::bigint[]
) AS n (id, title, severity_id, score, lists, alerts, first_seen, last_seen, lead_seen)
ON CONFLICT (tenant, id) DO UPDATE SET
  revision = nextval('public.incidents_seq'),
  title = excluded.title, severity_id = excluded.severity_id, score = excluded.score,
  tactics = excluded.tactics, techniques = excluded.techniques, entities = excluded.entities,
  sources = excluded.sources, alerts = excluded.alerts, first_seen = excluded.first_seen,
  last_seen = excluded.last_seen, lead_seen = excluded.lead_seen,
  status = CASE WHEN excluded.alerts > i.alerts AND i.status IN ('resolved', 'false_positive')
    THEN 'new' ELSE i.status END,
  updated_at = now();

-- name: merge
UPDATE incidents AS i SET status = 'merged', merged_into = n.into_id, alerts = 0,
  revision = nextval('public.incidents_seq'), updated_at = now()
FROM unnest($2::uuid[], $3::uuid[]) AS n (gone, into_id)
WHERE i.tenant = $1 AND i.id = n.gone;

-- name: move
UPDATE incident_alerts AS a SET incident_id = n.into_id
FROM unnest($2::uuid[], $3::uuid[]) AS n (gone, into_id)
WHERE a.tenant = $1 AND a.incident_id = n.gone;

-- name: place
INSERT INTO incident_alerts (tenant, alert_id, incident_id)
SELECT $1, * FROM unnest($2::uuid[], $3::uuid[])
ON CONFLICT (tenant, alert_id) DO UPDATE SET incident_id = excluded.incident_id;

-- name: link
INSERT INTO incident_links AS l (tenant, alert_id, link, first_seen, last_seen)
SELECT $1, n.alert_id, n.link, pg_temp.at(n.first_seen), pg_temp.at(n.last_seen)
FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
  AS n (alert_id, link, first_seen, last_seen)
ON CONFLICT (tenant, alert_id, link) DO UPDATE SET
  first_seen = least(l.first_seen, excluded.first_seen),
  last_seen = greatest(l.last_seen, excluded.last_seen);
