"""Who people and programs are: passwords, tokens, keys, second factors, sign-on, the audit log.

The rules that hold everywhere here:

- A secret is shown once and stored as a digest: passwords with Argon2id (slow, since people
  choose them), everything that we draw ourselves (256 random bits) with SHA-256. What must be
  read again (seeds of second factors) is encrypted with a key outside the database.
- No cookie carries an identity: every call brings ``Authorization: Bearer``, which no other
  site can make a browser send, so there is nothing for a forged request (CSRF) to ride on.
  The only cookie ties the two halves of a single sign-on to one browser, for ten minutes.
- What must hold over all processes (lock-outs, sessions, used codes) is in PostgreSQL; rate
  limits are counted by each process on its own.
"""
