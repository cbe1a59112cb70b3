package main

import (
	"strings"
	"testing"

	"github.com/interlock-run/interlock/internal/config"
)

// The options that matter are found in each form that memcached takes, and the values of others are not taken for
// options.
func TestReadMemcached(t *testing.T) {
	for line, want := range map[string]memcachedArgs{
		"memcached -m 64":                                      {},
		"gosu memcache /usr/bin/memcached -vS":                 {binary: "-S"},
		"memcached -l -S -p 1":                                 {},
		"memcached -lS":                                        {},
		"memcached -B binary -X":                               {binary: "-B binary", silent: "-X"},
		"memcached -Bbinary":                                   {binary: "-B binary"},
		"memcached -B ascii":                                   {},
		"memcached -vve /dev/shm/f -m64":                       {memory: "/dev/shm/f"},
		"memcached --memory-file=/f --enable-sasl":             {binary: "-S", memory: "/f"},
		"memcached --protocol=binary --disable-dumping -o a=b": {binary: "-B binary", silent: "-X"},
		"memcached -e":                                         {},
		"memcached - -- S":                                     {},
	} {
		if got, is := readMemcached(strings.Fields(line)); got != want || !is {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
	for _, line := range []string{"", "sh -c memcached", "redis-server -S"} {
		if m, is := readMemcached(strings.Fields(line)); m != (memcachedArgs{}) || is != strings.HasSuffix(line, "memcached") {
			t.Errorf("%s: %+v %v", line, m, is)
		}
	}
}

// What can never be warmed is refused, and nothing else.
func TestCheckWarm(t *testing.T) {
	cache := config.Warm{Memcached: "h:1", From: "latest", Ready: config.WhenWarm, Order: config.HottestFirst}
	dumped, early, idle := cache, cache, cache
	dumped.Schedule = "1h"
	early.Order, early.Ready = config.ColdestFirst, "0.5"
	idle.From = config.FromNone
	for _, c := range []struct {
		w    config.Warm
		line string
		want string
	}{
		{cache, "memcached", ""}, {cache, "memcached -S", "SASL"}, {idle, "memcached -S", ""}, {cache, "memcached -X", ""},
		{dumped, "memcached -X", "-X"}, {early, "memcached", "coldest-first"}, {cache, "", ""},
	} {
		if err := checkWarm(c.w, strings.Fields(c.line)); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v with %q: %v, want %q", c.w, c.line, err, c.want)
		}
	}
}
