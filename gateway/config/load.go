package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// The most that is read of a file.
const (
	maxFile   = 1 << 20
	maxSecret = 64 << 10
)

// Load reads the configuration file and what it refers to: files, whose names
// are relative to the configuration file's folder, and environment variables,
// which env looks up as [os.LookupEnv] does. nil: os.LookupEnv. An error is of
// type [Errors].
func Load(file string, env func(string) (string, bool)) (*Config, error) {
	if env == nil {
		env = os.LookupEnv
	}
	return load(file, outside{read: readFile, env: env, folder: isFolder})
}

// outside is what a configuration refers to.
type outside struct {
	read func(name string, limit int64) ([]byte, error)
	env  func(name string) (string, bool)

	folder func(name string) error // nil: name is one
}

func load(file string, out outside) (*Config, error) {
	text, err := out.read(file, maxFile)
	if err != nil {
		return nil, Errors{{File: file, Problem: "cannot be read: " + reason(err)}}
	}
	return parse(file, text, out)
}

// parse makes a Config of the text of a file. Each of its errors has a line.
func parse(file string, text []byte, out outside) (*Config, error) {
	d := &decoder{file: file, seen: map[string]position{}, failed: map[string]bool{}}
	c := new(Config)
	if root := d.document(text); root != nil {
		d.config(root, c)
		k := &checker{decoder: d, outside: out, dir: filepath.Dir(file)}
		k.config(c)
	}
	if len(d.errs) > 0 {
		d.errs.sort()
		return nil, d.errs
	}
	return c, nil
}

func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errors.New("larger than " + strconv.FormatInt(limit, 10) + " bytes")
	}
	return text, err
}

func isFolder(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	return err
}

// reason returns what the operating system says, without the file's name: it
// may be a secret that somebody wrote in the wrong place.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
