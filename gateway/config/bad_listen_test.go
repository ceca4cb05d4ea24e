package config_test

// badListen are mistakes in what the listener is made of: the keys, from line 3
// on, and the error behind the file's name.
var badListen = []struct{ name, keys, want string }{
	{"no certificates", "tls: {min_version: '1.3'}", "3:1: tls: has no certificates; add certificates, or acme"},
	{"version", "tls: {min_version: '1.1', certificates: {cert_file: tls.crt, key_file: tls.key}}", "3:20: tls.min_version: is none of the words allowed; write 1.2 or 1.3"},
	{"no key", "tls: {certificates: {cert_file: tls.crt}}", "3:7: tls.certificates.key_file: is missing; add it"},
	{"no file", "tls: {certificates: {cert_file: nowhere, key_file: tls.key}}", "3:33: tls.certificates.cert_file: refers to a file that cannot be read: no such file or directory; create it, or correct the name"},
	{"wrong key", "tls: {certificates: {cert_file: tls.crt, key_file: partner.pem}}", "3:7: tls.certificates: is no certificate with its key: private key type does not match public key type; both must be in PEM, and belong together"},
	{"second", "tls:\n  certificates:\n    - {cert_file: tls.crt, key_file: tls.key}\n    - {cert_file: not.pem, key_file: tls.key}", "6:7: tls.certificates[1]: is no certificate with its key: failed to find any PEM data in certificate input; both must be in PEM, and belong together"},
	{"acme alone", "tls: {acme: {domains: app.example.com}}", "3:7: tls.acme.directory: is missing; add it\nportcullis.yaml:3:7: tls.acme.storage: is missing; add it"},
	{"acme domain", "tls: {acme: {domains: ['*.example.com', 10.0.0.1], directory: 'https://ca.example.com/directory', storage: acme}}", "3:24: tls.acme.domains[0]: is not a host name; write one, as in app.example.com\nportcullis.yaml:3:41: tls.acme.domains[1]: is not a host name; write one, as in app.example.com"},
	{"acme in the clear", "tls: {acme: {domains: app.example.com, directory: 'http://ca.example.com/directory', storage: acme}}", "3:51: tls.acme.directory: is not https; write the directory URL of the certificate authority"},
	{"acme ca", "tls: {acme: {domains: app.example.com, directory: 'https://ca.example.com/directory', storage: acme, ca_file: not.pem}}", "3:111: tls.acme.ca_file: refers to a file without certificates; it must be in PEM: -----BEGIN CERTIFICATE-----"},
	{"proxy", "proxy_protocol: lb.example.com", "3:17: proxy_protocol: is not a network; write an address, or a network as in 10.0.0.0/8 or fd00::/8"},
	{"proxy bits", "trusted_proxies: [10.0.0.1/8]", "3:19: trusted_proxies[0]: has bits behind its length; write 10.0.0.0/8"},
	{"proxy mapped", "trusted_proxies: ['::ffff:10.0.0.0/104']", "3:19: trusted_proxies[0]: is an IPv4 network in IPv6 notation; write it as IPv4"},
	{"proxy zone", "trusted_proxies: 'fe80::1%eth0'", "3:18: trusted_proxies: is not a network; write an address, or a network as in 10.0.0.0/8 or fd00::/8"},
	{"header time", "limits: {header_time: 0s}", "3:23: limits.header_time: is too short; write 100ms or more"},
	{"header size", "limits: {header_size: 1KiB}", "3:23: limits.header_size: is too small; write 4KiB or more"},
	{"limit of messages", "limits: {message_size: 1KiB}", "3:10: limits.message_size: unknown key; the keys here are body_time, connections, connections_per_address, handshakes_per_address, handshakes_per_second, handshakes_per_user, header_size, header_time, requests_per_address, requests_per_second, requests_per_user, sockets, sockets_per_address, sockets_per_user"},
	{"access log", "access_log: all", "3:13: access_log: is not a whole number; write a number, as in 10"},
}
