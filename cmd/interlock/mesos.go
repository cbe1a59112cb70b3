package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mesosTask is the id of the Mesos task that we are in; empty: in none.
func mesosTask(environ []string) string { return lookup(environ, "MESOS_TASK_ID") }

// shells are programs that stay in front of what their -c names, unless that begins with exec.
func shells() []string { return []string{"sh", "dash", "bash", "ash", "ksh", "mksh", "zsh"} }

// shellAbove finds a shell between the executor and the process that it should have started. A parent that
// cannot be looked at is none that could be judged.
func shellAbove(top int) []finding {
	parent, err := parentOf(top)
	if err != nil || parent == 0 {
		return nil
	}
	name := shellName(parent)
	if name == "" {
		return nil
	}
	return []finding{{
		Topic: topicParent,
		What:  fmt.Sprintf("the parent process %d is a shell (%s) in a Mesos task: at a stop it dies of the executor's TERM at once, or keeps it to itself where it is PID 1, and the container is destroyed before the payload has stopped", parent, name),
		Do:    `give Marathon args instead of cmd, or begin cmd with exec: "exec interlock run …"`,
	}}
}

// parentOf reads PPid of /proc/PID/status; 0 is a process outside this PID namespace, or none.
func parentOf(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, is := strings.CutPrefix(line, "PPid:"); is {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no PPid", pid)
}

// shellName is the shell that runs as pid, by its file and by the name that it was called with; of another
// user's process only the second can be read.
func shellName(pid int) string {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if base := filepath.Base(exe); err == nil && slices.Contains(shells(), base) {
		return base
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if name := strings.TrimSpace(string(comm)); err == nil && slices.Contains(shells(), name) {
		return name
	}
	return ""
}

// fleetingState says what a state directory in the sandbox is worth.
func fleetingState(dir string) finding {
	return finding{
		Topic: topicState,
		What:  fmt.Sprintf("claim and state file go to the task's sandbox, %s, because the directory beside the data is not writable: the next task, here or on another node, will not see them", dir),
		Do:    "give --state-dir a place that stays, or make the directory beside the data writable",
	}
}
