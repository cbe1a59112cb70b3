package field

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// pidOf reads si_pid: after three ints, and on 64 bit the padding to the union.
func pidOf(info *unix.Siginfo) int {
	const offset = 12 + int(unsafe.Sizeof(uintptr(0))) - 4
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
