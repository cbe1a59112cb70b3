package snapshot

// Sizes of the format. A reader refuses what exceeds them, so none may grow without a new format number.
const (
	Format       = 1 // of interlock.json, catalogs and manifests
	FormatSealed = 2 // of interlock.json and catalogs of an encrypted repository

	minChunk  = 128 << 10 // bytes that are hashed together
	maxChunk  = 1 << 20
	maxFrame  = 1 << 20               // bytes that are compressed together
	maxStored = maxFrame + maxFrame/8 // a frame as stored: raw costs 9 bytes and 3 for each 128 KiB
	maxPack   = 16 << 20
	packFull  = 8 << 20 // what the writer makes: three of them are in memory

	maxLine    = 4 << 20  // one line of a manifest
	maxPath    = 64 << 10 // a whole path, in bytes
	maxName    = 1 << 10  // one component of it
	maxXattrs  = 1 << 12  // extended attributes of one entry
	maxCatalog = 16 << 20 // what store.Create takes
	maxLive    = 100_000  // snapshots in a catalog
	maxConfig  = 64 << 10
	maxPacks   = 10_000_000 // packs of one snapshot: 160 TB
	maxList    = 1 << 30    // the plain list of an encrypted snapshot's packs
	maxWindow  = 8 << 20    // of the zstd stream of a manifest

	// chunksAtMost is how many chunks a tree has before chunks grow: 16 GiB at 128 KiB.
	chunksAtMost = 128 << 10
)

// chunkFor is the chunk size of new files in a tree of so many bytes.
func chunkFor(tree int64) int64 {
	chunk := int64(minChunk)
	for chunk < maxChunk && tree/chunk > chunksAtMost {
		chunk *= 2
	}
	return chunk
}

// validChunk tells whether a manifest may name this chunk size.
func validChunk(n int64) bool { return n >= minChunk && n <= maxChunk && n&(n-1) == 0 }
