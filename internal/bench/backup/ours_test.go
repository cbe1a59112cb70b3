//go:build bench

package backup

// ours is the shipped command. The tree is at rest, so cold is the honest mode.
func ours(interlock string) tool {
	do := func(p place, args ...string) call {
		c := call{argv: append([]string{interlock}, args...), dir: p.dir}
		store := "file://" + p.repo
		if b := p.s3; b != nil {
			store = "s3://" + b.name + "/bench"
			c.argv = append(c.argv, "--store-endpoint", b.endpoint, "--store-region", b.region, "--store-path-style")
			c.env = append(c.env, "AWS_ACCESS_KEY_ID="+b.access, "AWS_SECRET_ACCESS_KEY="+b.secret)
		}
		c.argv = append(c.argv, "--store", store)
		return c
	}
	return tool{
		name: "interlock", needs: []string{interlock}, s3: true, small: true, note: "zstd level 1, each chunk verified",
		init: func(p place) []call { return []call{do(p, "store", "init")} },
		backup: func(p place, _ string) call {
			return do(p, "backup", "--data", p.live, "--mode", "cold", "--scratch", p.dir)
		},
		restore: func(p place, _, to string) call { return do(p, "restore", "--to", to) },
		over:    func(p place, _, to string) call { return do(p, "restore", "--to", to, "--replace") },
	}
}
