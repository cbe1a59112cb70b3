package wire

import (
	"encoding/binary"
	"net/netip"
)

const (
	protocolTCP = 6
	ipHeader    = 20
	tcpHeader   = 20

	flagFIN, flagSYN, flagRST, flagACK = 1, 2, 4, 16
)

// destination of an IPv4 packet; false for all others, which nobody here can receive.
func destination(p []byte) (netip.Addr, bool) {
	if len(p) < ipHeader || p[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(p[16:20])), true
}

// reset is the answer of a firewall that rejects with a TCP reset; nil where there is none to give.
func reset(p []byte) []byte {
	head := int(p[0]&15) * 4
	if p[9] != protocolTCP || head < ipHeader || len(p) < head+tcpHeader {
		return nil
	}
	t := p[head:]
	flags := t[13]
	if flags&flagRST != 0 {
		return nil
	}
	payload := len(t) - int(t[12]>>4)*4
	if payload < 0 {
		return nil
	}
	out := make([]byte, ipHeader+tcpHeader)
	out[0], out[8], out[9] = 0x45, 64, protocolTCP
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	copy(out[12:16], p[16:20])
	copy(out[16:20], p[12:16])
	a := out[ipHeader:]
	copy(a[0:2], t[2:4])
	copy(a[2:4], t[0:2])
	a[12] = 5 << 4
	if flags&flagACK != 0 { // the sender said what it expects next
		copy(a[4:8], t[8:12])
		a[13] = flagRST
	} else {
		next := binary.BigEndian.Uint32(t[4:]) + uint32(payload)
		if flags&(flagSYN|flagFIN) != 0 {
			next++
		}
		binary.BigEndian.PutUint32(a[8:], next)
		a[13] = flagRST | flagACK
	}
	binary.BigEndian.PutUint16(a[16:], checksum(pseudo(out), a))
	binary.BigEndian.PutUint16(out[10:], checksum(0, out[:ipHeader]))
	return out
}

// pseudo is the sum over TCP's pseudo header.
func pseudo(p []byte) uint32 {
	sum := sum16(0, p[12:20])
	return sum + protocolTCP + uint32(len(p)-ipHeader)
}

func checksum(start uint32, b []byte) uint16 {
	sum := sum16(start, b)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func sum16(sum uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}
