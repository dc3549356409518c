-- depends: 0011.incidents

-- What keeps alerts quiet: suppressions, maintenance windows and budgets (detectors/suppress).
-- A row is never changed but to end it, and is kept: which alerts it took must stay decidable.

CREATE TABLE public.suppressions (
  tenant     text NOT NULL,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  kind       text NOT NULL CHECK (kind IN ('suppression', 'maintenance', 'budget')),
  scope      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(scope) = 'object'),
  owner      text NOT NULL CHECK (owner <> ''),
  reason     text NOT NULL CHECK (reason <> ''),
  starts     timestamptz NOT NULL,
  expires    timestamptz NOT NULL CHECK (expires > starts),
  weekly     jsonb CHECK (jsonb_typeof(weekly) = 'object'),
  per_hour   integer CHECK (per_hour > 0),
  per_day    integer CHECK (per_day > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz,
  removed_by text,
  PRIMARY KEY (tenant, id),
  CHECK ((kind = 'budget') = (per_hour IS NOT NULL OR per_day IS NOT NULL)),
  CHECK (kind = 'maintenance' OR weekly IS NULL)
);

COMMENT ON COLUMN public.suppressions.tenant IS 'Whose alerts; ''*'' are those of every tenant.';
COMMENT ON COLUMN public.suppressions.starts IS 'By arrival; of a maintenance window by event time.';
COMMENT ON COLUMN public.suppressions.weekly IS 'Of a window: {"days": [0..6], "from": "HH:MM", "to": "HH:MM"}, UTC.';

CREATE INDEX suppressions_by_end ON public.suppressions (expires);

ALTER TABLE public.suppressions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.suppressions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.suppressions USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT ON public.suppressions TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE ON public.suppressions TO sentinel_api;
