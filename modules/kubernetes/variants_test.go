package kubernetes

// A variant is an example with one thing wrong.
type variant struct{ file, old, new, breaks, says string }

func variants() []variant {
	var all []variant
	add := func(file string, list [][4]string) {
		for _, v := range list {
			all = append(all, variant{file, v[0], v[1], v[2], v[3]})
		}
	}
	add("postgresql.yaml", ofPostgreSQL())
	add("memcached.yaml", ofMemcached())
	add("memcached.Dockerfile", ofImage())
	return all
}

const dataMount = "- {name: data, mountPath: /var/lib/postgresql/data}"

func ofPostgreSQL() [][4]string {
	return [][4]string{
		{"readinessProbe:", "readynessProbe:", "decode", "readynessProbe"},
		{"readinessProbe:", "readinessprobe:", "decode", "readinessprobe"},
		{"replicas: 1", "replicas: one", "decode", "replicas"},
		{"replicas: 1", "replicas: 1\n  replicas: 1", "decode", "replicas"},
		{"kind: ConfigMap", "kind: ConfigMop", "decode", "ConfigMop"},
		{"apiVersion: policy/v1", "apiVersion: policy/v1beta1", "decode", "policy/v1beta1"},
		{"kind: StatefulSet", "kind: Deployment", "decode", "serviceName"},

		{"---\n", "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n---\n", "decode", "no rule"},
		{"      containers:\n", "      containers:\n      - {name: exporter, image: x:1}\n", "decode", "2 containers"},
		{"- {name: PGDATA,", "- {name: INTERLOCK_CONFIG, value: /etc/interlock/interlock.yaml}\n        - {name: PGDATA,", "command", "INTERLOCK_CONFIG"},
		{"          name: orders-interlock\n", "          name: orders-interlock\n          items: [{key: interlock.yaml, path: interlock.yaml}]\n", "command", "whole ConfigMap"},

		{"run, --config", "runs, --config", "command", "interlock run"},
		{"interlock.yaml, --]", "interlock.yaml]", "command", "-- COMMAND"},
		{"args: [docker-entrypoint.sh, postgres]", "args: []", "command", "-- COMMAND"},
		{"--config, /etc/interlock/interlock.yaml", "--config, /etc/interlocks/interlock.yaml", "command", "no volume"},
		{"  interlock.yaml: |", "  interlock.yml: |", "command", "no key"},
		{"name: orders-interlock\n  labels", "name: orders-lock\n  labels", "command", "orders-interlock"},

		{"      grace: 40s", "      grace: 40", "config", "stop.grace"},
		{"    stop:\n", "    stops:\n", "config", "stops"},
		{"      settle: 10s", "      hold: 5s", "config", "timing"},
		{"    stop:\n", "    lock_wait: 1s\n    stop:\n", "config", "lock_wait"},
		{"      user: orders", "      user: orders\n      wait: 5m", "config", "lock.wait is 5m"},
		{"- {name: PGDATA,", "- {name: INTERLOCK_DATUM, value: x}\n        - {name: PGDATA,", "config", "INTERLOCK_DATUM"},

		{"    matchLabels: {app.kubernetes.io/name: orders}", "    matchLabels: {app.kubernetes.io/name: order}", "selectors", "PodDisruptionBudget"},
		{"      labels: {app.kubernetes.io/name: orders}\n    spec:", "      labels: {app.kubernetes.io/name: order}\n    spec:", "selectors", "StatefulSet"},
		{"selector: {app.kubernetes.io/name: orders}", "selector: {app: orders}", "selectors", "Service"},
		{"selector: {app.kubernetes.io/name: orders}", "selector: {}", "selectors", "Service"},

		{"    matchLabels: {app.kubernetes.io/name: orders}", "    matchLabels: {app.kubernetes.io/name: orders}\n    matchExpressions: [{key: x, operator: Exists}]", "selectors", "alone"},

		{"serviceName: orders", "serviceName: order", "services", "serviceName"},
		{"clusterIP: None", "type: ClusterIP", "services", "headless"},
		{"clusterIP: None", "clusterIP: None\n  publishNotReadyAddresses: true", "services", "wait"},
		{"targetPort: postgresql", "targetPort: postgres", "services", "targetPort"},
		{"targetPort: postgresql", "targetPort: interlock", "services", "targetPort"},

		{"port: 5432, targetPort", "port: 5433, targetPort", "services", "5433"},
		{"  ports:\n  - {name: postgresql, port: 5432, targetPort: postgresql}\n", "", "services", "no port"},

		{"---\n", "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: more}\n---\n", "disruption", "2 PodDisruptionBudgets"},
		{"maxUnavailable: 0", "maxUnavailable: 0\n  minAvailable: 1", "disruption", "maxUnavailable"},
		{"maxUnavailable: 0", "maxUnavailable: 1", "disruption", "maxUnavailable"},
		{"  unhealthyPodEvictionPolicy: AlwaysAllow\n", "", "disruption", "drained"},

		{"type: RollingUpdate", "type: OnDelete", "update", "OnDelete"},
		{"podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady", "update", "OrderedReady"},

		{"podManagementPolicy: Parallel", "podManagementPolicy: Parallel\n  minReadySeconds: 5", "update", "minReadySeconds"},

		{"image: postgres:15", "image: postgres", "images", "no version"},
		{"image: postgres:15", "image: postgres:latest", "images", "no version"},
		{"example.com/interlock:1.0.0", "example.com/interlock:1.0.1", "images", "1.0.1"},
		{"mountPath: /opt/interlock}", "mountPath: /opt/interlock, readOnly: true}", "binary", "installs"},
		{"args: [install, /opt/interlock]", "args: [install, /opt]", "binary", "installs"},
		{"args: [install, /opt/interlock]", "command: [/bin/cp]\n        args: [install, /opt/interlock]", "binary", "installs"},
		{"mountPath: /opt/interlock, readOnly: true", "mountPath: /opt/interlock", "binary", "read-only"},
		{"[/opt/interlock/interlock, run", "[/opt/interlock/bin/interlock, run", "binary", "volume of its own"},
		{"[/opt/interlock/interlock, run", "[/interlock, run", "binary", "/interlock"},
		{"emptyDir: {sizeLimit: 128Mi}", "configMap: {name: x}", "binary", "emptyDir"},

		{"containerPort: 9909", "containerPort: 9908", "ports", "9909"},
		{`listen: ":9909"`, `listen: "127.0.0.1:9909"`, "ports", "the pod's address"},
		{`listen: ":9909"`, `listen: unix:/tmp/x`, "ports", "the pod's address"},
		{"- {name: interlock, containerPort: 9909}", "- {name: interlocks, containerPort: 9909}", "ports", "called interlock"},
		{"containerPort: 5432", "hostPort: 5432, containerPort: 5432", "ports", "host's"},
		{"containerPort: 5432", "containerPort: 9909", "ports", "twice"},

		{"httpGet: {path: /livez, port: interlock}", "httpGet: {path: /readyz, port: interlock}", "probes", "livenessProbe"},
		{"httpGet: {path: /readyz, port: interlock}\n          periodSeconds: 5", "httpGet: {path: /readyz, port: postgresql}\n          periodSeconds: 5", "probes", "readinessProbe"},
		{"httpGet: {path: /readyz, port: interlock}\n          periodSeconds: 5", "exec: {command: [/opt/interlock/interlock, ready]}\n          periodSeconds: 5", "probes", "httpGet"},
		{"httpGet: {path: /readyz, port: interlock}", "httpGet: {path: /livez, port: interlock}", "probes", "startupProbe"},
		{"{path: /livez, port: interlock}", "{path: /livez, port: interlock, host: 127.0.0.1}", "probes", "livenessProbe"},
		{"{path: /livez, port: interlock}", "{path: /livez, port: interlock, scheme: HTTPS}", "probes", "livenessProbe"},
		{"{path: /livez, port: interlock}", "{path: /livez, port: 9909}", "probes", "livenessProbe"},
		{"          periodSeconds: 5\n", "", "probes", "period"},
		{"failureThreshold: 6\n", "failureThreshold: 2\n", "probes", "livenessProbe gives up"},
		{"timeoutSeconds: 5", "timeoutSeconds: 1", "probes", "timeout"},

		{"terminationGracePeriodSeconds: 90", "terminationGracePeriodSeconds: 62", "stop budget", "may take 1m2s"},
		{"      terminationGracePeriodSeconds: 90\n", "", "stop budget", "30s"},
		{"      grace: 40s", "      grace: 70s", "stop budget", "1m32s"},
		{"      grace: 90s", "      grace: 80s", "stop budget", "orchestrator.grace is 1m20s"},
		{"    health:", "    hooks: {pre_stop: {exec: [/bin/true]}}\n    health:", "stop budget", "1m32s"},
		{"    health:", "    hooks: {post_stop: {exec: [/bin/true]}}\n    health:", "stop budget", "1m32s"},
		{"    health:", "    budgets: {drain: 50s}\n    health:", "stop budget", "1m42s"},
		{"          failureThreshold: 60\n", "", "start budget", "30s"},
		{"failureThreshold: 60", "failureThreshold: 22", "start budget", "start may take 3m46s"},
		{"failureThreshold: 60", "failureThreshold: 61", "start budget", "orchestrator.start_budget"},
		{"    health:", "    restore: {exec: [/bin/restore]}\n    health:", "start budget", "2h3m46s"},
		{"settle: 10s", "settle: 10m", "start budget", "start may take 13m36s"},
		{"settle: 10s", "settle: 10s\n      hold_max: 15m", "start budget", "start may take 31m46s"},
		{"    health:", "    hooks: {pre_start: {exec: [/bin/true], timeout: 10m}}\n    health:", "start budget", "start may take 13m46s"},

		{dataMount, "- {name: data, mountPath: /var/lib/postgresql}", "storage", "mounts: /var/lib/postgresql/data"},
		{dataMount, "- {name: tmp, mountPath: /var/lib/postgresql/data}", "storage", "no claim"},
		{dataMount, "- {name: data, mountPath: /var/lib/postgresql/data, readOnly: true}", "storage", "written"},
		{dataMount, "- {name: data, mountPath: /var/lib/postgresql/data, subPath: x}", "storage", "whole"},
		{"    data: /var/lib/postgresql/data\n", "    data: /srv/data\n", "storage", "data: /srv/data"},
		{"state_dir: /var/lib/postgresql/data/.interlock", "state_dir: /tmp/.interlock", "storage", "state_dir"},
		{"    mounts:\n    - path: /var/lib/postgresql/data\n", "", "storage", "claim data"},
		{"- {name: interlock, mountPath: /opt/interlock}\n", "- {name: interlock, mountPath: /opt/interlock}\n        - {name: data, mountPath: /data}\n", "storage", "without the lock"},
		{dataMount, "- {name: data, mountPath: /srv}", "storage", "mounts: /var/lib/postgresql/data"},
		{"whenScaled: Retain", "whenScaled: Delete", "storage", "retained"},
		{"whenDeleted: Retain", "whenDeleted: Delete", "storage", "retained"},
		{"        fsGroupChangePolicy: OnRootMismatch\n", "", "storage", "fsGroupChangePolicy"},
		{"fsGroupChangePolicy: OnRootMismatch", "fsGroupChangePolicy: Always", "storage", "fsGroupChangePolicy"},
		{"- {name: run, mountPath", "- {name: runs, mountPath", "volumes", "no volume runs"},
		{"        - {name: run, mountPath: /var/run/postgresql}\n", "", "volumes", "volume run is mounted nowhere"},
		{"      - name: run\n", "      - {name: data, emptyDir: {sizeLimit: 1Mi}}\n      - name: run\n", "volumes", "claim too"},
		{"mountPath: /tmp}", "mountPath: /var/run/postgresql}", "volumes", "second one"},

		{"password_file: /etc/orders-lock/password", "password_file: /etc/orders-lock/passwd", "secrets", "lock.password_file"},
		{"ca: /etc/orders-lock/ca.crt", "ca: /etc/ssl/ca.crt", "secrets", "lock.tls.ca"},
		{"value: /etc/orders-postgresql/password", "value: /etc/orders-postgresql/pw", "secrets", "POSTGRES_PASSWORD_FILE"},
		{"- {name: POSTGRES_PASSWORD_FILE, value: /etc/orders-postgresql/password}",
			"- {name: POSTGRES_PASSWORD, valueFrom: {secretKeyRef: {name: x, key: password}}}", "secrets", "environment"},
		{"value: /etc/orders-postgresql/password", "value: /tmp/password", "secrets", "POSTGRES_PASSWORD_FILE"},
		{"mountPath: /etc/orders-lock, readOnly: true", "mountPath: /etc/orders-lock", "secrets", "lock.password_file"},
		{"key: password, path: password}", "key: password, path: password, mode: 0444}", "secrets", "lock.password_file"},
		{"          defaultMode: 0440\n", "", "secrets", "0440"},
		{"defaultMode: 0440", "defaultMode: 0444", "secrets", "0440"},
		{"defaultMode: 0440", "defaultMode: 440", "secrets", "0440"},
		{"      user: orders\n      password_file: /etc/orders-lock/password\n", "", "secrets", "no credentials"},

		{"fieldPath: metadata.uid", "fieldPath: metadata.name", "identity", "POD_UID"},
		{"name: NODE_NAME", "name: NODENAME", "identity", "NODE_NAME"},
		{"- name: POD_UID\n          valueFrom: {fieldRef: {fieldPath: metadata.uid}}\n        ", "", "identity", "POD_UID"},
		{"- {name: PGDATA,", "- {name: POD_NAME, value: x}\n        - {name: PGDATA,", "identity", "twice"},
		{"- {name: PGDATA,", "- {name: INTERLOCK_HOLDER, value: x}\n        - {name: PGDATA,", "identity", "by hand"},
		{"        env:\n", "        envFrom: [{configMapRef: {name: x}}]\n        env:\n", "identity", "envFrom"},
	}
}
