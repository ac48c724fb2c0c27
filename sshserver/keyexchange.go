package sshserver

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"
)

// A client may ask for new keys at any time (RFC 4253 section 9), which costs the
// server far more than the client. So a connection has exchangeBurst key
// exchanges at hand, and gets one more each second; others wait, and with them
// the whole connection. Keys are due after 1 GiB (RFC 4344 section 3.2 allows
// 64 GiB and more for today's ciphers), which is not faster than that.
const (
	exchangeInterval = time.Second
	exchangeBurst    = 16
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
	reservation := c.exchanges.Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	c.tally.refused(limitKeyExchanges)
	c.log.Info("the client asks for new keys too often; it has to wait", "delay", delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ctx.Done():
		return errors.Join(errors.New("the connection ends"), context.Cause(c.ctx))
	}
}

func newExchanges() *rate.Limiter {
	return rate.NewLimiter(rate.Every(exchangeInterval), exchangeBurst)
}
