/* payload SOCKET: tells over a unix socket when its main began, then waits to
 * be killed. The kernel closes the socket when it dies: that is how the
 * reader sees its death. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (argc != 2 || strlen(argv[1]) >= sizeof a.sun_path)
		return 64;
	strcpy(a.sun_path, argv[1]);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
		perror("payload: connect");
		return 69;
	}
	if (dprintf(s, "%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec) < 0)
		return 69;
	for (;;)
		pause();
}
