-- Queries of who people are. What is found before it is known who asks (a user by name, a key
-- by id, a token by digest) is asked in the name of all tenants; everything else in that of the
-- tenant, under row-level security.

-- name: name_actor
SELECT set_config('sentinel.actor', $1, true);

-- name: user_by_name
SELECT * FROM users WHERE tenant = $1 AND name = $2;

-- name: guess
-- Count a guess before it is looked at, so that guesses at the same time cannot outrun the count.
INSERT INTO login_guesses AS g (tenant, name, failures) VALUES ($1, $2, 1)
ON CONFLICT (tenant, name) DO UPDATE SET
  failures = CASE WHEN g.updated_at < now() - interval '1 day' THEN 1 ELSE g.failures + 1 END,
  locked_until = CASE WHEN g.updated_at < now() - interval '1 day' THEN NULL
    WHEN g.failures + 1 >= $3 THEN now() + make_interval(
      secs => least(60 * 2 ^ least(g.failures + 1 - $3, 10), 3600)) END,
  updated_at = now()
WHERE g.locked_until IS NULL OR g.locked_until <= now()
RETURNING failures;

-- name: locked_for
SELECT ceil(extract(epoch FROM locked_until - now()))::int FROM login_guesses
WHERE tenant = $1 AND name = $2;

-- name: forget_guesses
DELETE FROM login_guesses
WHERE tenant = $1 AND name = $2 OR updated_at < now() - interval '2 days';

-- name: new_session
INSERT INTO sessions (id, tenant, user_id, method, address, agent, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7));

-- name: forget_sessions
DELETE FROM sessions WHERE expires_at < now() - interval '1 day';

-- name: new_refresh
INSERT INTO refresh_tokens (digest, tenant, session_id, expires_at)
SELECT $1, tenant, id, least(expires_at, now() + make_interval(secs => $3))
FROM sessions WHERE id = $2;

-- name: use_refresh
UPDATE refresh_tokens SET used_at = now()
WHERE digest = $1 AND used_at IS NULL RETURNING session_id, expires_at > now() AS good;

-- name: session_of_refresh
SELECT session_id FROM refresh_tokens WHERE digest = $1;

-- name: touch_session
UPDATE sessions SET used_at = now()
FROM users AS u
WHERE sessions.id = $1 AND revoked_at IS NULL AND expires_at > now()
AND u.id = user_id AND NOT u.disabled AND u.secret_until IS NULL
RETURNING u.id AS user_id, u.tenant, u.name;

-- name: revoke_session
UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL
RETURNING tenant, user_id;

-- name: revoke_sessions
UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL;

-- name: principal_of_session
SELECT u.tenant, u.name, u.role, r.permissions
FROM sessions AS s
JOIN users AS u ON u.id = s.user_id
LEFT JOIN roles AS r ON r.tenant = u.tenant AND r.name = u.role
LEFT JOIN tenants AS t ON t.tenant = u.tenant
WHERE s.id = $1 AND u.id = $2 AND s.revoked_at IS NULL AND s.expires_at > now()
AND NOT u.disabled AND u.secret_until IS NULL AND NOT coalesce(t.disabled, false);

-- name: principal_of_key
SELECT k.tenant, k.digest, k.permissions,
  k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes' AS stale
FROM api_keys AS k
LEFT JOIN tenants AS t ON t.tenant = k.tenant
WHERE k.id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
AND NOT coalesce(t.disabled, false);

-- name: key_used
UPDATE api_keys SET last_used_at = now() WHERE id = $1;

-- name: limits_of_tenant
SELECT disabled, events_per_second, requests_per_minute FROM tenants WHERE tenant = $1;

-- name: settle_counts
-- Adds counts $3 of the keys $1 to their windows, where those have not ended by $4; else new
-- windows begin, which end at $2. Returns what holds now. What ended a while ago goes.
WITH over AS (
  DELETE FROM rate_counts WHERE ends < $4 - 60 AND key <> ALL ($1::text[])
)
INSERT INTO rate_counts AS known (key, ends, count)
SELECT * FROM unnest($1::text[], $2::float8[], $3::bigint[])
ON CONFLICT (key) DO UPDATE SET
  count = CASE WHEN known.ends > $4::float8 THEN known.count ELSE 0 END + excluded.count,
  ends = CASE WHEN known.ends > $4::float8 THEN known.ends ELSE excluded.ends END
RETURNING key, ends, count;

-- name: set_password
UPDATE users SET password = $2, secret_until = NULL, updated_at = now() WHERE id = $1;

-- name: signed_in
UPDATE users SET last_login = now(), password = coalesce($2, password) WHERE id = $1;

-- name: use_step
-- No row where another request has used this step meanwhile.
UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2 RETURNING 1;

-- name: use_recovery_code
DELETE FROM recovery_codes WHERE user_id = $1 AND digest = $2 RETURNING 1;

-- name: recovery_codes_left
SELECT count(*)::int FROM recovery_codes WHERE user_id = $1;

