package sshserver

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Algorithms are the algorithms that a server offers, by their names in the
// protocol, best first. The client's order decides among those that both know
// (RFC 4253 section 7.1). A nil list means its default, see DefaultAlgorithms.
type Algorithms struct {
	// KeyExchanges agree on the keys of a connection.
	KeyExchanges []string
	// Ciphers encrypt, in both directions.
	Ciphers []string
	// MACs protect against changes, in both directions, where the cipher does
	// not do so itself.
	MACs []string
	// HostKeys sign for the server. Those for which there is no key are not
	// offered.
	HostKeys []string
	// PublicKeys are the algorithms of users' signatures. A certificate counts
	// by the algorithm of its key.
	PublicKeys []string
}

// DefaultAlgorithms are the algorithms that are safe to offer today, as far as
// anybody who audits servers says. SHA-1 is not among them, nor are CBC modes,
// DSA, and finite-field Diffie-Hellman, whose cost to a server makes it a lever
// for those who would overload it. Key exchanges on NIST's curves are left out
// since their constants are not explained, and MACs of the plain text since
// those of the encrypted text are sounder: what has neither Curve25519 nor one of
// these ciphers and MACs is a client from before 2014, or one that has AES in
// counter mode with a plain MAC only, as Dropbear before 2020.
func DefaultAlgorithms() Algorithms {
	isSHA1 := func(name string) bool { return slices.Contains(sha1Names, name) }
	return Algorithms{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519,
			ssh.KeyExchangeCurve25519,
		},
		Ciphers: []string{
			// AES-GCM uses the processor's AES instructions and is about three
			// times as fast here as ChaCha20.
			ssh.CipherAES128GCM,
			ssh.CipherAES256GCM,
			ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR,
			ssh.CipherAES192CTR,
			ssh.CipherAES256CTR,
		},
		MACs: []string{
			ssh.HMACSHA256ETM,
			ssh.HMACSHA512ETM,
		},
		HostKeys: []string{
			ssh.KeyAlgoED25519,
			ssh.KeyAlgoECDSA256,
			ssh.KeyAlgoECDSA384,
			ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA512,
			ssh.KeyAlgoRSASHA256,
			ssh.CertAlgoED25519v01,
			ssh.CertAlgoECDSA256v01,
			ssh.CertAlgoECDSA384v01,
			ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01,
			ssh.CertAlgoRSASHA256v01,
		},
		PublicKeys: slices.DeleteFunc(ssh.SupportedAlgorithms().PublicKeyAuths, isSHA1),
	}
}

// sha1Names are the algorithms that the library knows and that rest on SHA-1.
var sha1Names = []string{
	ssh.InsecureKeyExchangeDH1SHA1,
	ssh.InsecureKeyExchangeDH14SHA1,
	ssh.InsecureKeyExchangeDHGEXSHA1,
	ssh.HMACSHA1,
	ssh.InsecureHMACSHA196,
	ssh.KeyAlgoRSA,
	ssh.CertAlgoRSAv01,
	keyTypeDSA,
	"ssh-dss-cert-v01@openssh.com",
}

// keyTypeDSA is the type of DSA keys, which the library has deprecated.
const keyTypeDSA = "ssh-dss"

func (a Algorithms) withDefaults() Algorithms {
	def := DefaultAlgorithms()
	for _, list := range []struct{ value, def *[]string }{
		{&a.KeyExchanges, &def.KeyExchanges},
		{&a.Ciphers, &def.Ciphers},
		{&a.MACs, &def.MACs},
		{&a.HostKeys, &def.HostKeys},
		{&a.PublicKeys, &def.PublicKeys},
	} {
		if *list.value == nil {
			*list.value = *list.def
		}
	}
	return a
}

// Validate refuses empty lists, names that this server does not know, and names
// given twice. A name that is known to be weak is accepted: whoever writes it
// has an old client to serve.
func (a Algorithms) Validate() error {
	safe, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, list := range []struct {
		what  string
		names []string
		known []string
	}{
		{"key exchange", a.KeyExchanges, slices.Concat(safe.KeyExchanges, weak.KeyExchanges)},
		{"cipher", a.Ciphers, slices.Concat(safe.Ciphers, weak.Ciphers)},
		{"MAC", a.MACs, slices.Concat(safe.MACs, weak.MACs)},
		{"host key algorithm", a.HostKeys, slices.Concat(safe.HostKeys, weak.HostKeys)},
		{"public key algorithm", a.PublicKeys, slices.Concat(safe.PublicKeyAuths, weak.PublicKeyAuths)},
	} {
		if list.names != nil && len(list.names) == 0 {
			return fmt.Errorf("the list of %ss is empty; leave it out for the default", list.what)
		}
		for i, name := range list.names {
			if !slices.Contains(list.known, name) {
				return fmt.Errorf("unknown %s %q; did you mean %q?", list.what, name, nearest(name, list.known))
			}
			if slices.Contains(list.names[:i], name) {
				return fmt.Errorf("%s %q is listed twice", list.what, name)
			}
		}
	}
	return nil
}

// nearest returns the one of names that takes the fewest edits to get to, or
// that name is the beginning of: many lack their @openssh.com.
func nearest(name string, names []string) string {
	if i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, name) }); i >= 0 && name != "" {
		return names[i]
	}
	return slices.MinFunc(names, func(a, b string) int {
		return editDistance(name, a) - editDistance(name, b)
	})
}

// editDistance counts the insertions, deletions and replacements of bytes that
// turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
