package config_test

import "strings"

// The keys that there are, as errors list them.
const (
	routeKeys = "accept_then_close, allow, answer_time, backend, backend_ca_file, close_codes, cors, frames, host, idle, insecure_paths, limits, login, messages, origins, path, ping, public, stall, tokens, utf8"

	configKeys = "access_log, admin, grace, leeway, limits, listen, logout, max_session, proxy_protocol, recheck_rate, routes, shutdown_grace, signals, tickets, tls, tokens, trusted_proxies, userinfo_header, userinfo_max, verify"
)

// The parts of good configurations, to put mistakes beside.
const (
	verify = "verify: {introspection: {url: https://id.example.com/i, client_id: gw, client_secret_env: S}}\n"
	routes = "routes: [{path: /, backend: 'http://b:9'}]\n"
)

var (
	files = map[string]string{
		"/run/secrets/gateway": "hunter22hunter22\n",
		"empty":                "\n",
		"lines":                "a\nb\n",
		"short":                "short\n",
		"ca.pem":               testCA,
		"tls.crt":              testCA,
		"tls.key":              testCAKey,
		"not.pem":              "hello",
		"partner.pem":          testKey,
	}
	vars = map[string]string{
		"S": "s3cr3t-of-sixteen", "EMPTY": "",
		"GATEWAY_SECRET": "s3cr3t", "LEGACY_SECRET": "s3cr3t", "SIGNALS_SECRET": "s3cr3t", "PORTCULLIS_ADMIN_KEY": "0123456789abcdef",
	}
)

// route returns a file whose one route has these keys, from line 4 on.
func route(lines string) string {
	return verify + "routes:\n  - path: /\n    backend: http://b:9\n    " + strings.ReplaceAll(lines, "\n", "\n    ") + "\n"
}

