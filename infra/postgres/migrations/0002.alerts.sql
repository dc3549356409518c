-- depends: 0001.roles

-- Alerts and the events they stand on. `seq` is the order of creation and never changes
-- (paging); `revision` is taken anew with each amendment (live tail). Writers of alerts
-- hold an advisory lock from before the first nextval until after the commit, so both
-- numbers become visible in their own order and a reader of "greater than" misses none.

CREATE SEQUENCE public.alerts_seq;

CREATE TABLE public.alerts (
  tenant      text NOT NULL,
  id          uuid NOT NULL,
  seq         bigint NOT NULL DEFAULT nextval('public.alerts_seq'),
  revision    bigint NOT NULL,
  kind        text NOT NULL,
  rule_id     text NOT NULL,
  title       text NOT NULL,
  source      text NOT NULL,
  severity_id integer NOT NULL CHECK (severity_id BETWEEN 1 AND 5),
  severity    text NOT NULL GENERATED ALWAYS AS (
    (ARRAY['informational', 'low', 'medium', 'high', 'critical'])[severity_id]) STORED,
  score       double precision NOT NULL,
  techniques  text[] NOT NULL,
  entity      text NOT NULL,
  explanation jsonb NOT NULL,
  status      text NOT NULL DEFAULT 'new',
  count       bigint NOT NULL,
  first_seen  timestamptz NOT NULL,
  last_seen   timestamptz NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, id)
);
ALTER SEQUENCE public.alerts_seq OWNED BY public.alerts.seq;

COMMENT ON COLUMN public.alerts.first_seen IS 'Event time of the earliest event; the API''s time.';
COMMENT ON COLUMN public.alerts.score IS '0 to 1, highest of its events.';

CREATE UNIQUE INDEX alerts_by_seq ON public.alerts (seq);
CREATE UNIQUE INDEX alerts_by_revision ON public.alerts (revision);
CREATE INDEX alerts_by_id ON public.alerts (id);
CREATE INDEX alerts_by_time ON public.alerts (tenant, first_seen DESC);
CREATE INDEX alerts_by_rule ON public.alerts (rule_id, seq);
CREATE INDEX alerts_by_entity ON public.alerts (entity, seq);
CREATE INDEX alerts_by_technique ON public.alerts USING gin (techniques);

CREATE TABLE public.alert_events (
  tenant    text NOT NULL,
  alert_id  uuid NOT NULL,
  event_uid uuid NOT NULL,
  time      timestamptz NOT NULL,
  arrived   timestamptz NOT NULL,
  score     double precision NOT NULL,
  source    text NOT NULL,
  ocsf      jsonb NOT NULL,
  raw       bytea NOT NULL,
  PRIMARY KEY (tenant, alert_id, event_uid),
  FOREIGN KEY (tenant, alert_id) REFERENCES public.alerts ON DELETE CASCADE
);

CREATE INDEX alert_events_by_time ON public.alert_events (tenant, alert_id, time, event_uid);

ALTER TABLE public.alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.alerts USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.alert_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.alert_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.alert_events USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE ON public.alerts TO sentinel_worker;
GRANT SELECT, INSERT ON public.alert_events TO sentinel_worker;
GRANT USAGE ON SEQUENCE public.alerts_seq TO sentinel_worker;
GRANT SELECT ON public.alerts, public.alert_events TO sentinel_api;
