package config

import (
	"path/filepath"
	"strings"

	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// privateKey reads a client's key.
func (k *checker) privateKey(key, name string) Secret {
	text, ok := k.file(key, name, maxSecret)
	if !ok {
		return Secret{}
	}
	if _, err := introspect.ParseClientKey([]byte(text)); err != nil {
		k.fail(key, "refers to a file without a usable key: "+strings.TrimPrefix(err.Error(), "introspect: "), "write a private key into it, in PEM (-----BEGIN PRIVATE KEY-----) or as a JWK: RSA, P-256 or Ed25519")
		return Secret{}
	}
	return NewSecret(text)
}

// secret reads what NAME_file or NAME_env below key refers to.
func (k *checker) secret(key, name, file, env string) Secret {
	fileKey, envKey := join(key, name+"_file"), join(key, name+"_env")
	switch {
	case k.has(fileKey) && k.has(envKey):
		k.fail(envKey, "stands beside "+name+"_file", "keep one of them")
	case file != "":
		text, ok := k.file(fileKey, file, maxSecret)
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		switch {
		case ok && text == "":
			k.fail(fileKey, "refers to an empty file", "write the secret into it")
		case strings.ContainsAny(text, "\r\n\x00"):
			k.fail(fileKey, "refers to a file of several lines", "write nothing but the secret into it")
		default:
			return NewSecret(text)
		}
	case env != "":
		text, ok := k.outside.env(env)
		switch {
		case !ok:
			k.fail(envKey, "names an environment variable that isn't set", "set it for the gateway's process")
		case text == "":
			k.fail(envKey, "names an environment variable that is empty", "give it the secret as its value")
		default:
			return NewSecret(text)
		}
	}
	return Secret{}
}

// file reads a file that the configuration refers to.
func (k *checker) file(key, name string, limit int64) (string, bool) {
	text, err := k.outside.read(k.path(name), limit)
	if err != nil {
		k.fail(key, "refers to a file that cannot be read: "+reason(err), "create it, or correct the name")
		return "", false
	}
	return string(text), true
}

// folder returns the path of a folder that the configuration refers to.
func (k *checker) folder(key, name string) string {
	name = k.path(name)
	if err := k.outside.folder(name); err != nil {
		k.fail(key, "refers to a folder that cannot be used: "+reason(err), "create it, or correct the name")
	}
	return name
}

// path returns a name that is relative to the configuration file's folder.
func (k *checker) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(k.dir, name)
}
