//go:build mutate

// Package mutate, in this build, breaks the rule that the environment names.
package mutate

import "os"

// Variable names the rule to break.
const Variable = "INTERLOCK_MUTATE"

// Broken tells whether this run breaks the rule.
func Broken(rule string) bool { return os.Getenv(Variable) == rule }
