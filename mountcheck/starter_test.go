package mountcheck

import (
	"strings"
	"testing"
	"time"
)

// A fork can be held by the kernel; whoever asked for it must not be.
func TestAHeldForkHoldsNobody(t *testing.T) {
	s := &starter{requests: make(chan startRequest), stop: make(chan struct{}), ended: make(chan struct{})}
	_, err := s.start(t.Context(), "/", 20*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "not started within") {
		t.Errorf("before the fork: %v", err)
	}
	taken := make(chan startRequest, 1)
	go func() { taken <- <-s.requests }()
	if _, err = s.start(t.Context(), "/", 20*time.Millisecond); err == nil {
		t.Error("a helper from a fork that never came back")
	}
	<-(<-taken).abandoned
	if err := s.close(); err == nil {
		t.Error("a thread that never ends was not reported")
	}
}

func TestAHelperThatCameTooLateIsNotKept(t *testing.T) {
	r := startRequest{mount: "/", reply: make(chan started), abandoned: make(chan struct{})}
	close(r.abandoned)
	r.serve()
	if pids := children(t); len(pids) != 0 {
		t.Errorf("left: %v", pids)
	}
}
