package testkit

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Debian's zookeeper.jar names most of what it needs in its manifest, but
// neither a log backend nor netty-codec, which the TLS port needs.
const (
	zkJars  = "/usr/share/java"
	zkJar   = zkJars + "/zookeeper.jar"
	zkClass = zkJar + ":" + zkJars + "/slf4j-simple.jar:" + zkJars + "/netty-codec.jar"
)

func skipWithoutZooKeeper(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		Skip(t, "zookeeper", "java is not installed (Debian: openjdk-17-jre-headless)")
	}
	if _, err := os.Stat(zkJar); err != nil {
		Skip(t, "zookeeper", zkJar+" is not there (Debian: libzookeeper-java)")
	}
}

func (s *ZKServer) command(cfg string) []string {
	args := []string{"java", "-Xmx128m", "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true",
		"-Dzookeeper.4lw.commands.whitelist=*", "-Dzookeeper.admin.enableServer=false",
		"-Dzookeeper.jmx.log4j.disable=true", "-Dzookeeper.skipACL=no", "-Dzookeeper.forceSync=no",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"}
	if s.opts.Super != "" {
		args = append(args, "-Dzookeeper.DigestAuthenticationProvider.superDigest="+ZKDigest(s.opts.Super))
	}
	args = append(args, s.opts.JVM...)
	return append(args, "-cp", zkClass, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg)
}

// ZKDigest turns "user:password" into the id of a digest ACL.
func ZKDigest(userPassword string) string {
	user, _, _ := strings.Cut(userPassword, ":")
	sum := sha1.Sum([]byte(userPassword))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func (s *ZKServer) config() string {
	tickMS := s.opts.Tick.Milliseconds()
	if tickMS == 0 {
		tickMS = (100 * time.Millisecond).Milliseconds()
	}
	lines := []string{
		fmt.Sprintf("tickTime=%d", tickMS), "initLimit=50", "syncLimit=20",
		fmt.Sprintf("minSessionTimeout=%d", 2*tickMS), "maxSessionTimeout=60000", "maxClientCnxns=0",
		"dataDir=" + filepath.Join(s.dir, "data"), "clientPortAddress=127.0.0.1", fmt.Sprintf("clientPort=%d", s.port),
		"preAllocSize=1024", "snapCount=10000", "autopurge.purgeInterval=0",
	}
	if s.opts.TLS {
		lines = append(lines, s.tlsConfig()...)
	}
	return strings.Join(append(lines, s.opts.Config...), "\n") + "\n"
}

func (s *ZKServer) tlsConfig() []string {
	auth := "want"
	if s.opts.ClientAuthNeed {
		auth = "need"
	}
	return []string{
		fmt.Sprintf("secureClientPort=%d", s.tlsPort), "secureClientPortAddress=127.0.0.1",
		"serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
		"authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
		"ssl.keyStore.location=" + filepath.Join(s.dir, "server.pem"), "ssl.keyStore.type=PEM",
		"ssl.trustStore.location=" + s.pki.CA(), "ssl.trustStore.type=PEM", "ssl.clientAuth=" + auth,
	}
}
