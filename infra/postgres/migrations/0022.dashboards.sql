-- depends: 0021.tickets

-- Whoever draws dashboards logs on to PostgreSQL directly, and may write any SQL into a panel:
-- also a set_config of another tenant. So the tenant of such a login is looked up by its name,
-- and what it sets does not matter.

CREATE TABLE public.dashboard_logins (
  login      name PRIMARY KEY,
  tenant     text NOT NULL CHECK (tenant <> ''),
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE public.dashboard_logins ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.dashboard_logins FORCE ROW LEVEL SECURITY;
-- Not by tenant, for sentinel_tenant() itself asks here; nobody is granted anything on it.
CREATE POLICY own ON public.dashboard_logins USING (true);

CREATE OR REPLACE FUNCTION public.sentinel_tenant() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog
RETURN coalesce(
  (SELECT tenant FROM public.dashboard_logins WHERE login = session_user),
  current_setting('sentinel.tenant', true), '');

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sentinel_dashboards') THEN
    CREATE ROLE sentinel_dashboards NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- made by another migration in the same instant
END;
$$;

GRANT USAGE ON SCHEMA public TO sentinel_dashboards;
GRANT SELECT ON public.alerts, public.incidents, public.incident_alerts, public.findings
  TO sentinel_dashboards;
GRANT SELECT (tenant, uid, day, time, arrived, source, class_uid, activity_id, status_id,
  severity_id, entity, operation, service, src_ip) ON public.events TO sentinel_dashboards;

-- Makes a login for one tenant ('*' is all), or gives it a new password.
CREATE FUNCTION public.make_dashboard_login(wanted text, its_tenant text, its_password text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
    IF NOT EXISTS (SELECT FROM public.dashboard_logins WHERE login = wanted) THEN
      RAISE EXCEPTION 'expected a new name, found a role % that is not of the dashboards', wanted;
    END IF;
    EXECUTE format('ALTER ROLE %I PASSWORD %L', wanted, its_password);
  ELSE
    EXECUTE format(
      'CREATE ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS '
      'CONNECTION LIMIT 20 IN ROLE sentinel_dashboards', wanted, its_password);
    EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', wanted);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = ''15s''', wanted);
  END IF;
  INSERT INTO public.dashboard_logins (login, tenant) VALUES (wanted, its_tenant)
  ON CONFLICT (login) DO UPDATE SET tenant = excluded.tenant;
END;
$$;
REVOKE ALL ON FUNCTION public.make_dashboard_login(text, text, text) FROM PUBLIC;
