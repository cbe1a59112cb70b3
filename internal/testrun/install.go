package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed install.sh
var installScript string

// need is one Debian package and a file (its path may be a pattern) or command that shows it is there.
// What came from elsewhere is as good.
type need struct{ tool, pkg, shows string }

func needs() []need {
	return []need{
		{"zookeeper", "openjdk-17-jre-headless", "java"},
		{"zookeeper", "libzookeeper-java", "/usr/share/java/zookeeper.jar"},
		{"zookeeper", "libslf4j-java", "/usr/share/java/slf4j-simple.jar"},
		{"zookeeper", "libnetty-java", "/usr/share/java/netty-codec.jar"},
		{"etcd", "etcd-server", "etcd"},
		{"etcd", "etcd-client", "etcdctl"},
		{"system", "util-linux", "unshare"},
		{"system", "e2fsprogs", "mkfs.ext4"},
		{"system", "xfsprogs", "mkfs.xfs"},
		{"system", "btrfs-progs", "mkfs.btrfs"},
		{"system", "procps", "ps"},
		{"system", "zstd", "zstd"},
		{"system", "age", "age"},
		{"system", "python3", "python3"},
		{"system", "iproute2", "ip"},
		{"system", "strace", "strace"},
		{"system", "fence-agents", "fence_dummy"},
		{"container", "runc", "runc"},
		{"docker", "docker.io", "dockerd"},
		{"databases", "mariadb-server", "mariadbd"},
		{"databases", "mariadb-client", "mariadb"},
		{"databases", "mariadb-backup", "mariadb-backup"},
		{"databases", "postgresql", "/usr/lib/postgresql/*/bin/postgres"},
		{"databases", "postgresql-client", "/usr/lib/postgresql/*/bin/psql"},
		{"databases", "redis-server", "redis-server"},
		{"databases", "redis-tools", "redis-cli"},
		{"databases", "gosu", "gosu"},
		{"databases", "dumb-init", "dumb-init"},
		{"peers", "python3-kazoo", "/usr/lib/python3/dist-packages/kazoo/__init__.py"},
		{"peers", "libcurator-recipes-java", "/usr/share/java/curator-recipes.jar"},
		{"peers", "openjdk-17-jdk-headless", "javac"},
		{"cache", "memcached", "memcached"},
		{"cache", "python3-pylibmc", "/usr/lib/python3/dist-packages/pylibmc/__init__.py"},
		{"bench", "tini", "tini"},
		{"bench", "dumb-init", "dumb-init"},
		{"bench", "s6", "s6-supervise"},
		{"bench", "sysbench", "sysbench"},
		{"backups", "restic", "restic"},
		{"backups", "borgbackup", "borg"},
		{"backups", "rclone", "rclone"},
		{"backups", "zstd", "zstd"},
		{"queue", "python3-kazoo", "/usr/lib/python3/dist-packages/kazoo/__init__.py"},
		{"vm", "qemu-system-x86", "qemu-system-x86_64"},
		{"vm", "kmod", "depmod"},
		{"vm", "nfs-kernel-server", "rpc.nfsd"},
		{"vm", "nfs-common", "mount.nfs"},
		{"vm", "nbd-client", "nbd-client"},
		{"vm", "nbdkit", "nbdkit"},
		{"vm", "nbd-server", "nbd-server"},
		{"vm", "dmsetup", "dmsetup"},
		{"vm", "etcd-server", "etcd"},
		{"vm", "etcd-client", "etcdctl"},
		{"vm", "nftables", "nft"},
		{"vm", "lz4", "lz4"},
		{"mounts", "glusterfs-server", "glusterfsd"},
		{"mounts", "glusterfs-client", "glusterfs"},
		{"mounts", "moosefs-master", "mfsmaster"},
		{"mounts", "moosefs-chunkserver", "mfschunkserver"},
		{"mounts", "moosefs-client", "mfsmount"},
		{"mounts", "sshfs", "sshfs"},
		{"mounts", "openssh-server", "/usr/sbin/sshd"},
		{"nbd", "sshfs", "sshfs"},
		{"nbd", "openssh-server", "/usr/sbin/sshd"},
		{"nbd", "nbdkit", "nbdkit"},
		{"nbd", "libnbd-bin", "nbdfuse"},
	}
}

// missing lists the packages that the families need and the machine lacks.
func missing(chosen []family, long bool) []string {
	var pkgs []string
	for _, n := range needs() {
		wanted := slices.ContainsFunc(chosen, func(f family) bool {
			return slices.Contains(f.tools, n.tool) || long && slices.Contains(f.longTools, n.tool)
		})
		if wanted && !n.present() {
			pkgs = append(pkgs, n.pkg)
		}
	}
	return pkgs
}

func (n need) present() bool {
	if strings.Contains(n.shows, "*") {
		found, err := filepath.Glob(n.shows)
		return err == nil && len(found) > 0
	}
	if strings.HasPrefix(n.shows, "/") {
		_, err := os.Stat(n.shows)
		return !errors.Is(err, fs.ErrNotExist)
	}
	if _, err := exec.LookPath(n.shows); err == nil {
		return true
	}
	// Ordinary users often lack this folder in their PATH.
	_, err := os.Stat("/usr/sbin/" + n.shows)
	return err == nil
}

// install gets what is missing from Debian. A failure is said here and shows
// again as skips: the tests themselves decide what they cannot do without.
func install(ctx context.Context, chosen []family, long bool) {
	pkgs := missing(chosen, long)
	if len(pkgs) == 0 {
		return
	}
	fmt.Println("installing:", strings.Join(pkgs, " "))
	if err := apt(ctx, pkgs); err != nil {
		fmt.Printf("NOT INSTALLED: %s: %v\n", strings.Join(pkgs, " "), err)
	}
}

func apt(ctx context.Context, pkgs []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("no apt-get here: install them by hand")
	}
	args := append([]string{"sh", "-c", installScript, "install.sh"}, pkgs...)
	if os.Geteuid() != 0 {
		if _, err := exec.LookPath("sudo"); err != nil {
			return errors.New("neither root nor sudo: install them by hand")
		}
		args = append([]string{"sudo"}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// TERM, so that the script can put policy-rc.d back.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
