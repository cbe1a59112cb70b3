// Package backup measures what backups and restores cost, beside cp, tar, restic, borg and rclone: on a
// tree like a database's, on very many small files, to a directory and to S3 on loopback. `make
// bench-backup` runs it, with the build tag bench; without the tag only the trees are built and tested.
//
// Promise: whole processes are measured, each step of all programs in turn before the next step, in one
// run; a restored tree is compared with the original, and a program of which one step failed or differed
// shows that and no figures from there on. What is missing is named.
//
// Not promised: figures that hold on another machine, or beside other load. Only ratios of one run say
// something.
package backup
