package testkit

import (
	"errors"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What was written can be executed at once, whoever forks meanwhile.
func TestWriteProgram(t *testing.T) {
	over := make(chan struct{})
	var beside sync.WaitGroup
	for range 4 {
		beside.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := exec.Command("/bin/true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	path, end := filepath.Join(t.TempDir(), "script"), time.Now().Add(2*time.Second)
	for n := 0; time.Now().Before(end); n++ {
		WriteProgram(t, path, "#!/bin/sh\nexit 0\n")
		if err := exec.Command(path).Run(); err != nil {
			t.Errorf("after %d: %v, text file busy: %v", n, err, errors.Is(err, syscall.ETXTBSY))
			break
		}
	}
	close(over)
	beside.Wait()
}
