-- depends: 0022.dashboards

-- What a tenant has set of a rule or model (detectors/suppress/tuning.py): a row like any other
-- that keeps alerts quiet, with what it changes. `learned`: made of dispositions, not by a person.

ALTER TABLE public.suppressions
  DROP CONSTRAINT suppressions_kind_check,
  ADD CONSTRAINT suppressions_kind_check
    CHECK (kind IN ('suppression', 'maintenance', 'budget', 'tuning')),
  ADD COLUMN disabled  boolean,
  ADD COLUMN staged    boolean,
  ADD COLUMN severity  smallint CHECK (severity BETWEEN 1 AND 5),
  ADD COLUMN threshold double precision CHECK (threshold BETWEEN 0 AND 1),
  ADD COLUMN learned   boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT suppressions_tuning_check CHECK (
    (kind = 'tuning') = (num_nonnulls(disabled, staged, severity, threshold) > 0));

COMMENT ON COLUMN public.suppressions.disabled IS 'Of a tuning: the rule or model is off.';
COMMENT ON COLUMN public.suppressions.staged IS 'Of a tuning: it is on trial, or no longer.';
COMMENT ON COLUMN public.suppressions.severity IS 'Of a tuning: OCSF severity, 1 to 5.';
COMMENT ON COLUMN public.suppressions.threshold IS 'Of a tuning: score that a model needs.';
COMMENT ON COLUMN public.suppressions.learned IS 'Made of dispositions.';

-- what was decided of a model's alerts is read with each disposition
CREATE INDEX alerts_by_disposition ON public.alerts (tenant, rule_id, updated_at DESC)
  WHERE disposition <> '';
