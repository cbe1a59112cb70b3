package supervise

import "golang.org/x/sys/unix"

// takeForeground gives the terminal back to ourselves, and so to the shell that started us.
func (g *guard) takeForeground() {
	if !g.nursery.foreground {
		return
	}
	var old unix.Sigset_t
	block := unix.Sigset_t{}
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, unix.Getpgrp()) // a terminal that hung up needs nothing
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}

func ownsForeground() bool {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
