-- depends: 0008.findings

-- What the search language needs (api/search/language). The same words as sentinel/words.py,
-- the same leaves: a contract test holds both together.

-- The instant `ms` milliseconds after the epoch, as the sinks write times.
CREATE FUNCTION public.at_ms(ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_timestamp(ms / 1000::float8);

-- The words of all texts within JSON, in order: lines of them, with a space around each word.
-- "C" lowers ASCII only. White space beyond ASCII is what Java calls so.
CREATE FUNCTION public.search_text(texts jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ' ' || regexp_replace(replace(lower((
  SELECT coalesce(string_agg(each #>> '{}', E'\n'), '')
  FROM jsonb_path_query(texts, 'strict $.**') AS found (each)
  WHERE jsonb_typeof(each) = 'string'
) COLLATE "C"), E'\n', E' \n '),
  '[\x01-\x09\x0b-\x2f\x3a-\x60\x7b-\x7f\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]+',
  ' ', 'g') || ' ';

-- What the source of an event wrote: JSON, else all of it as one text. Not in one expression:
-- the planner would cast known values before it asks whether they can be.
CREATE FUNCTION public.event_json(raw text, ocsf jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
  written text := replace(coalesce(nullif(raw, ''), ocsf::text), '\u0000', ' ');
BEGIN
  IF pg_input_is_valid(written, 'jsonb') THEN
    RETURN written::jsonb;
  END IF;
  RETURN to_jsonb(written);
END
$$;

-- Texts, whole numbers and truth values at a path, short ones.
CREATE FUNCTION public.event_leaves(event jsonb, path jsonpath) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
  SELECT leaf #>> '{}' FROM jsonb_path_query(event, path, '{}', true) AS found (leaf)
  WHERE length(leaf #>> '{}') <= 512 AND CASE jsonb_typeof(leaf)
    WHEN 'string' THEN true
    WHEN 'boolean' THEN true
    WHEN 'number' THEN leaf #>> '{}' ~ '^-?[0-9]{1,18}$'
    ELSE false END;
END;

-- The address that a text is, null where it is none. Leading zeros are no way to write one.
CREATE FUNCTION public.ip_of(address text) RETURNS inet
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
  IF address ~ '^[0-9a-fA-F:.]+$' AND address !~ '(^|[.:])0[0-9]+\.|\.0[0-9]'
    AND pg_input_is_valid(address, 'inet') THEN
    RETURN address::inet;
  END IF;
  RETURN NULL;
END
$$;