var bad = []struct{ name, text, want string }{
	{"empty", "", "portcullis.yaml:1: empty; it needs verify and routes at least"},
	{"comments only", "# nothing\n\n", "portcullis.yaml:1: empty; it needs verify and routes at least"},
	{"null", "---\n~\n", "portcullis.yaml:2:1: empty; it needs verify and routes at least"},
	{"several documents", verify + routes + "---\nlisten: :80\n", "portcullis.yaml:3:1: a second YAML document; put everything in one document, without a line ---"},
	{"not UTF-8", "listen: :80\nadmin: \xff\n", "portcullis.yaml:2:8: not text in UTF-8; save the file as UTF-8 without control characters"},
	{"UTF-16", "\xff\xfea\x00", "portcullis.yaml:1:1: not text in UTF-8; save the file as UTF-8 without control characters"},
	{"control character", "listen: a\x00b\n", "portcullis.yaml:1:10: not text in UTF-8; save the file as UTF-8 without control characters"},
	{"syntax", "listen: :80\nadmin: [\n", "portcullis.yaml:3:1: not YAML: while parsing a flow node: did not find expected node content"},
	{"tab", "admin:\n\tlisten: x\n", "portcullis.yaml:2:1: not YAML: while scanning for the next token: found character that cannot start any token"},
	{"unknown anchor", "listen: *x\n", "portcullis.yaml:1:9: not YAML: unknown anchor 'x' referenced"},
	{"too deep", "listen: " + strings.Repeat("[", 50), "portcullis.yaml:1:29: not YAML: while increasing flow level: exceeded max depth of 20"},
	{"a list", "- listen\n", "portcullis.yaml:1:1: must be keys with values, but is a list; its keys are " + configKeys},
	{"text", "hello\n", "portcullis.yaml:1:1: must be keys with values, but is text; its keys are " + configKeys},

	{"nothing needed", "listen: :80\n", "portcullis.yaml:1:1: routes: is missing; add it\nportcullis.yaml:1:1: verify: is missing; add it"},
	{"unknown key", "lisen: :80\n" + verify + routes, `portcullis.yaml:1:1: lisen: unknown key; did you mean "listen"?`},
	{"unknown inner key", route("bakcend: x"), `portcullis.yaml:5:5: routes[0].bakcend: unknown key; did you mean "backend"?`},
	{"unknown far key", route("timeouts: x"), "portcullis.yaml:5:5: routes[0].timeouts: unknown key; the keys here are " + routeKeys},
	{"capital key", "Listen: :80\n" + verify + routes, `portcullis.yaml:1:1: Listen: unknown key; did you mean "listen"?`},
	{"number for a key", "7: x\n" + verify + routes, "portcullis.yaml:1:1: a key must be a word, but is a number; its keys are " + configKeys},
	{"secret in the file", "verify: {introspection: {url: https://i/, client_id: x, client_secret: hunter2}}\n" + routes, "portcullis.yaml:1:57: verify.introspection.client_secret: unknown key; a secret doesn't belong in this file; use client_secret_file or client_secret_env"},
	{"merge key", "x: 1\n<<: {listen: :80}\n" + verify + routes, "portcullis.yaml:1:1: x: unknown key; the keys here are " + configKeys + "\nportcullis.yaml:2:1: <<: unknown key; merge keys are not supported; write the keys out"},
	{"duplicate key", "listen: :80\n" + verify + routes + "listen: :81\n", "portcullis.yaml:4:1: listen: duplicate key, first on line 1; remove one of them"},
	{"duplicate inner key", route("path: /b"), "portcullis.yaml:5:5: routes[0].path: duplicate key, first on line 3; remove one of them"},
	{"no value", "listen:\n" + verify + routes, "portcullis.yaml:1:1: listen: has no value; give it one, or remove the key"},
	{"own tag", "listen: !mine x\n" + verify + routes, "portcullis.yaml:1:9: listen: must be text, but is of a type of its own; put it in quotes"},
	{"recursive alias", verify + "routes: &r [*r]\n", "portcullis.yaml:2:13: routes[0]: must be keys with values, but is a list; its keys are " + routeKeys},

	{"listen a number", "listen: 8080\n" + verify + routes, "portcullis.yaml:1:9: listen: must be text, but is a number; put it in quotes"},
	{"listen without port", "listen: localhost\n" + verify + routes, "portcullis.yaml:1:9: listen: is not an address; write HOST:PORT or :PORT, as in 127.0.0.1:8080"},
	{"listen port", "listen: :65536\n" + verify + routes, "portcullis.yaml:1:9: listen: has no port from 0 to 65535; write HOST:PORT or :PORT, as in 127.0.0.1:8080"},
	{"listen named port", "listen: :http\n" + verify + routes, "portcullis.yaml:1:9: listen: has no port from 0 to 65535; write HOST:PORT or :PORT, as in 127.0.0.1:8080"},
	{"listen star", "listen: '*:80'\n" + verify + routes, "portcullis.yaml:1:9: listen: has * for a host; leave the host away, as in :80"},
	{"listen a list", "listen: [':80']\n" + verify + routes, "portcullis.yaml:1:1: listen: must be text, but is a list; write text"},
	{"listen empty", "listen: ''\n" + verify + routes, "portcullis.yaml:1:9: listen: is empty; give it a value, or remove the key"},
	{"listen of admin", "listen: 127.0.0.1:8081\n" + verify + routes, "portcullis.yaml:1:9: listen: both listeners have the same address; change the port of one of them"},

	{"admin for all", "admin: {listen: ':8081'}\n" + verify + routes, "portcullis.yaml:1:17: admin.listen: others can reach this address, and there is no key; add key_file or key_env beside it, or listen on 127.0.0.1"},
	{"admin nowhere", "admin: {listen: none}\n" + verify + routes, "portcullis.yaml:1:17: admin.listen: is not an address; write off, or HOST:PORT, as in 127.0.0.1:8081"},
	{"admin two keys", "admin:\n  key_file: /run/secrets/gateway\n  key_env: S\n" + verify + routes, "portcullis.yaml:3:12: admin.key_env: stands beside key_file; keep one of them"},
	{"admin key short", "admin: {key_file: short}\n" + verify + routes, "portcullis.yaml:1:19: admin.key_file: refers to a key that is too short; make one of 16 bytes or more"},
	{"admin key in file", "admin: {key: x}\n" + verify + routes, "portcullis.yaml:1:9: admin.key: unknown key; a secret doesn't belong in this file; use key_file or key_env"},

	{"duration without unit", "grace: 10\n" + verify + routes, "portcullis.yaml:1:8: grace: must be a duration, but is a number; write a number with a unit, as in 500ms, 10s, 5m or 24h"},
	{"duration words", "grace: ten seconds\n" + verify + routes, "portcullis.yaml:1:8: grace: is not a duration; write a number with a unit, as in 500ms, 10s, 5m or 24h"},
	{"duration negative", "leeway: -1s\n" + verify + routes, "portcullis.yaml:1:9: leeway: is negative; write a number with a unit, as in 500ms, 10s, 5m or 24h"},
	{"duration long", "max_session: 8760h\n" + verify + routes, "portcullis.yaml:1:14: max_session: is too long; write 720h or less"},
	{"duration zero", "grace: 0s\n" + verify + routes, "portcullis.yaml:1:8: grace: is too short; write 10ms or more"},
	{"size unit", "userinfo_max: 8KB\n" + verify + routes, "portcullis.yaml:1:15: userinfo_max: is not a size; write a number of bytes, as in 512, 64KiB or 1MiB"},
	{"size huge", "userinfo_max: 9223372036854775807GiB\n" + verify + routes, "portcullis.yaml:1:15: userinfo_max: is too large; write a number of bytes, as in 512, 64KiB or 1MiB"},
	{"size over", "userinfo_max: 1MiB\n" + verify + routes, "portcullis.yaml:1:15: userinfo_max: is too large; write 64KiB or less"},
	{"size negative", "userinfo_max: -1\n" + verify + routes, "portcullis.yaml:1:15: userinfo_max: is not a size; write a number of bytes, as in 512, 64KiB or 1MiB"},
	{"size fraction", "userinfo_max: 1.5\n" + verify + routes, "portcullis.yaml:1:15: userinfo_max: must be a size, but is a number; write a number of bytes, as in 512, 64KiB or 1MiB"},
	{"header", "userinfo_header: 'X User'\n" + verify + routes, "portcullis.yaml:1:18: userinfo_header: is not the name of a header; write letters, digits and hyphens"},
	{"header underscore", "userinfo_header: X_User\n" + verify + routes, "portcullis.yaml:1:18: userinfo_header: has an underscore; use hyphens"},
	{"header taken", "userinfo_header: cookie\n" + verify + routes, "portcullis.yaml:1:18: userinfo_header: is a header with a meaning of its own; choose another, as in X-Portcullis-Userinfo"},

	{"tokens not a list", "tokens: bearer\n" + verify + routes, "portcullis.yaml:1:9: tokens: must be a list, but is text; begin each entry with a hyphen"},
	{"tokens empty", "tokens: []\n" + verify + routes, "portcullis.yaml:1:1: tokens: is an empty list; add an entry, or remove the key"},
	{"token unknown", "tokens: [header]\n" + verify + routes, "portcullis.yaml:1:10: tokens[0]: is no place for a token; write bearer, cookie: NAME, subprotocol: NAME or query: NAME"},
	{"token without name", "tokens:\n  - cookie\n" + verify + routes, "portcullis.yaml:2:5: tokens[0]: needs a name; write cookie: NAME"},
	{"token with name", "tokens: [{bearer: x}]\n" + verify + routes, "portcullis.yaml:1:10: tokens[0]: bearer takes no name; write bearer alone"},
	{"token two places", "tokens: [{cookie: a, query: b}]\n" + verify + routes, "portcullis.yaml:1:10: tokens[0]: must be one place for a token, but is none or several; write bearer, cookie: NAME, subprotocol: NAME or query: NAME"},
	{"token cookie name", "tokens: [{cookie: 'a;b'}]\n" + verify + routes, "portcullis.yaml:1:19: tokens[0].cookie: is not the name of a cookie; write letters, digits and any of !#$%&'*+-.^_`|~"},
	{"token protocol name", "tokens: [{subprotocol: 'a b'}]\n" + verify + routes, "portcullis.yaml:1:24: tokens[0].subprotocol: is not the name of a subprotocol; write letters, digits and any of !#$%&'*+-.^_`|~"},
	{"token query name", "tokens: [{query: 'a&b'}]\n" + verify + routes, "portcullis.yaml:1:18: tokens[0].query: is not the name of a query parameter; write letters, digits and any of -._~"},
	{"token query null", "tokens: [{query: }]\n" + verify + routes, "portcullis.yaml:1:18: tokens[0].query: must be text, but is nothing; put it in quotes"},
	{"token twice", "tokens: [bearer, {cookie: a}, bearer]\n" + verify + routes, "portcullis.yaml:1:31: tokens[2]: is the same place as tokens[0]; remove it"},

	{"verify nobody", "verify: {}\n" + routes, "portcullis.yaml:1:1: verify: says nobody to ask; add introspection, jwt or http_check below it"},
	{"verify both", "verify:\n  introspection: {url: https://i/, client_id: x, client_secret_env: S}\n  http_check: {url: https://i/}\n" + routes, "portcullis.yaml:1:1: verify: has both introspection and http_check; keep one of them, or make it a list of token systems"},
	{"verify misspelt", "verify: {http_chek: {url: https://i/}}\n" + routes, "portcullis.yaml:1:1: verify: says nobody to ask; add introspection, jwt or http_check below it\nportcullis.yaml:1:10: verify.http_chek: unknown key; did you mean \"http_check\"?"},
	{"introspection bare", "verify:\n  introspection: {}\n" + routes, "portcullis.yaml:2:3: verify.introspection: has no client secret; add client_secret_file or client_secret_env\nportcullis.yaml:2:3: verify.introspection: does not say where to ask; add url, or issuer to find it by\nportcullis.yaml:2:3: verify.introspection.client_id: is missing; add it"},
	{"plain http", "verify: {introspection: {url: http://id.example.com/, client_id: x, client_secret_env: S}}\n" + routes, "portcullis.yaml:1:31: verify.introspection.url: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"plain http look-alike", "verify: {http_check: {url: http://127.0.0.1.example.com/}}\n" + routes, "portcullis.yaml:1:28: verify.http_check.url: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"url scheme", "verify: {http_check: {url: ftp://x/}}\n" + routes, "portcullis.yaml:1:28: verify.http_check.url: is not a URL with http or https; write it as https://host/path"},
	{"url password", "verify: {http_check: {url: https://me:hunter2@x/}}\n" + routes, "portcullis.yaml:1:28: verify.http_check.url: holds a user name or password; remove it"},
	{"url fragment", "verify: {http_check: {url: https://x/#a}}\n" + routes, "portcullis.yaml:1:28: verify.http_check.url: has a fragment (#); remove it"},
	{"secret twice", "verify: {introspection: {url: https://i/, client_id: x, client_secret_env: S, client_secret_file: s}}\n" + routes, "portcullis.yaml:1:76: verify.introspection.client_secret_env: stands beside client_secret_file; keep one of them"},
	{"secret no file", "verify: {introspection: {url: https://i/, client_id: x, client_secret_file: hunter2}}\n" + routes, "portcullis.yaml:1:77: verify.introspection.client_secret_file: refers to a file that cannot be read: no such file or directory; create it, or correct the name"},
	{"secret empty file", "verify: {introspection: {url: https://i/, client_id: x, client_secret_file: empty}}\n" + routes, "portcullis.yaml:1:77: verify.introspection.client_secret_file: refers to an empty file; write the secret into it"},
	{"secret lines", "verify: {introspection: {url: https://i/, client_id: x, client_secret_file: lines}}\n" + routes, "portcullis.yaml:1:77: verify.introspection.client_secret_file: refers to a file of several lines; write nothing but the secret into it"},
	{"secret no variable", "verify: {introspection: {url: https://i/, client_id: x, client_secret_env: hunter2}}\n" + routes, "portcullis.yaml:1:76: verify.introspection.client_secret_env: names an environment variable that isn't set; set it for the gateway's process"},
	{"secret empty variable", "verify: {introspection: {url: https://i/, client_id: x, client_secret_env: EMPTY}}\n" + routes, "portcullis.yaml:1:76: verify.introspection.client_secret_env: names an environment variable that is empty; give it the secret as its value"},
	{"secret for a name", "verify: {introspection: {url: https://i/, client_id: x, client_secret_env: hunter2!}}\n" + routes, "portcullis.yaml:1:76: verify.introspection.client_secret_env: is not the name of an environment variable; write the name, not the value: letters, digits and _"},
	{"client auth", "verify: {introspection: {url: https://i/, client_id: x, client_secret_env: S, client_auth: Basic}}\n" + routes, "portcullis.yaml:1:92: verify.introspection.client_auth: is none of the words allowed; write basic or post or private_key_jwt or bearer"},
	{"client id a number", "verify: {introspection: {url: https://i/, client_id: 12, client_secret_env: S}}\n" + routes, "portcullis.yaml:1:54: verify.introspection.client_id: must be text, but is a number; put it in quotes"},
	{"check method", "verify: {http_check: {url: https://i/, method: PUT}}\n" + routes, "portcullis.yaml:1:48: verify.http_check.method: is none of the words allowed; write GET or POST"},
	{"check token_in", "verify: {http_check: {url: https://i/, token_in: {query: x}}}\n" + routes, "portcullis.yaml:1:40: verify.http_check.token_in: is no place for a token; write bearer, header: NAME, cookie: NAME, form: NAME or json: NAME"},
	{"check header", "verify: {http_check: {url: https://i/, token_in: {header: Host}}}\n" + routes, "portcullis.yaml:1:59: verify.http_check.token_in.header: is a header that HTTP needs itself; choose another, or write bearer"},
	{"check field", "verify: {http_check: {url: https://i/, fields: {subject: 7}}}\n" + routes, "portcullis.yaml:1:58: verify.http_check.fields.subject: must be text, but is a number; put it in quotes"},
	{"check timeout", "verify: {http_check: {url: https://i/, timeout: 2h}}\n" + routes, "portcullis.yaml:1:49: verify.http_check.timeout: is too long; write 1m or less"},
	{"check yes", "verify: {http_check: {url: http://i/, insecure_plain_http: yes}}\n" + routes, "portcullis.yaml:1:60: verify.http_check.insecure_plain_http: must be true or false, but is text; write true or false, without quotes"},

	{"logout bare", "logout: {}\n" + verify + routes, "portcullis.yaml:1:1: logout.client_id: is missing; add it\nportcullis.yaml:1:1: logout.issuer: is missing; add it"},
	{"logout plain http", "logout: {issuer: http://i, client_id: a}\n" + verify + routes, "portcullis.yaml:1:18: logout.issuer: is http to another machine; use https, or set insecure_plain_http: true if you trust the network between"},
	{"logout issuer query", "logout: {issuer: 'https://i?a', client_id: a}\n" + verify + routes, "portcullis.yaml:1:18: logout.issuer: has a query; remove it"},

	{"routes empty", verify + "routes: []\n", "portcullis.yaml:2:1: routes: is an empty list; add an entry, or remove the key"},
	{"route bare", verify + "routes:\n  - public: true\n", "portcullis.yaml:3:5: routes[0].backend: is missing; add it\nportcullis.yaml:3:5: routes[0].path: is missing; add it"},
	{"route text", verify + "routes: [/]\n", "portcullis.yaml:2:10: routes[0]: must be keys with values, but is text; its keys are " + routeKeys},
}
