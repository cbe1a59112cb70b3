package kubernetes

func ofMemcached() [][4]string {
	return [][4]string{
		{"replicas: 2", "replicas: 1", "update", "RollingUpdate"},
		{"type: OnDelete", "type: RollingUpdate", "update", "RollingUpdate"},
		{"  replicas: 2\n", "", "update", "not given"},
		{"minAvailable: 1", "minAvailable: 0", "disruption", "unasked"},
		{"minAvailable: 1", "maxUnavailable: 0", "disruption", "unasked"},
		{"path: /livez", "path: /readyz", "probes", "startupProbe"},
		{"        startupProbe:\n          httpGet: {path: /livez, port: interlock}\n          periodSeconds: 2\n          timeoutSeconds: 5\n          failureThreshold: 30\n", "", "start budget", "no startupProbe"},
		{"failureThreshold: 30", "failureThreshold: 3", "start budget", "6s"},
		{"- {name: INTERLOCK_STOP_GRACE,", "- {name: INTERLOCK_START_BUDGET, value: 10m}\n        - {name: INTERLOCK_STOP_GRACE,", "start budget", "10m"},
		{"value: 5s", "value: 20s", "stop budget", "42s"},
		{"INTERLOCK_LOCK,", "INTERLOCK_LOKC,", "config", "lock"},
		{"INTERLOCK_STOP_GRACE", "INTERLOCK_STOPGRACE", "config", "INTERLOCK_STOPGRACE"},
		{"value: /etc/interlock/password", "value: /etc/interlock/passwd", "secrets", "lock.password_file"},
		{"memcached-interlock:1.6", "memcached-interlock:1.7", "images", "1.7"},
		{`args: [memcached, -m, "192"]`, "command: [/interlock, run, --]\n        args: [memcached]", "binary", "entrypoint"},
		{`args: [memcached, -m, "192"]`, "command: [memcached]", "command", "memcached"},
		{"  minAvailable: 1\n", "  minAvailable: 1\n  selectors: {}\n", "decode", "selectors"},

		{"automountServiceAccountToken: false", "shareProcessNamespace: true\n      automountServiceAccountToken: false", "namespaces", "shared"},
		{"automountServiceAccountToken: false", "hostPID: true\n      automountServiceAccountToken: false", "namespaces", "shared"},
		{"automountServiceAccountToken: false", "initContainers: [{name: side, image: x:1, restartPolicy: Always}]\n      automountServiceAccountToken: false", "namespaces", "side"},
		{"automountServiceAccountToken: false", "hostNetwork: true\n      automountServiceAccountToken: false", "namespaces", "shared"},
		{"automountServiceAccountToken: false", "hostIPC: true\n      automountServiceAccountToken: false", "namespaces", "shared"},
		{"automountServiceAccountToken: false", "restartPolicy: OnFailure\n      automountServiceAccountToken: false", "namespaces", "restartPolicy"},
		{"        ports:\n", "        tty: true\n        ports:\n", "namespaces", "terminal"},
		{"        ports:\n", "        lifecycle: {preStop: {exec: {command: [sleep, \"5\"]}}}\n        ports:\n", "namespaces", "lifecycle"},
		{"        ports:\n", "        terminationMessagePath: /tmp/why\n        ports:\n", "namespaces", "reason file"},

		{"automountServiceAccountToken: false", "automountServiceAccountToken: true", "security", "token"},
		{"      automountServiceAccountToken: false\n", "", "security", "token"},
		{"enableServiceLinks: false", "enableServiceLinks: true", "security", "enableServiceLinks"},
		{"runAsNonRoot: true", "runAsNonRoot: false", "security", "runAsNonRoot"},
		{"runAsUser: 65532", "runAsUser: 0", "security", "runAsUser"},
		{"seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}", "security", "seccomp"},
		{"runAsGroup: 65532", "runAsGroup: 0", "security", "runAsGroup"},
		{"        seccompProfile: {type: RuntimeDefault}\n", "", "security", "seccomp"},
		{"readOnlyRootFilesystem: true", "privileged: true\n          readOnlyRootFilesystem: true", "security", "memcached"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "security", "read-only"},
		{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "security", "escalation"},
		{"capabilities: {drop: [ALL]}", "capabilities: {drop: [ALL], add: [KILL]}", "security", "capability"},
		{"capabilities: {drop: [ALL]}", "capabilities: {drop: [KILL]}", "security", "capability"},

		{"requests: {cpu: 100m, memory", "requests: {memory", "resources", "cpu"},
		{"limits: {memory: 320Mi}", "limits: {cpu: 1}", "resources", "memory limit 0"},
		{"limits: {memory: 320Mi}", "limits: {memory: 640Mi}", "resources", "640Mi"},
		{"      volumes:\n", "      volumes:\n      - {name: tmp, emptyDir: {}}\n", "resources", "sizeLimit"},
	}
}

func ofImage() [][4]string {
	return [][4]string{
		{"FROM memcached:1.6", "FROM memcached", "images", "no version"},
		{"interlock:1.0.0 /interlock /interlock", "interlock:2.0.0 /interlock /interlock", "images", "2.0.0"},
		{"interlock:1.0.0 /interlock /interlock", "interlock:1.0.0 /interlock /usr/bin/interlock", "binary", "/usr/bin/interlock"},
		{`ENTRYPOINT ["/interlock", "run", "--"]`, `ENTRYPOINT ["/interlock", "run"]`, "command", "interlock run"},
		{`CMD ["memcached"]`, `CMD memcached`, "decode", "CMD"},
		{`ENTRYPOINT ["/interlock", "run", "--"]`, `ENTRYPOINT /interlock run --`, "decode", "ENTRYPOINT"},
		{"COPY --from", "ADD --from", "decode", "ADD"},
		{" /interlock /interlock", " /bin/interlock /interlock", "decode", "COPY"},
	}
}
