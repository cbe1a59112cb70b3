package main

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

const (
	roleRoot   = "root"
	roleMember = "member"
	roleMiddle = "middle" // of a double fork
)

// offspring starts the further members of the tree.
func offspring(o options) error {
	for range o.tree.members {
		if err := spawn(o, roleMember); err != nil {
			return err
		}
	}
	slow := o
	slow.tick = time.Second
	for range o.tree.storm {
		if err := spawn(slow, roleMember); err != nil {
			return err
		}
	}
	if !o.tree.daemon {
		return nil
	}
	c := command(o, roleMiddle)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Run()
}

// spawn starts one and does not wait: members outlive whom they please.
func spawn(o options, role string) error { return command(o, role).Start() }

func command(o options, role string) *exec.Cmd {
	args := []string{"-role", role, "-log", o.log, "-token", o.token, "-host", o.host, "-tick", o.tick.String(),
		"-ignore-term=" + strconv.FormatBool(o.ignoreTerm)}
	c := exec.Command(os.Args[0], args...)
	c.Stderr = os.Stderr
	return c
}
