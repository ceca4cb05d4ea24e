package config_test

// badRoutes are mistakes in a route: the keys, from line 5 on, and the error
// behind the file's name.
var badRoutes = []struct{ name, keys, want string }{
	{"host scheme", "host: https://a.example.com", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"host port", "host: a.example.com:80", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"host star", "host: '*'", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"host inner star", "host: a.*.example.com", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"host script", "host: bücher.example", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"host final dot", "host: example.com.", "5:11: routes[0].host: is not a host; write a host name, as in app.example.com, or *.example.com, without scheme and port"},
	{"public as text", "public: 'true'", "5:13: routes[0].public: must be true or false, but is text; write true or false, without quotes"},
	{"public with rule", "public: true\nallow: 'true'", "6:12: routes[0].allow: has no meaning on a public route; remove it, or remove public"},
	{"public with tokens", "public: true\ntokens: [bearer]", "6:5: routes[0].tokens: has no meaning on a public route; remove it, or remove public"},
	{"public with login", "public: true\nlogin: /login", "6:12: routes[0].login: has no meaning on a public route; remove it, or remove public"},
	{"tokens twice", "tokens: [{cookie: a}, {cookie: a}]", "5:27: routes[0].tokens[1]: is the same place as routes[0].tokens[0]; remove it"},
	{"rule name", `allow: '"chat" in identity.scope'`, "5:31: routes[0].allow: undefined field 'scope'; identity has claims, client_id, expires_at, issued_at, issuer, scopes, session_id, subject, token_id; everything else is in identity.claims"},
	{"rule type", "allow: identity.subject", "5:12: routes[0].allow: must be true or false, but is of type string; compare it with something"},
	{"rule line", "allow: |\n  true &&\n  request.url == 'x'", "7: routes[0].allow: undefined field 'url'; request has headers, host, method, path, query"},
	{"rule a bool", "allow: true", "5:12: routes[0].allow: must be an expression, but is true or false; put it in single quotes"},
	{"rule empty", "allow: ''", "5:13: routes[0].allow: empty expression; write true to allow every valid token"},
	{"origin path", "origins: [https://a.example.com/x]", "5:15: routes[0].origins[0]: is more than an origin; write the scheme, the host and perhaps the port, nothing else"},
	{"origin slash", "origins: [https://a.example.com/]", "5:15: routes[0].origins[0]: ends with a slash; remove it"},
	{"origin wildcard", "origins: ['https://*.example.com']", "5:15: routes[0].origins[0]: holds a *; list each origin"},
	{"origin null", "origins: ['null']", "5:15: routes[0].origins[0]: null is every sandboxed page's origin; list the real one"},
	{"origin host only", "origins: [a.example.com]", "5:15: routes[0].origins[0]: is not an origin; write it as browsers send it, as in https://app.example.com"},
	{"origin capital", "origins: [https://A.example.com]", "5:15: routes[0].origins[0]: has capital letters; write it in lower case"},
	{"origin port", "origins: ['https://a.example.com:443']", "5:15: routes[0].origins[0]: names the scheme's own port; remove it: browsers do not send it"},
	{"origin socket", "origins: [wss://a.example.com]", "5:15: routes[0].origins[0]: is a URL with wss; write https: it is the page's origin, not the socket's"},
	{"login relative", "login: login", "5:12: routes[0].login: is not the URL of a page; write an http or https URL, or a path, as in https://login.example.com/?return={url}"},
	{"login other host", "login: //evil.example.com", "5:12: routes[0].login: is not the URL of a page; write an http or https URL, or a path, as in https://login.example.com/?return={url}"},
	{"login script", "login: 'javascript:alert(1)'", "5:12: routes[0].login: is not the URL of a page; write an http or https URL, or a path, as in https://login.example.com/?return={url}"},
	{"login mark in path", "login: /{url}", "5:12: routes[0].login: has {url} before its query; put it behind a ?, as in /login?return={url}"},
	{"login other mark", "login: '/login?to={uri}'", "5:12: routes[0].login: has braces around something else than url; write {url}"},
	{"ca missing", "backend_ca_file: nowhere.pem", "5:22: routes[0].backend_ca_file: has no meaning for an http backend; remove it, or write https"},
}

// badBackends are backends that are refused.
var badBackends = []struct{ backend, want string }{
	{"127.0.0.1:9000", "is not a URL; write it as https://host/path"},
	{"localhost:9000", "is not a URL with http or https; write it as https://host/path"},
	{"ws://b:9000", "is a URL with ws; write http: sockets begin as HTTP"},
	{"wss://b:9000", "is a URL with wss; write https: sockets begin as HTTP"},
	{"http://b:9000/", "has a path; remove the final slash"},
	{"http://b:9000/api", "has a path; remove it: the path of the request stays as it is"},
	{"http://b:9000?x", "has a query; remove it"},
	{"http://b:9000?", "has a query; remove it"},
	{"http://me@b:9000", "holds a user name or password; remove it"},
	{"http://:9000", "has no host; write it as https://host/path"},
	{"http://b:0", "has no valid port; write a number from 1 to 65535, or leave the colon away"},
	{"http://b:70000", "has no valid port; write a number from 1 to 65535, or leave the colon away"},
	{"http://b_c d", "is not a URL; write it as https://host/path"},
	{"http://-b", "has no valid host; write it as https://host/path"},
	{"http://ex%61mple", "is not a URL; write it as https://host/path"},
}

// badPaths are paths that are refused.
var badPaths = []struct{ path, want string }{
	{"api", "doesn't begin with a slash; write /api"},
	{"/a//b", "has an empty segment, . or ..; write it without"},
	{"//", "has an empty segment, . or ..; write it without"},
	{"/a/../b", "has an empty segment, . or ..; write it without"},
	{"/a/..", "has an empty segment, . or ..; write it without"},
	{"/./a", "has an empty segment, . or ..; write it without"},
	{"/a/*", "holds a *; write the beginning of the path; everything below it belongs to the route"},
	{"/a%2fb", "is escaped; write it as it reads when decoded"},
	{"/a?b", "holds a character that paths here don't have (?, #, ;, backslash, space); remove it"},
	{"/a;b", "holds a character that paths here don't have (?, #, ;, backslash, space); remove it"},
	{`/a\b`, "holds a character that paths here don't have (?, #, ;, backslash, space); remove it"},
	{"/.portcullis", "belongs to the gateway's own endpoints; choose another"},
	{"/.portcullis/", "belongs to the gateway's own endpoints; choose another"},
	{"/.portcullis/x", "belongs to the gateway's own endpoints; choose another"},
}
