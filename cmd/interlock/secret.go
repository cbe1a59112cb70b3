package main

import (
	"bytes"
	"fmt"
	"os"
)

const maxSecretFile = 4096

// readSecretFile reads a password from a file. One newline at its end is not part of it. The warning
// says that others on this machine can read the file, too.
func readSecretFile(name string) (secret, warning string, err error) {
	data, err := readLimited(name, maxSecretFile)
	if err != nil {
		return "", "", fmt.Errorf("cannot read the password file: %w", err)
	}
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	if len(data) == 0 {
		return "", "", fmt.Errorf("password file %s is empty: expected a password", name)
	}
	if bytes.ContainsAny(data, "\x00\n") {
		return "", "", fmt.Errorf("password file %s holds more than one line: expected a password alone", name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", "", fmt.Errorf("cannot read the password file: %w", err)
	}
	if info.Mode().Perm()&0o004 != 0 {
		warning = fmt.Sprintf("password file %s can be read by every user (mode %04o): chmod o-r it", name, info.Mode().Perm())
	}
	return string(data), warning, nil
}
