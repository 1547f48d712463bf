-- API keys. The key itself is `tl_<prefix>_<secret>`; only a hash of all of it is kept, and the secret has 256 random
-- bits, so nothing here lets anybody in.
CREATE TABLE IF NOT EXISTS lab.api_keys (
    prefix text PRIMARY KEY,
    hash bytea NOT NULL,                 -- SHA-256
    owner text NOT NULL CHECK (owner <> ''),
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin']),
    projects text[] NOT NULL DEFAULT '{}',
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz,
    revoked timestamptz,
    last_used timestamptz                -- to the hour
);

-- Who uploaded which file: its bytes are known to that user, whoever else refers to them.
CREATE TABLE IF NOT EXISTS lab.uploads (
    checksum text NOT NULL,
    owner text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (checksum, owner)
);
