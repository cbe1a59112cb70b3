package mountcheck

// Kind is what a finding means.
type Kind string

// The kinds. What each does to a run is its policy.
const (
	OK           Kind = "ok"
	Absent       Kind = "absent"       // nothing is mounted there
	Wrong        Kind = "wrong"        // another filesystem, source, option or volume than expected
	Replaced     Kind = "replaced"     // not the mount that was there at the start
	ReadOnly     Kind = "readonly"     // writes are refused
	Stale        Kind = "stale"        // the server no longer knows what is mounted
	Disconnected Kind = "disconnected" // the connection, or the FUSE daemon, is gone
	Denied       Kind = "denied"       // access refused
	Erroring     Kind = "erroring"     // the filesystem or its device answers with errors
	Hung         Kind = "hung"         // no answer within the stage's timeout
	Full         Kind = "full"         // no space, no inodes, quota exceeded, or less free than expected
	Slow         Kind = "slow"         // the probes take longer than the latency bound
	Unknown      Kind = "unknown"      // could not be looked at, for a reason that is not the mount's
	NoData       Kind = "nodata"       // the data directory is missing or is not a directory
)

// patient tells whether FailAfter applies whatever the policy: an answer that may get better by itself.
func (k Kind) patient() bool {
	switch k {
	case Stale, Disconnected, Denied, Erroring, Hung:
		return true
	}
	return false
}

// wayOut is what a person can do about it.
func wayOut(k Kind) string {
	switch k {
	case OK:
		return ""
	case Absent:
		return "mount it, then start again; nothing was created in the directory below"
	case Wrong:
		return "mount what is expected there, or correct the --mount expectation"
	case Replaced:
		return "start again on the new mount; what was written may be on the old one"
	case ReadOnly:
		return "see the kernel log for why it turned read-only, repair it and mount it rw; or expect opts=ro"
	case Stale:
		return "unmount and mount it again: the server has exported something else since"
	case Disconnected:
		return "see whether the server and the FUSE daemon run, then unmount and mount it again"
	case Denied:
		return "see the export list of the server and the permissions of the directory"
	case Erroring:
		return "see the kernel log and the state of the device or server"
	case Hung:
		return "see whether the storage server can be reached; processes that wait in it end only when it answers or the connection is aborted"
	case Full:
		return "free space or inodes, or raise the quota"
	case Slow:
		return "see the load of the storage and of the way to it, or raise the latency bound"
	case NoData:
		return "create the data directory on the right filesystem, or correct --data; it is never created here"
	}
	return "see the limits of this process and the log"
}

func finding(path string, k Kind, detail string) Finding {
	return Finding{Path: path, Kind: k, Detail: detail, Do: wayOut(k), Policy: defaultPolicy(k)}
}
