-- depends: 0008.findings

-- The audit log: every change and every sign-in, one chain a tenant. `hash` is the SHA-256 of
-- the row and of the hash before it, so a row that is changed, left out or slipped in breaks
-- the chain from there on (`sentinel audit verify`). The API may insert and read, nothing
-- else, and does not choose number, time or hash: the trigger does, as the owner.

CREATE TABLE public.audit_log (
  tenant   text NOT NULL,
  seq      bigint NOT NULL,
  at       timestamptz NOT NULL,
  actor    text NOT NULL,
  address  text NOT NULL,
  request  text NOT NULL,
  action   text NOT NULL,
  target   text NOT NULL,
  detail   text NOT NULL,
  previous bytea NOT NULL,
  hash     bytea NOT NULL,
  PRIMARY KEY (tenant, seq)
);

COMMENT ON COLUMN public.audit_log.detail IS 'JSON as it was written; text, so that its bytes stay.';

CREATE INDEX audit_log_by_time ON public.audit_log (tenant, at DESC);
CREATE INDEX audit_log_by_action ON public.audit_log (action, at DESC);

-- The end of each chain. Its row lock puts writers of one tenant in order.
CREATE TABLE public.audit_heads (
  tenant text PRIMARY KEY,
  seq    bigint NOT NULL,
  hash   bytea NOT NULL
);

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.audit_log USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');
ALTER TABLE public.audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON public.audit_heads USING (
  tenant = (SELECT public.sentinel_tenant()) OR (SELECT public.sentinel_tenant()) = '*');

-- Each field with its length in front, so that no two rows give the same bytes.
CREATE FUNCTION public.audit_field(value text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN convert_to(octet_length(convert_to(value, 'UTF8'))::text || ':' || value, 'UTF8');

CREATE FUNCTION public.audit_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  head public.audit_heads%ROWTYPE;
BEGIN
  INSERT INTO public.audit_heads VALUES (NEW.tenant, 0, '\x') ON CONFLICT DO NOTHING;
  SELECT * INTO STRICT head FROM public.audit_heads h WHERE h.tenant = NEW.tenant FOR UPDATE;
  NEW.seq := head.seq + 1;
  NEW.at := clock_timestamp();
  NEW.actor := coalesce(current_setting('sentinel.actor', true), '');
  NEW.address := coalesce(current_setting('sentinel.address', true), '');
  NEW.request := coalesce(current_setting('sentinel.request', true), '');
  NEW.previous := head.hash;
  NEW.hash := sha256(
    NEW.previous
    || public.audit_field(NEW.tenant) || public.audit_field(NEW.seq::text)
    || public.audit_field(to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    || public.audit_field(NEW.actor) || public.audit_field(NEW.address)
    || public.audit_field(NEW.request) || public.audit_field(NEW.action)
    || public.audit_field(NEW.target) || public.audit_field(NEW.detail));
  UPDATE public.audit_heads h SET seq = NEW.seq, hash = NEW.hash WHERE h.tenant = NEW.tenant;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION public.audit_chain() FROM PUBLIC;

CREATE TRIGGER audit_chain BEFORE INSERT ON public.audit_log
FOR EACH ROW EXECUTE FUNCTION public.audit_chain();

-- Not even the owner by mistake; who may drop the trigger is found out by the chain's end,
-- which `sentinel audit verify` remembers elsewhere.
CREATE FUNCTION public.audit_keep() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_log
FOR EACH STATEMENT EXECUTE FUNCTION public.audit_keep();

GRANT SELECT ON public.audit_log TO sentinel_api;
GRANT INSERT (tenant, action, target, detail) ON public.audit_log TO sentinel_api;
GRANT INSERT (tenant, action, target, detail) ON public.audit_log TO sentinel_worker;
GRANT SELECT ON public.audit_heads TO sentinel_api;
