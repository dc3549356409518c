-- depends: 0030.told_changes

-- Batch models (detectors/batch_models): versions, and which was live when. What workers score
-- with is data that they check, never code; who trains is a role of its own, so that neither a
-- worker nor the API, which is open to the network, can put up another model. Rows never change.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentinel_trainer') THEN
    BEGIN
      CREATE ROLE sentinel_trainer NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- made by another migration in the same instant
    END;
  END IF;
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    BEGIN
      EXECUTE format('GRANT sentinel_trainer TO %I', current_user);
    EXCEPTION WHEN insufficient_privilege THEN
      IF NOT pg_has_role(current_user, 'sentinel_trainer', 'MEMBER') THEN
        RAISE;
      END IF; -- an administrator has granted it already
    END;
  END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO sentinel_trainer;

CREATE TABLE public.batch_models (
  tenant  text NOT NULL CHECK (tenant <> ''),
  source  text NOT NULL CHECK (source <> ''),
  kind    text NOT NULL CHECK (kind IN ('isolation_forest', 'one_class_svm', 'autoencoder')),
  version integer NOT NULL CHECK (version > 0),
  about   jsonb NOT NULL CHECK (jsonb_typeof(about) = 'object'),
  model   bytea NOT NULL CHECK (octet_length(model) <= 33554432),
  sha256  text NOT NULL CHECK (sha256 = encode(sha256(model), 'hex')),
  made_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, source, kind, version)
);

COMMENT ON COLUMN public.batch_models.model IS 'As detectors.batch_models.kinds.Trained.dump writes it.';

CREATE TABLE public.batch_model_steps (
  tenant  text NOT NULL,
  source  text NOT NULL,
  kind    text NOT NULL,
  step    integer NOT NULL CHECK (step > 0),
  version integer,
  since   bigint NOT NULL,
  PRIMARY KEY (tenant, source, kind, step),
  FOREIGN KEY (tenant, source, kind, version) REFERENCES public.batch_models
);

COMMENT ON COLUMN public.batch_model_steps.version IS 'That was promoted; NULL: back to the one before.';
COMMENT ON COLUMN public.batch_model_steps.since IS 'From which arrival on it counts, in ms since the epoch.';

ALTER TABLE public.batch_models ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.batch_models FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.batch_models USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.batch_model_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.batch_model_steps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.batch_model_steps USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT ON public.batch_models, public.batch_model_steps TO sentinel_worker;
GRANT SELECT, INSERT ON public.batch_models, public.batch_model_steps TO sentinel_trainer;
GRANT INSERT (tenant, action, target, detail) ON public.audit_log TO sentinel_trainer;
