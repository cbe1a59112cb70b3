// Package backup will take snapshots on a schedule and publish them under the holder's fencing token.
// It is empty until the snapshot store exists: nothing here pretends to back up.
package backup
