package supervise

import (
	"encoding/binary"
	"errors"
	"syscall"
	"time"

	"github.com/interlock-run/interlock/internal/clock"
)

// Kinds of messages; the first number of each.
const (
	msgPrepare uint64 = iota + 1
	msgLease
	msgStart
	msgSignal
	msgKillOne
	msgKill
	msgFinish
	msgKeep
	msgEvent
	msgHello  // gate -> guard
	msgGo     // guard -> gate
	msgFailed // gate -> guard, init -> guard
	msgExited // init -> guard
	msgSpare  // guard -> init: fork gates ahead
	msgEnv    // guard -> init: the environment of what it starts
	msgMemory // agent -> guard: what counts the kills for lack of memory
)

// maxMessage bounds a message well below the default socket buffer; argv of the payload never crosses.
const maxMessage = 128 << 10

var errMalformed = errors.New("malformed message between guard and agent: expected the same binary on both ends")

// A packer appends fields; an unpacker reads them back in the same order and remembers the first fault.
type packer []byte

func pack(kind uint64) packer                { return packer(binary.AppendUvarint(nil, kind)) }
func (p packer) num(v uint64) packer         { return binary.AppendUvarint(p, v) }
func (p packer) int(v int) packer            { return binary.AppendVarint(p, int64(v)) }
func (p packer) span(d time.Duration) packer { return binary.AppendVarint(p, int64(d)) }
func (p packer) stamp(s clock.Stamp) packer  { return p.span(s.Boot).span(s.Raw) }
func (p packer) str(s string) packer         { return append(p.num(uint64(len(s))), s...) }

func (p packer) flag(b bool) packer {
	if b {
		return p.num(1)
	}
	return p.num(0)
}

func (p packer) strs(list []string) packer {
	p = p.num(uint64(len(list)))
	for _, s := range list {
		p = p.str(s)
	}
	return p
}

type unpacker struct {
	b   []byte
	bad bool
}

func (u *unpacker) fault() { u.b, u.bad = nil, true }

func (u *unpacker) num() uint64 {
	v, n := binary.Uvarint(u.b)
	if n <= 0 {
		u.fault()
		return 0
	}
	u.b = u.b[n:]
	return v
}

func (u *unpacker) int() int { return int(u.span()) }

func (u *unpacker) span() time.Duration {
	v, n := binary.Varint(u.b)
	if n <= 0 {
		u.fault()
		return 0
	}
	u.b = u.b[n:]
	return time.Duration(v)
}

func (u *unpacker) stamp() clock.Stamp { return clock.Stamp{Boot: u.span(), Raw: u.span()} }
func (u *unpacker) flag() bool         { return u.num() == 1 }

// count reads a length that cannot exceed what is left of the message.
func (u *unpacker) count() int {
	n := u.num()
	if n > uint64(len(u.b)) {
		u.fault()
		return 0
	}
	return int(n)
}

func (u *unpacker) str() string {
	n := u.count()
	s := string(u.b[:n])
	u.b = u.b[n:]
	return s
}

func (u *unpacker) strs() []string {
	var list []string
	for n := u.count(); n > 0 && !u.bad; n-- {
		list = append(list, u.str())
	}
	return list
}

func (u *unpacker) err() error {
	if u.bad || len(u.b) != 0 {
		return errMalformed
	}
	return nil
}

func (p packer) settings(s Settings) packer {
	return p.str(s.Isolate).span(s.Grace).span(s.KillBudget).strs(s.Scrub).str(s.ReasonFile).flag(s.ReasonCreate)
}

func (u *unpacker) settings() Settings {
	return Settings{Isolate: u.str(), Grace: u.span(), KillBudget: u.span(), Scrub: u.strs(),
		ReasonFile: u.str(), ReasonCreate: u.flag()}
}

func (p packer) credential(c *Credential) packer {
	if c == nil {
		return p.flag(false)
	}
	p = p.flag(true).num(uint64(c.UID)).num(uint64(c.GID)).num(uint64(len(c.Groups)))
	for _, g := range c.Groups {
		p = p.num(uint64(g))
	}
	return p
}

func (u *unpacker) credential() *Credential {
	if !u.flag() {
		return nil
	}
	c := &Credential{UID: uint32(u.num()), GID: uint32(u.num())}
	for n := u.count(); n > 0 && !u.bad; n-- {
		c.Groups = append(c.Groups, uint32(u.num()))
	}
	return c
}

// spec leaves out the streams: they travel as descriptors, their presence as flags.
func (p packer) spec(s Spec) packer {
	return p.num(uint64(s.ID)).num(s.Tenure).flag(s.Payload).flag(s.Worker).flag(s.Courier).strs(s.Argv).int(s.ArgvFrom).
		strs(s.Env).str(s.PIDVariable).str(s.Dir).credential(s.Credential).
		flag(s.Stdin != nil).flag(s.Stdout != nil).flag(s.Stderr != nil)
}

func (u *unpacker) spec() (s Spec, has [3]bool) {
	s = Spec{ID: uint32(u.num()), Tenure: u.num(), Payload: u.flag(), Worker: u.flag(), Courier: u.flag(), Argv: u.strs(),
		ArgvFrom: u.int(), Env: u.strs(), PIDVariable: u.str(), Dir: u.str(), Credential: u.credential()}
	return s, [3]bool{u.flag(), u.flag(), u.flag()}
}

func (p packer) domain(d Domain) packer {
	return p.str(d.Mode).str(d.Why).str(d.Misses).int(d.InitPID).str(d.Cgroup).num(d.PIDNamespace)
}

func (u *unpacker) domain() Domain {
	return Domain{Mode: u.str(), Why: u.str(), Misses: u.str(), InitPID: u.int(), Cgroup: u.str(), PIDNamespace: u.num()}
}

func (p packer) event(e Event) packer {
	p = p.num(uint64(e.Kind)).num(e.Tenure).num(uint64(e.ID)).int(e.PID).num(uint64(e.Status)).
		num(uint64(e.Errno)).str(e.Stage).int(int(e.Signal)).num(uint64(len(e.PIDs)))
	for _, pid := range e.PIDs {
		p = p.int(pid)
	}
	return p.domain(e.Domain).stamp(e.Kill).str(e.Text)
}

func (u *unpacker) event() Event {
	e := Event{Kind: EventKind(u.num()), Tenure: u.num(), ID: uint32(u.num()), PID: u.int(),
		Status: syscall.WaitStatus(u.num()), Errno: syscall.Errno(u.num()), Stage: u.str(),
		Signal: syscall.Signal(u.int())}
	for n := u.count(); n > 0 && !u.bad; n-- {
		e.PIDs = append(e.PIDs, u.int())
	}
	e.Domain, e.Kill, e.Text = u.domain(), u.stamp(), u.str()
	return e
}
