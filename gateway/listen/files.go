package listen

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settled is how long nothing may have changed before files are read again:
	// a certificate and its key are two files.
	settled = 200 * time.Millisecond
	// look is how often they are read even so. Network file systems tell nobody of
	// a change, and a folder that is replaced is watched no more.
	look = time.Minute
)

// A Certificate is a pair of PEM files.
type Certificate struct {
	// CertFile has the certificate, followed by those between it and the root.
	CertFile string

	// KeyFile has its private key.
	KeyFile string
}

// load reads both. Its errors name the file, and hold nothing that is in it.
func (c *Certificate) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.CertFile, c.KeyFile, err)
	}
	return &cert, nil
}

// files are certificates that are read again when they change.
type files struct {
	list []Certificate
	log  *slog.Logger
	now  atomic.Pointer[[]*tls.Certificate] // what is in them, in the same order

	// What was logged last about each of them.
	said []string
}

// loadFiles reads all of them.
func loadFiles(list []Certificate, log *slog.Logger) (*files, error) {
	f := &files{list: list, log: log, said: make([]string, len(list))}
	loaded := make([]*tls.Certificate, len(list))
	for i := range list {
		var err error
		if loaded[i], err = list[i].load(); err != nil {
			return nil, err
		}
		f.warn(i, loaded[i])
	}
	f.now.Store(&loaded)
	return f, nil
}

// warn logs a certificate that nobody will accept now.
func (f *files) warn(i int, c *tls.Certificate) {
	now, says := time.Now(), ""
	switch {
	case now.After(c.Leaf.NotAfter):
		says = "certificate has expired"
	case now.Before(c.Leaf.NotBefore):
		says = "certificate is not valid yet"
	}
	if f.said[i] != says && says != "" {
		f.log.Warn(says, "file", f.list[i].CertFile, "not_before", c.Leaf.NotBefore, "not_after", c.Leaf.NotAfter)
	}
	f.said[i] = says
}

// again reads all of them. What can't be used leaves the certificate as it was.
func (f *files) again() {
	loaded := slices.Clone(*f.now.Load())
	for i := range f.list {
		c, err := f.list[i].load()
		if err != nil {
			if says := err.Error(); f.said[i] != says {
				f.said[i] = says
				f.log.Error("certificate not reloaded, the old one stays", "err", err)
			}
			continue
		}
		if !slices.EqualFunc(c.Certificate, loaded[i].Certificate, slices.Equal) {
			f.log.Info("certificate reloaded", "file", f.list[i].CertFile, "not_after", c.Leaf.NotAfter)
		}
		loaded[i] = c
		f.warn(i, c)
	}
	f.now.Store(&loaded)
}

// follow reads them again when they change, until ctx is done. It watches their
// folders: files that are replaced, and links that are turned, are other files
// than those that were there.
func (f *files) follow(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("certificates are looked at once a minute only", "err", err)
		w = new(fsnotify.Watcher) // tells nothing
	} else {
		defer func() { _ = w.Close() }()
		f.watch(w)
	}
	every := time.NewTicker(look)
	defer every.Stop()
	settle := time.NewTimer(0)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Events:
			settle.Reset(settled)
		case <-w.Errors: //nolint:errcheck // whatever it is: events were lost
			settle.Reset(settled)
		case <-every.C: // whatever else goes on in those folders
			f.again()
		case <-settle.C:
			f.again()
		}
	}
}

// watch watches the folders of all files. What can't be watched is looked at.
func (f *files) watch(w *fsnotify.Watcher) {
	for _, c := range f.list {
		for _, file := range []string{c.CertFile, c.KeyFile} {
			if err := w.Add(filepath.Dir(file)); err != nil {
				f.log.Warn("certificate is looked at once a minute only", "file", file, "err", err)
			}
		}
	}
}
