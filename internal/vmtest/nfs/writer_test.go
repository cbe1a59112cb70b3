//go:build vm

package nfs

import (
	"fmt"
	"os"
)

// writerRole makes the test binary a payload: it does one thing to a file, says so, and hangs.
const writerRole = "writer"

func write(how, path string) int {
	var err error
	switch how {
	case "dirty":
		err = os.WriteFile(path, []byte("late"), 0o644)
	case "remove":
		err = os.Remove(path)
	}
	fmt.Println("done", err)
	select {}
}
