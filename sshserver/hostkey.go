package sshserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the least size of an RSA host key.
const minRSABits = 2048

// HostKeyKind is a kind of key that GenerateHostKey can make.
type HostKeyKind string

const (
	// HostKeyED25519 is the one to choose.
	HostKeyED25519 HostKeyKind = "ed25519"
	// HostKeyECDSA is a key on the curve P-256.
	HostKeyECDSA HostKeyKind = "ecdsa"
	// HostKeyRSA is a key of 3072 bits, for old clients.
	HostKeyRSA HostKeyKind = "rsa"
)

// GenerateHostKey makes a new private key, in the PEM form of OpenSSH.
func GenerateHostKey(kind HostKeyKind) ([]byte, error) {
	var key crypto.PrivateKey
	var err error
	switch kind {
	case HostKeyED25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case HostKeyECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case HostKeyRSA:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return nil, fmt.Errorf("unknown kind of host key %q: use %q, %q or %q",
			kind, HostKeyED25519, HostKeyECDSA, HostKeyRSA)
	}
	if err != nil {
		return nil, fmt.Errorf("generate a host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, fmt.Errorf("generate a host key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// ParseHostKey reads a private key in any of the PEM forms that OpenSSH knows,
// and refuses what is too weak or locked.
func ParseHostKey(text []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, errors.New("the host key is protected by a passphrase, which a server can't type; " +
			"remove it with ssh-keygen -p")
	case err != nil:
		return nil, fmt.Errorf("not a private key: %w", err)
	}
	return checkHostKey(key)
}

// LoadHostKeys reads private keys from files. A file that others than its owner
// and group can read is refused.
func LoadHostKeys(paths ...string) ([]ssh.Signer, error) {
	var keys []ssh.Signer
	for _, path := range paths {
		key, err := loadHostKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func loadHostKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	// Windows has no such modes.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o007 != 0 {
		return nil, fmt.Errorf("host key %s: everybody can get at it (mode %04o); make it private with chmod 600 %[1]s", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	key, err := ParseHostKey(text)
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", path, err)
	}
	return key, nil
}

// LoadOrCreateHostKey reads the private key in the file path, and makes an
// ed25519 key there if the file does not exist: mode 0600, in a directory that
// is made with mode 0700 if need be. Several processes may call it at the same
// time; all get the same key.
func LoadOrCreateHostKey(path string) (ssh.Signer, error) {
	key, err := loadHostKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createHostKey(path); err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	return loadHostKey(path)
}

// createHostKey writes a new key to path, unless somebody else has done that.
func createHostKey(path string) error {
	text, err := GenerateHostKey(HostKeyED25519)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// The key is complete before it has its name, and a link, unlike a rename,
	// does not replace what is there: no process sees half a key, or one that
	// is about to be replaced. CreateTemp uses O_EXCL and mode 0600.
	file, err := os.CreateTemp(dir, ".hostkey-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// hostKeys checks the keys of a Server, restricts them to algorithms, and
// brings them into their order.
func hostKeys(keys []ssh.Signer, algorithms []string) ([]ssh.Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("the Server has no HostKeys; LoadOrCreateHostKey makes one")
	}
	type ranked struct {
		key  ssh.Signer
		rank int
	}
	var chosen []ranked
	types := make(map[string]bool)
	for _, key := range keys {
		key, err := checkHostKey(key)
		if err != nil {
			return nil, err
		}
		keyType := key.PublicKey().Type()
		if types[keyType] {
			return nil, fmt.Errorf("two host keys are of the type %s; a client can be shown only one", keyType)
		}
		types[keyType] = true

		usable := slices.DeleteFunc(signatureAlgorithms(keyType), func(a string) bool {
			return !slices.Contains(algorithms, a)
		})
		if len(usable) == 0 {
			continue
		}
		if key, err = restrictSigner(key, usable); err != nil {
			return nil, fmt.Errorf("host key of type %s: %w", keyType, err)
		}
		chosen = append(chosen, ranked{key, slices.Index(algorithms, usable[0])})
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("none of the host keys can be used with the host key algorithms %s",
			strings.Join(algorithms, ", "))
	}
	slices.SortStableFunc(chosen, func(a, b ranked) int { return a.rank - b.rank })
	result := make([]ssh.Signer, len(chosen))
	for i, c := range chosen {
		result[i] = c.key
	}
	return result, nil
}

// checkHostKey refuses keys that are too weak.
func checkHostKey(key ssh.Signer) (ssh.Signer, error) {
	public := key.PublicKey()
	if cert, ok := public.(*ssh.Certificate); ok {
		public = cert.Key
	}
	if public.Type() == keyTypeDSA {
		return nil, errors.New("DSA host keys are not supported: they are weak, and clients no longer take them")
	}
	if public, ok := public.(ssh.CryptoPublicKey); ok {
		if public, ok := public.CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("the RSA host key has %d bits; clients demand %d or more", public.N.BitLen(), minRSABits)
		}
	}
	return key, nil
}

// signatureAlgorithms are the algorithms that a key of the given type can sign
// with, by their names in Algorithms.HostKeys.
func signatureAlgorithms(keyType string) []string {
	switch keyType {
	case ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	case ssh.CertAlgoRSAv01:
		return []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSAv01}
	default:
		return []string{keyType}
	}
}

// restrictSigner makes an RSA key sign with the given algorithms only. Other
// keys have one algorithm anyway.
func restrictSigner(key ssh.Signer, algorithms []string) (ssh.Signer, error) {
	// The library wants the names of signatures, without the certificate's.
	plain := map[string]string{
		ssh.CertAlgoRSASHA512v01: ssh.KeyAlgoRSASHA512,
		ssh.CertAlgoRSASHA256v01: ssh.KeyAlgoRSASHA256,
		ssh.CertAlgoRSAv01:       ssh.KeyAlgoRSA,
	}
	keyType := key.PublicKey().Type()
	if keyType != ssh.KeyAlgoRSA && keyType != ssh.CertAlgoRSAv01 {
		return key, nil
	}
	signer, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("this signer can only sign with SHA-1")
	}
	var names []string
	for _, a := range algorithms {
		if p, ok := plain[a]; ok {
			a = p
		}
		names = append(names, a)
	}
	return ssh.NewSignerWithAlgorithms(signer, names)
}
