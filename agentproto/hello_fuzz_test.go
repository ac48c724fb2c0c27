package agentproto

import (
	"bytes"
	"testing"
)

// Whatever speaks first where an agent should, it is one or its words are told,
// and not too many of them.
func FuzzHello(f *testing.F) {
	f.Add([]byte("\x00BERTH\x00\x01\x00\x01"))
	f.Add([]byte("OCI runtime exec failed: exec failed: no such file or directory"))
	f.Add([]byte("\x00BERTH\x00\x02\x00\x01"))
	f.Add([]byte("\x00BER"))
	f.Fuzz(func(t *testing.T, said []byte) {
		h, err := readHello(bytes.NewReader(said))
		if err == nil {
			var b bytes.Buffer
			if err := writeHello(&b, h); err != nil || !bytes.HasPrefix(said, b.Bytes()) {
				t.Errorf("%q was read as %+v", said, h)
			}
			if h.agree() == nil && (h.lowest > version || h.highest < version) {
				t.Errorf("%+v is agreed to", h)
			}
			return
		}
		if text := err.Error(); len(text) > 4*(maxSaid+100) {
			t.Errorf("an error of %d bytes", len(text))
		}
	})
}
