-- depends: 0008.findings

-- Who is told of alerts: a webhook, or a channel such as Slack. Tenant '*' is the operator,
-- whose subscriptions see the alerts of all tenants. `version` is taken anew with each change,
-- so that count and sum of the versions tell a reader whether anything changed.

CREATE SEQUENCE public.subscriptions_version;

CREATE TABLE public.subscriptions (
  tenant          text NOT NULL,
  id              uuid NOT NULL,
  name            text NOT NULL,
  kind            text NOT NULL,
  config          jsonb NOT NULL,
  secrets         bytea NOT NULL,
  filter          jsonb NOT NULL,
  options         jsonb NOT NULL,
  concurrency     integer NOT NULL CHECK (concurrency BETWEEN 1 AND 16),
  batch_size      integer NOT NULL CHECK (batch_size BETWEEN 1 AND 500),
  enabled         boolean NOT NULL DEFAULT true,
  disabled_reason text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  succeeded_at    timestamptz,
  failing_since   timestamptz,
  version         bigint NOT NULL DEFAULT nextval('public.subscriptions_version'),
  PRIMARY KEY (tenant, id),
  UNIQUE (tenant, name)
);
ALTER SEQUENCE public.subscriptions_version OWNED BY public.subscriptions.version;

COMMENT ON COLUMN public.subscriptions.secrets IS
  'JSON sealed with AES-256-GCM, bound to tenant and id (sentinel/subscribers/vault.py).';
COMMENT ON COLUMN public.subscriptions.concurrency IS
  'Requests under way at a time; 1 keeps the order of all alerts, more that of each alert.';

ALTER TABLE public.subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.subscriptions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.subscriptions USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

GRANT SELECT ON public.subscriptions TO sentinel_worker;
GRANT UPDATE (enabled, disabled_reason, succeeded_at, failing_since, version, updated_at)
  ON public.subscriptions TO sentinel_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.subscriptions TO sentinel_api;
GRANT USAGE ON SEQUENCE public.subscriptions_version TO sentinel_worker, sentinel_api;
