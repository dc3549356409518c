-- Roles of least privilege. The owner of the schema migrates and creates partitions;
-- everything else runs as one of these two, by SET ROLE or by a login that is a member.
-- They are cluster-wide, so another database of the same server may have made them.
-- NOBYPASSRLS is said aloud: the policies below are what keeps tenants apart.

DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['sentinel_worker', 'sentinel_api'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format(
          'CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- made by another migration in the same instant
      END;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
      BEGIN
        EXECUTE format('GRANT %I TO %I', wanted, current_user);
      EXCEPTION WHEN insufficient_privilege THEN
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
          RAISE;
        END IF; -- an administrator has granted it already
      END;
    END IF;
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO sentinel_worker, sentinel_api;

-- The tenant whose rows this transaction sees; '*' is all of them (workers, administrators),
-- '' none. Set it with set_config('sentinel.tenant', …, true) inside a transaction, so that
-- a pooled connection cannot carry it over to the next request. In a policy, call it in a
-- scalar subquery: it is then evaluated once a query instead of once a row.
CREATE FUNCTION public.sentinel_tenant() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(current_setting('sentinel.tenant', true), '');
