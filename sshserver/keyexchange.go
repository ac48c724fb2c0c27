package sshserver

import (
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// A client may ask for new keys at any time (RFC 4253 section 9), which costs the
// server more than the client. So a connection has exchangeBurst key exchanges of
// its own, and gets another one every exchangeInterval. Whoever needs more than that
// shares sharedExchanges a second with all others who do, and waits for its turn;
// with it waits the whole connection. So those who ask all the time slow down one
// another only, and a few percent of one processor is what they get together.
//
// Keys are due after 1 GiB (RFC 4253 section 9), or an hour.
const (
	exchangeInterval = 10 * time.Second
	exchangeBurst    = 64
	sharedExchanges  = 100
)

// pacedKey is a host key for one connection. The library tells nobody of key
// exchanges, but it signs once in each.
type pacedKey struct {
	ssh.Signer
	algorithms []string
	wait       func() error
}

var _ ssh.MultiAlgorithmSigner = pacedKey{}

// paced returns a host key for the key exchanges of this connection.
func (c *connection) paced(key ssh.Signer) ssh.Signer {
	p := pacedKey{Signer: key, wait: c.waitForExchange}
	if several, ok := key.(ssh.MultiAlgorithmSigner); ok {
		p.algorithms = several.Algorithms()
	} else if cert, ok := key.PublicKey().(*ssh.Certificate); ok {
		p.algorithms = []string{cert.Key.Type()}
	} else {
		p.algorithms = []string{key.PublicKey().Type()}
	}
	return p
}

func (p pacedKey) Algorithms() []string { return p.algorithms }

func (p pacedKey) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	if err := p.wait(); err != nil {
		return nil, err
	}
	return p.Signer.Sign(random, data)
}

func (p pacedKey) SignWithAlgorithm(random io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if err := p.wait(); err != nil {
		return nil, err
	}
	if signer, ok := p.Signer.(ssh.AlgorithmSigner); ok {
		return signer.SignWithAlgorithm(random, data, algorithm)
	}
	return p.Signer.Sign(random, data)
}

// waitForExchange waits until the connection may have another key exchange.
func (c *connection) waitForExchange() error {
	if c.exchanges.Allow() {
		return nil
	}
	delay := c.settings.exchanges.Reserve().Delay()
	if delay == 0 {
		return nil
	}
	c.tally.refused(limitKeyExchanges)
	c.slowed.Do(func() { c.log.Info("the client asks for new keys too often; from now on it has to wait") })
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return errors.New("the connection ends")
	}
}

func newExchanges() *rate.Limiter {
	return rate.NewLimiter(rate.Every(exchangeInterval), exchangeBurst)
}

func newSharedExchanges() *rate.Limiter { return rate.NewLimiter(sharedExchanges, 1) }
