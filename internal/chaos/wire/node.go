package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Node is one network namespace: loopback, and one device that leads to the switch.
type Node struct {
	Name string
	Addr netip.Addr

	tun  *os.File
	jobs chan func()
	over chan struct{}
}

// Attach makes a node. What is in it is reached through Start, Dial and Listen.
func (n *Net) Attach(name string, addr netip.Addr) (*Node, error) {
	node := &Node{Name: name, Addr: addr, jobs: make(chan func()), over: make(chan struct{})}
	ready := make(chan error, 1)
	go node.serve(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("cannot make the network namespace %s: %w", name, err)
	}
	n.mu.Lock()
	n.nodes[addr] = node
	n.mu.Unlock()
	n.join.Add(1)
	go func() {
		defer n.join.Done()
		n.carry(node)
	}()
	return node, nil
}

// serve is the one thread that lives in the namespace. It never leaves it: it ends with the node, and the
// kernel kills then what it has started.
func (n *Node) serve(ready chan<- error) {
	defer close(n.over)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- fmt.Errorf("unshare: %w (this needs root)", err)
		return
	}
	tun, err := setUp(n.Addr)
	n.tun = tun
	ready <- err
	if err != nil {
		return
	}
	for job := range n.jobs {
		job()
	}
}

func (n *Node) do(job func()) {
	done := make(chan struct{})
	n.jobs <- func() { defer close(done); job() }
	<-done
}

func (n *Node) close() error {
	err := n.tun.Close()
	close(n.jobs)
	<-n.over
	return err
}

// deliver hands a packet to the namespace. One that it does not take (its device is down, its queue is
// full) is lost, as on any network.
func (n *Node) deliver(packet []byte) { _, _ = n.tun.Write(packet) }

// Start starts a command in the namespace; it dies with the node or with this process.
func (n *Node) Start(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	n.do(func() { err = cmd.Start() })
	return err
}

// Dial connects from within the namespace; the address must be a number.
func (n *Node) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("%q is not IP:PORT: there are no names in here", addr)
	}
	fd, err := n.socket()
	if err != nil {
		return nil, err
	}
	return connect(ctx, fd, addr)
}

// Listen listens within the namespace.
func (n *Node) Listen(addr string) (lis net.Listener, err error) {
	n.do(func() { lis, err = net.Listen("tcp4", addr) })
	return lis, err
}

// socket makes a TCP socket that belongs to the namespace for all its life.
func (n *Node) socket() (fd int, err error) {
	n.do(func() { fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) })
	return fd, err
}

// connect uses the socket from any thread, so that a peer that is silent keeps nobody else waiting.
func connect(ctx context.Context, fd int, addr string) (net.Conn, error) {
	to := netip.MustParseAddrPort(addr)
	err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		return nil, closing(fd, err)
	}
	for {
		left := 20 // milliseconds between looks at the context
		if ctx.Err() != nil {
			return nil, closing(fd, ctx.Err())
		}
		k, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, left)
		if err != nil && err != unix.EINTR {
			return nil, closing(fd, err)
		}
		if k > 0 {
			break
		}
	}
	if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return nil, closing(fd, fmt.Errorf("connect %s: %w", addr, syscall.Errno(code)))
	}
	f := os.NewFile(uintptr(fd), addr)
	conn, err := net.FileConn(f)
	if cerr := f.Close(); err == nil && cerr != nil {
		return nil, cerr
	}
	return conn, err
}

func closing(fd int, err error) error {
	if cerr := unix.Close(fd); cerr != nil {
		return fmt.Errorf("%w (and close: %v)", err, cerr)
	}
	return err
}
