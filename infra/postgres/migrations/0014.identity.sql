-- depends: 0013.audit

-- Tenants, users, roles, sessions and API keys. What people chose (passwords) is kept as
-- Argon2id, what we drew (refresh tokens, keys, recovery codes: 80 bits and more) as SHA-256;
-- the seed of a second factor is encrypted with a key that is not in this database.

-- Quotas and retention of a tenant; null: as the settings say. A tenant without a row is one
-- that nobody limited.
CREATE TABLE public.tenants (
  tenant               text PRIMARY KEY CHECK (tenant ~ '^[A-Za-z0-9_.@-]{1,128}$'),
  title                text NOT NULL DEFAULT '',
  disabled             boolean NOT NULL DEFAULT false,
  events_per_second    integer CHECK (events_per_second > 0),
  requests_per_minute  integer CHECK (requests_per_minute > 0),
  retention_days       integer CHECK (retention_days > 0),
  alert_retention_days integer CHECK (alert_retention_days > 0),
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now()
);

-- Roles of a tenant's own making, as sets of permissions (api/permissions.py has the rest).
CREATE TABLE public.roles (
  tenant      text NOT NULL,
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,63}$'),
  permissions text[] NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, name)
);

CREATE TABLE public.users (
  id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant         text NOT NULL,
  name           text NOT NULL CHECK (name ~ '^[a-z0-9_.@+-]{1,128}$'),
  role           text NOT NULL,
  password       text,
  secret_until   timestamptz,
  totp           bytea,
  totp_pending   bytea,
  totp_step      bigint NOT NULL DEFAULT 0,
  disabled       boolean NOT NULL DEFAULT false,
  oidc_issuer    text,
  oidc_subject   text,
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  last_login     timestamptz,
  UNIQUE (tenant, name),
  UNIQUE (tenant, oidc_issuer, oidc_subject)
);

COMMENT ON COLUMN public.users.secret_until IS
  'Not null: the password is a one-time secret, good for choosing one until then.';
COMMENT ON COLUMN public.users.totp_step IS 'The last time step used: a code is good once.';

-- Wrong guesses by name, whether there is such a user or not, so that neither can be told.
CREATE TABLE public.login_guesses (
  tenant       text NOT NULL,
  name         text NOT NULL,
  failures     integer NOT NULL,
  locked_until timestamptz,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant, name)
);
CREATE INDEX login_guesses_by_age ON public.login_guesses (updated_at);

CREATE TABLE public.recovery_codes (
  tenant  text NOT NULL,
  user_id uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
  digest  bytea NOT NULL,
  PRIMARY KEY (user_id, digest)
);

-- A session is a family of refresh tokens, each good once.
CREATE TABLE public.sessions (
  id         uuid PRIMARY KEY,
  tenant     text NOT NULL,
  user_id    uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
  method     text NOT NULL,
  address    text NOT NULL,
  agent      text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at    timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX sessions_by_user ON public.sessions (user_id);
CREATE INDEX sessions_by_end ON public.sessions (expires_at);

CREATE TABLE public.refresh_tokens (
  digest     bytea PRIMARY KEY,
  tenant     text NOT NULL,
  session_id uuid NOT NULL REFERENCES public.sessions ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);
CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens (session_id);

CREATE TABLE public.api_keys (
  id           text PRIMARY KEY,
  tenant       text NOT NULL,
  name         text NOT NULL,
  digest       bytea NOT NULL,
  permissions  text[] NOT NULL,
  created_by   text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_keys_by_tenant ON public.api_keys (tenant, created_at DESC);

DO $$
DECLARE
  part text;
BEGIN
  FOREACH part IN ARRAY ARRAY['tenants', 'roles', 'users', 'login_guesses', 'recovery_codes',
                              'sessions', 'refresh_tokens', 'api_keys'] LOOP
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', part);
    EXECUTE format(
      'CREATE POLICY tenant ON public.%I USING (tenant = (SELECT public.sentinel_tenant())'
      ' OR (SELECT public.sentinel_tenant()) = ''*'')', part);
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON public.tenants, public.api_keys TO sentinel_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.roles, public.users, public.login_guesses,
  public.recovery_codes, public.sessions, public.refresh_tokens TO sentinel_api;
GRANT SELECT ON public.tenants TO sentinel_worker;
