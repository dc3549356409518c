-- depends: 0007.events_raw

-- Findings of scanners, one row for each tool that has one, and what became of it from scan to
-- scan (detectors/findings.py). A row stays when the finding is resolved: it may come back.

CREATE TABLE public.findings (
  tenant      text NOT NULL,
  tool        text NOT NULL,
  uid         uuid NOT NULL,
  target      text NOT NULL,
  source      text NOT NULL,
  class_uid   integer NOT NULL,
  rule        text NOT NULL,
  title       text NOT NULL,
  severity_id integer NOT NULL CHECK (severity_id BETWEEN 0 AND 99),
  suppressed  boolean NOT NULL,
  state       text NOT NULL CHECK (state IN ('new', 'recurring', 'resolved', 'reopened')),
  scan        uuid NOT NULL,
  first_seen  timestamptz NOT NULL,
  last_seen   timestamptz NOT NULL,
  judged      timestamptz NOT NULL,
  ocsf        jsonb NOT NULL,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, tool, uid)
);

COMMENT ON COLUMN public.findings.uid IS 'Who the finding is: the same in every scan.';
COMMENT ON COLUMN public.findings.scan IS 'The scan that gave it its state.';
COMMENT ON COLUMN public.findings.judged IS 'Time of that scan.';

CREATE INDEX findings_by_target ON public.findings (tenant, tool, target) WHERE state <> 'resolved';
CREATE INDEX findings_by_state ON public.findings (tenant, state, severity_id DESC, last_seen DESC);

-- Which findings of a scan have arrived: only what is missing from all of them is resolved.
CREATE TABLE public.finding_scans (
  tenant     text NOT NULL,
  scan       uuid NOT NULL,
  tool       text NOT NULL,
  target     text NOT NULL,
  time       timestamptz NOT NULL,
  total      integer CHECK (total >= 0),
  arrived    int4multirange NOT NULL,
  judged     boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, scan)
);

COMMENT ON COLUMN public.finding_scans.total IS 'Findings in the scan; unknown until its end came.';
COMMENT ON COLUMN public.finding_scans.arrived IS 'Numbers of the findings that are here, from 0.';

CREATE INDEX finding_scans_by_age ON public.finding_scans (updated_at);

ALTER TABLE public.findings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.findings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.findings USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.finding_scans ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.finding_scans FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.finding_scans USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT, INSERT, UPDATE ON public.findings TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.finding_scans TO sentinel_worker;
GRANT SELECT ON public.findings, public.finding_scans TO sentinel_api;
