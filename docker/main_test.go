package docker_test

import (
	"os"
	"testing"

	"github.com/berth-ssh/berth/internal/testpodman"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testpodman.Stop()
	os.Exit(code)
}
