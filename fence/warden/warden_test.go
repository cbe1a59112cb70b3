package warden

import (
	"testing"
	"time"
)

// What cannot be killed is looked for ever more rarely, and the report of its caller's call comes in time all the same.
func TestLooksBecomeRare(t *testing.T) {
	var waited time.Duration
	looks := 0
	for ; waited <= patience; looks++ {
		waited += pause(looks)
	}
	if waited > patience+patience/2 {
		t.Errorf("the first look after %v is at %v", patience, waited)
	}
	if got := pause(0); got != killLook {
		t.Errorf("the first pause is %v, expected %v", got, killLook)
	}
	for _, n := range []int{looks, 100, 1 << 40} {
		if got := pause(n); got != callerLook {
			t.Errorf("after %d looks: %v, expected %v", n, got, callerLook)
		}
	}
}
