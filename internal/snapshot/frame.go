package snapshot

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// rawBlock is the largest block that zstd allows.
const rawBlock = 128 << 10

// newEncoder makes the compressor of frames. CRCs are off: every chunk has its hash. Text without long
// repetitions (numbers, a dump of them) is found to be text only where literals are coded in any case: this
// costs incompressible data a third of a millisecond per MiB, and more than halves such text.
func newEncoder(workers int) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(workers),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(maxFrame), zstd.WithSingleSegment(true),
		zstd.WithLowerEncoderMem(true), zstd.WithAllLitEntropyCompression(true))
}

// newDecoder makes the decompressor of frames; DecodeAll then fills no more than dst has room for.
func newDecoder(workers int) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(maxFrame), zstd.WithDecoderMaxWindow(maxFrame))
}

// encodeFrame appends raw to dst as one zstd frame: compressed, or stored where that saves less than 5 %.
func encodeFrame(enc *zstd.Encoder, raw, dst []byte) []byte {
	start := len(dst)
	dst = enc.EncodeAll(raw, dst)
	if len(dst)-start <= len(raw)-len(raw)/20 {
		return dst
	}
	return storeFrame(raw, dst[:start])
}

// storeFrame appends raw as a zstd frame of raw blocks, so that every frame is zstd and `zstd -d` reads a
// whole pack: a header with the size in four bytes and no window, then blocks.
func storeFrame(raw, dst []byte) []byte {
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0xa0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(raw)))
	for {
		n := min(len(raw), rawBlock)
		header := uint32(n) << 3
		if n == len(raw) {
			header |= 1
		}
		dst = append(dst, byte(header), byte(header>>8), byte(header>>16))
		dst = append(dst, raw[:n]...)
		if raw = raw[n:]; len(raw) == 0 {
			return dst
		}
	}
}

// decodeFrame decompresses one frame that must hold exactly want bytes, into buf where it has room.
func decodeFrame(dec *zstd.Decoder, stored []byte, want int64, buf []byte) ([]byte, error) {
	var h zstd.Header
	if want <= 0 || want > maxFrame {
		return nil, damaged("frame of %d bytes: expected 1 to %d", want, maxFrame)
	}
	if err := h.Decode(stored); err != nil {
		return nil, fmt.Errorf("%w: no zstd frame: %w", ErrDamaged, err)
	}
	if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(want) {
		return nil, damaged("frame declares %d bytes, the manifest %d", h.FrameContentSize, want)
	}
	if int64(cap(buf)) < want {
		buf = make([]byte, want)
	}
	raw, err := dec.DecodeAll(stored, buf[:0:want])
	if err != nil {
		return nil, fmt.Errorf("%w: frame: %w", ErrDamaged, err)
	}
	if int64(len(raw)) != want {
		return nil, damaged("frame holds %d bytes, the manifest says %d", len(raw), want)
	}
	return raw, nil
}

// checkRun compares the bytes of a run with its hashes.
func checkRun(data []byte, r *Run, chunk int64) error {
	var err error
	r.chunks(chunk, func(off, n int64, sum Sum) bool {
		if SumOf(data[off:off+n]) != sum {
			err = damaged("%s: frame at %d: the bytes at %d of it have another hash than the manifest says", r.Frame.Pack, r.Frame.Off, r.Skip+off)
		}
		return err == nil
	})
	return err
}
