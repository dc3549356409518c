-- depends: 0008.findings

-- Alerts that share an entity, an address or a resource within a day are one incident
-- (detectors/incidents). Rows are written in the transaction that writes the alerts, under the
-- same advisory lock, so `seq` and `revision` are to incidents what they are to alerts.

-- What suppressed an alert: the id of a suppression, window or budget; '' where nothing did.
ALTER TABLE public.alerts ADD COLUMN suppression text NOT NULL DEFAULT '';

CREATE SEQUENCE public.incidents_seq;

CREATE TABLE public.incidents (
  tenant      text NOT NULL,
  id          uuid NOT NULL,
  seq         bigint NOT NULL DEFAULT nextval('public.incidents_seq'),
  revision    bigint NOT NULL,
  title       text NOT NULL,
  severity_id integer NOT NULL CHECK (severity_id BETWEEN 1 AND 5),
  severity    text NOT NULL GENERATED ALWAYS AS (
    (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[severity_id]) STORED,
  score       double precision NOT NULL,
  tactics     text[] NOT NULL,
  techniques  text[] NOT NULL,
  entities    text[] NOT NULL,
  sources     text[] NOT NULL,
  alerts      integer NOT NULL,
  status      text NOT NULL DEFAULT 'new',
  merged_into uuid,
  first_seen  timestamptz NOT NULL,
  last_seen   timestamptz NOT NULL,
  lead_seen   timestamptz NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, id)
);
ALTER SEQUENCE public.incidents_seq OWNED BY public.incidents.seq;

COMMENT ON COLUMN public.incidents.alerts IS 'How many alerts it has; 0 once it was merged.';
COMMENT ON COLUMN public.incidents.merged_into IS 'The incident that has its alerts now.';
COMMENT ON COLUMN public.incidents.lead_seen IS 'Earliest event of the alert that gave the title.';

CREATE UNIQUE INDEX incidents_by_seq ON public.incidents (seq);
CREATE UNIQUE INDEX incidents_by_revision ON public.incidents (revision);
CREATE INDEX incidents_by_time ON public.incidents (tenant, last_seen DESC, id DESC);
CREATE INDEX incidents_by_age ON public.incidents (last_seen DESC, id DESC);
CREATE INDEX incidents_by_entity ON public.incidents USING gin (entities);

-- An alert is in one incident.
CREATE TABLE public.incident_alerts (
  tenant      text NOT NULL,
  alert_id    uuid NOT NULL,
  incident_id uuid NOT NULL,
  PRIMARY KEY (tenant, alert_id),
  FOREIGN KEY (tenant, alert_id) REFERENCES public.alerts ON DELETE CASCADE,
  FOREIGN KEY (tenant, incident_id) REFERENCES public.incidents ON DELETE CASCADE
);
CREATE INDEX incident_alerts_by_incident ON public.incident_alerts (tenant, incident_id);

-- What an alert may be linked by: 'entity:alice', 'ip:203.0.113.5', 'resource:…'.
CREATE TABLE public.incident_links (
  tenant     text NOT NULL,
  link       text NOT NULL,
  alert_id   uuid NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen  timestamptz NOT NULL,
  PRIMARY KEY (tenant, alert_id, link),
  FOREIGN KEY (tenant, alert_id) REFERENCES public.incident_alerts ON DELETE CASCADE
);
CREATE INDEX incident_links_by_link ON public.incident_links (tenant, link, last_seen DESC);

ALTER TABLE public.incidents ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.incidents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.incidents USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.incident_alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.incident_alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.incident_alerts USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.incident_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.incident_links FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.incident_links USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE ON public.incidents TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE ON public.incident_alerts TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE ON public.incident_links TO sentinel_worker;
GRANT USAGE ON SEQUENCE public.incidents_seq TO sentinel_worker;
GRANT SELECT ON public.incidents, public.incident_alerts TO sentinel_api;
