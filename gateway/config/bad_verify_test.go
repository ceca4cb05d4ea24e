package config_test

// badVerify are mistakes in a token system, which begins on line 2, and what is
// said of them.
var badVerify = []struct{ name, keys, want string }{
	{"two of one name", "- jwt: {issuer: https://a, audience: x}\n- jwt: {issuer: https://b, audience: x}", "3:4: verify[1]: has the same name as verify[0]; give each a name of its own"},
	{"two of one issuer", "- {name: a, jwt: {issuer: https://a, audience: x}}\n- {name: b, jwt: {issuer: https://a, audience: x}}", "3:4: verify[1]: is for tokens of an issuer that also belong to verify[0]; an issuer's tokens have one owner: tell them apart by for.prefixes, or remove one"},
	{"two of one prefix", "- {name: a, for: {prefixes: p_}, jwt: {issuer: https://a, audience: x}}\n- {name: b, for: {prefixes: [q_, p_]}, jwt: {issuer: https://a, audience: x}}", "3:4: verify[1]: is for tokens with a prefix that also belong to verify[0]; remove one of them"},
	{"two kinds in a list", "- {jwt: {issuer: https://a, audience: x}, http_check: {url: https://b}}", "2:4: verify[0]: has both jwt and http_check; keep one of them, or make it a list of token systems"},
	{"none in a list", "- {name: x}", "2:4: verify[0]: says nobody to ask; add introspection, jwt or http_check below it"},
	{"list of text", "- x", "2:4: verify[0]: must be keys with values, but is text; its keys are cache, for, http_check, introspection, jwt, name, outage, recheck, userinfo"},

	{"jwt bare", "jwt: {}", "2:2: verify.jwt.audience: is missing; add it\nportcullis.yaml:2:2: verify.jwt.issuer: is missing; add it"},
	{"jwt plain", "jwt: {issuer: http://id.example.com, audience: x}", "2:16: verify.jwt.issuer: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"jwt no URL", "jwt: {issuer: us, audience: x}", "2:16: verify.jwt.issuer: is not a URL with http or https; write it as https://host/path"},
	{"jwt keys plain", "jwt: {issuer: us, audience: x, jwks_url: http://id.example.com/}", "2:43: verify.jwt.jwks_url: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"jwt two keys", "jwt: {issuer: us, audience: x, jwks_url: https://i/, keys_file: ca.pem}", "2:66: verify.jwt.keys_file: stands beside jwks_url; keep one of them"},
	{"jwt no keys", "jwt: {issuer: us, audience: x, keys_file: nowhere}", "2:44: verify.jwt.keys_file: refers to a file that cannot be read: no such file or directory; create it, or correct the name"},
	{"jwt symmetric", "jwt: {issuer: https://a, audience: x, algorithms: [RS256, HS256]}", "2:60: verify.jwt.algorithms[1]: is none of the words allowed; write RS256 or RS384 or RS512 or PS256 or PS384 or PS512 or ES256 or ES384 or ES512 or EdDSA"},
	{"jwt unsigned", "jwt: {issuer: https://a, audience: x, algorithms: none}", "2:52: verify.jwt.algorithms: is none of the words allowed; write RS256 or RS384 or RS512 or PS256 or PS384 or PS512 or ES256 or ES384 or ES512 or EdDSA"},
	{"jwt logout tokens", "jwt: {issuer: https://a, audience: x, types: [Logout+JWT]}", "2:40: verify.jwt.types: has Logout+JWT, which is no access token; remove it"},
	{"jwt no audience", "jwt: {issuer: https://a, audience: []}", "2:27: verify.jwt.audience: is an empty list; add an entry, or remove the key"},
	{"jwt audience a number", "jwt: {issuer: https://a, audience: 7}", "2:37: verify.jwt.audience: must be text, but is a number; put it in quotes"},

	{"by key without key", "introspection: {url: https://i/, client_id: a, client_auth: private_key_jwt}", "2:2: verify.introspection: has no client_key_file, which private_key_jwt needs; add it"},
	{"by key with secret", "introspection: {url: https://i/, client_id: a, client_auth: private_key_jwt, client_key_file: partner.pem, client_secret_env: S}", "2:2: verify.introspection: has a client secret, which private_key_jwt doesn't use; remove it"},
	{"no key in the file", "introspection: {url: https://i/, client_id: a, client_auth: private_key_jwt, client_key_file: not.pem}", "2:96: verify.introspection.client_key_file: refers to a file without a usable key: the client key is neither PEM with a private key nor a JWK; write a private key into it, in PEM (-----BEGIN PRIVATE KEY-----) or as a JWK: RSA, P-256 or Ed25519"},
	{"key without use", "introspection: {url: https://i/, client_id: a, client_secret_env: S, client_key_file: partner.pem}", "2:88: verify.introspection.client_key_file: has no meaning without client_auth: private_key_jwt; add that, or remove this"},
	{"signed by nobody", "introspection: {url: https://i/, client_id: a, client_secret_env: S, signed_answers: required}", "2:87: verify.introspection.signed_answers: needs the issuer, which such answers state; add issuer"},
	{"keys for nothing", "introspection: {url: https://i/, client_id: a, client_secret_env: S, jwks_url: https://i/keys}", "2:81: verify.introspection.jwks_url: is for signed answers, which are off; set signed_answers, or remove this"},
	{"signed for nobody", "introspection: {url: https://i/, issuer: https://i, client_auth: bearer, client_secret_env: S, signed_answers: accept}", "2:113: verify.introspection.signed_answers: needs our name, which such answers state; add client_id"},
	{"found at an issuer that is no URL", "introspection: {issuer: us, client_id: a, client_secret_env: S}", "2:26: verify.introspection.issuer: is not a URL with http or https; write it as https://host/path"},

	{"body of GET", "http_check: {url: https://i/, token_in: {form: t}}", "2:32: verify.http_check.token_in: is the body, which GET has none of; set method: POST"},
	{"secret over the token", "http_check: {url: https://i/, secret_env: S}", "2:2: verify.http_check: sends our secret and the token in one header; add secret_header, or choose another place in token_in"},
	{"secret over the cookie", "http_check: {url: https://i/, token_in: {cookie: c}, secret_env: S, secret_header: cookie}", "2:2: verify.http_check: sends our secret and the token in one header; add secret_header, or choose another place in token_in"},
	{"path with tilde", "http_check: {url: https://i/, fields: {subject: /a~b}}", "2:50: verify.http_check.fields.subject: is not a path; write ~0 for a ~ in a name, and ~1 for a slash"},
	{"header without secret", "http_check: {url: https://i/, secret_header: X-Key}", "2:47: verify.http_check.secret_header: has no value; add secret_file or secret_env"},
	{"secret in Host", "http_check: {url: https://i/, secret_header: Host, secret_env: S}", "2:47: verify.http_check.secret_header: is a header that HTTP needs itself; choose another"},

	{"userinfo alone", "userinfo: {url: https://i/}", "1:1: verify: says nobody to ask; add introspection, jwt or http_check below it"},
	{"userinfo plain", "{jwt: {issuer: https://a, audience: x}, userinfo: {url: 'http://i/{sub}'}}", "2:58: verify.userinfo.url: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"userinfo braces", "{jwt: {issuer: https://a, audience: x}, userinfo: {url: 'https://i/{user}'}}", "2:58: verify.userinfo.url: holds braces that aren't {sub}; write {sub} where the subject belongs"},
	{"userinfo host", "{jwt: {issuer: https://a, audience: x}, userinfo: {url: 'https://{sub}.example.com/'}}", "2:58: verify.userinfo.url: holds {sub} in its host; move it into the path or the query"},
	{"userinfo secret", "{jwt: {issuer: https://a, audience: x}, userinfo: {url: https://i/, secret_env: S}}", "2:42: verify.userinfo: has a secret, but the URL gets the user's token; remove it, or put {sub} into the URL"},

	{"cache for too long", "{jwt: {issuer: https://a, audience: x}, cache: {max_age: 2h}}", "2:59: verify.cache.max_age: is too long; write 1h or less"},
	{"no calls", "{jwt: {issuer: https://a, audience: x}, cache: {calls: 0}}", "2:57: verify.cache.calls: is too small; write 1 or more"},
	{"some calls", "{jwt: {issuer: https://a, audience: x}, cache: {calls: some}}", "2:57: verify.cache.calls: is not a whole number; write a number, as in 10"},
	{"sessions end at once", "{jwt: {issuer: https://a, audience: x}, outage: {end_sessions_after: 0s}}", "2:71: verify.outage.end_sessions_after: is too short; write 1s or more"},
}

// badSignals are mistakes beside a good verify and good routes, from line 3 on.
var badSignals = []struct{ name, keys, want string }{
	{"bare", "signals: {}", "3:1: signals.audience: is missing; add it\nportcullis.yaml:3:1: signals.issuer: is missing; add it"},
	{"plain", "signals: {issuer: http://i.example.com, audience: a}", "3:19: signals.issuer: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"two of one name", "signals: [{issuer: https://a, audience: a}, {issuer: https://b, audience: b}]", "3:45: signals[1]: has the same name as signals[0]; give each a name of its own"},
	{"name with slash", "signals: {name: a/b, issuer: https://a, audience: a}", "3:17: signals.name: cannot be a part of a path; write letters, digits, - and _"},
	{"token for nothing", "signals: {issuer: https://a, audience: a, poll_token_env: S}", "3:1: signals: has a poll_token, and nowhere to poll; add poll_url, or remove it"},
	{"event", "signals: {issuer: https://a, audience: a, events: {session_revoked: maybe}}", "3:69: signals.events.session_revoked: is none of the words allowed; write revoke or recheck or ignore"},
	{"two logouts of one issuer", "logout: [{issuer: https://a, client_id: a}, {issuer: https://a, client_id: a}]", "3:45: logout[1]: has the same issuer and client_id as logout[0]; remove one of them"},
	{"no folder", "tickets: {keys_dir: nowhere}", "3:21: tickets.keys_dir: refers to a folder that cannot be used: no such file or directory; create it, or correct the name"},
	{"tickets for hours", "tickets: {lifetime: 1h}", "3:21: tickets.lifetime: is too long; write 5m or less"},
}
