package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	keyAge     = 24 * time.Hour // after which another key seals
	keyOverlap = 2 * keyAge     // after which a key opens nothing any more
	keyReread  = time.Second    // how often a folder is looked at for an unknown key
)

// ticketKeys are the keys that tickets are sealed with: AES-256 in GCM with
// random nonces (NIST SP 800-38D, section 8.2.2). They are made when needed, in
// memory, or in a folder that other gateways may share.
type ticketKeys struct {
	dir string // "": in memory

	mu   sync.Mutex  // guards what follows
	keys []ticketKey // the newest first
	read time.Time   // when the folder was
}

type ticketKey struct {
	id   [8]byte
	made time.Time
	aead cipher.AEAD
}

func newTicketKeys(dir string) (*ticketKeys, error) {
	k := &ticketKeys{dir: dir}
	if dir == "" {
		return k, nil
	}
	err := k.load(time.Now()) // what is wrong with the folder should be said at once
	k.read = time.Time{}
	return k, err
}

// seal encrypts. The result is base64url.
func (k *ticketKeys) seal(plain []byte, now time.Time) (string, error) {
	key, err := k.current(now)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(key.aead.Seal(key.id[:], nil, plain, key.id[:])), nil //nolint:gosec // the nonce is made inside, at random
}

// open decrypts what seal has encrypted, here or at another gateway.
func (k *ticketKeys) open(sealed string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(raw) < 8 {
		return nil, errBadTicket
	}
	key, ok := k.find([8]byte(raw))
	if !ok {
		return nil, errBadTicket
	}
	return key.aead.Open(nil, nil, raw[8:], raw[:8])
}

// find returns the key with the id, which another gateway may have made a
// moment ago.
func (k *ticketKeys) find(id [8]byte) (ticketKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	is := func(key ticketKey) bool { return key.id == id }
	i := slices.IndexFunc(k.keys, is)
	if i < 0 && k.dir != "" && time.Since(k.read) > keyReread {
		if k.load(time.Now()) == nil {
			i = slices.IndexFunc(k.keys, is)
		}
	}
	if i < 0 {
		return ticketKey{}, false
	}
	return k.keys[i], true
}

// current returns the key that seals, and makes one where it is time.
func (k *ticketKeys) current(now time.Time) (ticketKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fresh := func() bool { return len(k.keys) > 0 && now.Sub(k.keys[0].made) < keyAge }
	if fresh() {
		return k.keys[0], nil
	}
	if k.dir != "" {
		if err := k.load(now); err != nil {
			return ticketKey{}, err
		}
		if fresh() {
			return k.keys[0], nil
		}
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	key, err := newTicketKey(secret, now)
	if err != nil {
		return ticketKey{}, err
	}
	if k.dir != "" {
		name := filepath.Join(k.dir, fmt.Sprintf("ticket-%x.key", key.id))
		if err := writeWhole(name, []byte(hex.EncodeToString(secret)+"\n")); err != nil {
			return ticketKey{}, fmt.Errorf("gateway: tickets.keys_dir: %w", err)
		}
	}
	k.keys = slices.Insert(k.keys, 0, key)
	k.forget(now)
	return key, nil
}

// load reads the folder. The mutex is held.
func (k *ticketKeys) load(now time.Time) error {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("gateway: tickets.keys_dir: %w", err)
	}
	var keys []ticketKey
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "ticket-") || !strings.HasSuffix(e.Name(), ".key") {
			continue
		}
		key, err := readTicketKey(filepath.Join(k.dir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // another gateway has removed it
			continue
		case err != nil:
			return fmt.Errorf("gateway: tickets.keys_dir: %s: %w", e.Name(), err)
		case now.Sub(key.made) > keyOverlap:
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b ticketKey) int { return b.made.Compare(a.made) })
	k.keys, k.read = keys, now
	return nil
}

// forget drops keys whose time is over, from the folder too. The mutex is held.
func (k *ticketKeys) forget(now time.Time) {
	over := func(made time.Time) bool { return now.Sub(made) > keyOverlap }
	k.keys = slices.DeleteFunc(k.keys, func(key ticketKey) bool { return over(key.made) })
	if k.dir == "" {
		return
	}
	entries, _ := filepath.Glob(filepath.Join(k.dir, "ticket-*.key"))
	for _, name := range entries {
		if info, err := os.Stat(name); err == nil && over(info.ModTime()) {
			_ = os.Remove(name) // next time, then
		}
	}
}

func readTicketKey(name string) (ticketKey, error) {
	info, err := os.Stat(name)
	if err != nil {
		return ticketKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return ticketKey{}, errors.New("others can read it: chmod 600 it, or remove it")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return ticketKey{}, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != 32 {
		return ticketKey{}, errors.New("not a key: 64 hexadecimal digits")
	}
	return newTicketKey(secret, info.ModTime())
}

func newTicketKey(secret []byte, made time.Time) (ticketKey, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return ticketKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return ticketKey{}, err
	}
	sum := sha256.Sum256(append([]byte("ticket key id:"), secret...))
	return ticketKey{id: [8]byte(sum[:8]), made: made, aead: aead}, nil
}

// writeWhole writes a file that nobody sees before it is complete.
func writeWhole(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone if all went well
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
