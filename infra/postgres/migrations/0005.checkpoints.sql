-- depends: 0004.dead_letters

-- Where each stage is in each partition, with the state that belongs to that place, written
-- together. `owner` is the fencing token: a save by anyone else changes no row.
-- No tenant column, hence no policy: a partition holds all tenants. The API may read
-- everything but the state.

CREATE TABLE public.checkpoints (
  stage       text NOT NULL,
  topic       text NOT NULL,
  "partition" integer NOT NULL,
  owner       uuid NOT NULL,
  next_offset bigint,
  ledger      jsonb NOT NULL DEFAULT '[]',
  state       bytea NOT NULL DEFAULT '',
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stage, topic, "partition")
);

COMMENT ON COLUMN public.checkpoints.next_offset IS 'First offset not done yet; null: claimed, none done.';

-- States are compressed by who made them; a second time only costs.
ALTER TABLE public.checkpoints ALTER COLUMN state SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE ON public.checkpoints TO sentinel_worker;
GRANT SELECT (stage, topic, "partition", owner, next_offset, ledger, updated_at)
  ON public.checkpoints TO sentinel_api;
