// Package archtest holds the rules about which package may import which, as a test.
//
// Promise: a file of this module that breaks a rule of docs' folder plan fails `go test` with its name and
// the rule. Non-promise: it reads imports and syntax, so what is reached through an allowed import is not
// seen. Called by nobody: there is only the test and the rules that it applies.
package archtest