-- name: user_of_issuer
SELECT * FROM users WHERE tenant = $1 AND oidc_issuer = $2 AND oidc_subject = $3;

-- name: join_issuer
UPDATE users SET oidc_issuer = $2, oidc_subject = $3, updated_at = now(), secret_until = NULL,
  password = CASE WHEN secret_until IS NULL THEN password END
WHERE tenant = $1 AND name = $4 AND oidc_issuer IS NULL AND NOT disabled RETURNING *;

-- name: new_user_of_issuer
INSERT INTO users (tenant, oidc_issuer, oidc_subject, name, role) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING *;

-- name: user
SELECT u.*, r.permissions FROM users AS u
LEFT JOIN roles AS r ON r.tenant = u.tenant AND r.name = u.role
WHERE u.id = $1;

-- name: users
SELECT * FROM users
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR name = $2)
AND ($3::text IS NULL OR (tenant, name) > ($3, $4))
ORDER BY tenant, name LIMIT $5;

-- name: new_user
INSERT INTO users (tenant, name, role, password, secret_until)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
ON CONFLICT (tenant, name) DO NOTHING RETURNING *;

-- name: change_user
UPDATE users SET role = coalesce($2, role), disabled = coalesce($3, disabled), updated_at = now()
WHERE id = $1 RETURNING *;

-- name: reset_user
UPDATE users SET password = $2, secret_until = now() + make_interval(secs => $3), totp = NULL,
  totp_pending = NULL, updated_at = now()
WHERE id = $1 RETURNING *;

-- name: remove_user
DELETE FROM users WHERE id = $1;

-- name: any_user
SELECT EXISTS (SELECT FROM users);

-- name: sessions
SELECT id, method, address, agent, created_at, used_at, expires_at FROM sessions
WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now() ORDER BY created_at DESC LIMIT 100;

-- name: revoke_own_session
UPDATE sessions SET revoked_at = now() WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
RETURNING 1;

-- name: begin_factor
UPDATE users SET totp_pending = $2, updated_at = now() WHERE id = $1;

-- name: turn_factor_on
UPDATE users SET totp = totp_pending, totp_pending = NULL, totp_step = $2, updated_at = now()
WHERE id = $1 AND totp_pending IS NOT NULL RETURNING 1;

-- name: turn_factor_off
UPDATE users SET totp = NULL, totp_pending = NULL, updated_at = now() WHERE id = $1;

-- name: forget_recovery_codes
DELETE FROM recovery_codes WHERE user_id = $1;

-- name: new_recovery_codes
INSERT INTO recovery_codes (tenant, user_id, digest)
SELECT tenant, id, unnest($2::bytea[]) FROM users WHERE id = $1;

-- name: keys
SELECT id, tenant, name, permissions, created_by, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR id > $2)
ORDER BY id LIMIT $3;

-- name: new_key
INSERT INTO api_keys (id, digest, tenant, name, permissions, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(days => $7)) RETURNING *;

-- name: key
SELECT tenant, permissions FROM api_keys WHERE id = $1;

-- name: revoke_key
UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING tenant, name;

-- name: roles
SELECT tenant, name, permissions FROM roles
WHERE $1::text IS NULL OR tenant = $1 ORDER BY tenant, name LIMIT 1000;

-- name: role
SELECT permissions FROM roles WHERE tenant = $1 AND name = $2;

-- name: set_role
INSERT INTO roles (tenant, name, permissions) VALUES ($1, $2, $3)
ON CONFLICT (tenant, name) DO UPDATE SET permissions = $3, updated_at = now();

-- name: remove_role
DELETE FROM roles WHERE tenant = $1 AND name = $2
AND NOT EXISTS (SELECT FROM users WHERE tenant = $1 AND role = $2) RETURNING 1;

-- name: tenants
SELECT * FROM tenants WHERE $1::text IS NULL OR tenant > $1 ORDER BY tenant LIMIT $2;

-- name: tenant_row
SELECT * FROM tenants WHERE tenant = $1;

-- name: new_tenant
INSERT INTO tenants (tenant, title, events_per_second, requests_per_minute, retention_days,
  alert_retention_days)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING *;

-- name: change_tenant
UPDATE tenants SET title = $2, disabled = $3, events_per_second = $4, requests_per_minute = $5,
  retention_days = $6, alert_retention_days = $7, updated_at = now()
WHERE tenant = $1 RETURNING *;

-- name: audit_newest
SELECT * FROM audit_log
WHERE ($1::timestamptz IS NULL OR at >= $1) AND ($2::timestamptz IS NULL OR at < $2)
AND ($3::text IS NULL OR action = $3) AND ($4::text IS NULL OR actor = $4)
AND ($5::text IS NULL OR target = $5) AND ($6::text IS NULL OR tenant = $6)
AND ($7::timestamptz IS NULL OR (at, tenant, seq) < ($7, $8, $9))
ORDER BY at DESC, tenant DESC, seq DESC LIMIT $10;

-- name: audit_chain
SELECT * FROM audit_log
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR (tenant, seq) > ($2, $3))
ORDER BY tenant, seq LIMIT $4;
