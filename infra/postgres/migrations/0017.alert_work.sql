-- depends: 0016.search

-- What people make of an alert: status, who works on it, what it turned out to be. `version`
-- counts their changes (If-Match); `revision` counts those of the pipeline too (live tail,
-- ETag), and is taken under the advisory lock that 0002 tells of.

ALTER TABLE public.alerts
  ADD COLUMN version            integer NOT NULL DEFAULT 0,
  ADD COLUMN assignee           text NOT NULL DEFAULT '',
  ADD COLUMN disposition        text NOT NULL DEFAULT '',
  ADD COLUMN disposition_reason text NOT NULL DEFAULT '',
  ADD COLUMN merged_into        uuid,
  ADD COLUMN triaged_at         timestamptz,
  ADD COLUMN resolved_at        timestamptz;

COMMENT ON COLUMN public.alerts.triaged_at IS 'When somebody first looked at it.';
COMMENT ON COLUMN public.alerts.resolved_at IS 'When it was last closed; null while it is open.';

CREATE INDEX alerts_by_status ON public.alerts (tenant, status, first_seen DESC);

GRANT UPDATE (
  status, assignee, disposition, disposition_reason, merged_into, triaged_at, resolved_at,
  version, revision, updated_at
) ON public.alerts TO sentinel_api;
GRANT USAGE ON SEQUENCE public.alerts_seq TO sentinel_api;

-- Every change and comment, never changed itself.
CREATE TABLE public.alert_history (
  tenant   text NOT NULL,
  alert_id uuid NOT NULL,
  id       bigint GENERATED ALWAYS AS IDENTITY,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor    text NOT NULL,
  action   text NOT NULL,
  detail   jsonb NOT NULL,
  PRIMARY KEY (tenant, alert_id, id),
  FOREIGN KEY (tenant, alert_id) REFERENCES public.alerts ON DELETE CASCADE
);

ALTER TABLE public.alert_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.alert_history FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.alert_history USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT ON public.alert_history TO sentinel_api;

-- Dispositions on their way to the topic `feedback`: written with the change itself, sent
-- after it is committed, removed once the broker has them. At least once.
CREATE TABLE public.feedback_outbox (
  tenant text NOT NULL,
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key    text NOT NULL,
  body   text NOT NULL
);

ALTER TABLE public.feedback_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.feedback_outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.feedback_outbox USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
GRANT SELECT, INSERT, DELETE ON public.feedback_outbox TO sentinel_api;
-- SELECT … FOR UPDATE SKIP LOCKED needs it
GRANT UPDATE (body) ON public.feedback_outbox TO sentinel_api;
