/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many_workers - the leader's side of many workers, in one thread: each polls the state and beats as docs/cluster-protocol.md has it.
 *
 *     many_workers PORT WORKERS LOGIN LOG
 *
 * LOGIN is the value of Authorization. A worker has two connections, one with a poll that is parked and one for its beats, which are spread over the
 * time between two of them. What it is told is counted and thrown away: a real one would apply it. It goes on with the revision, the digest, the
 * history, the leader and the witness of the answers. "ready" is printed once each has a state and was answered a beat.
 * LOG gets a line for each delta: revision, CLOCK_MONOTONIC in ns. A line of stdin prints the figures so far: polls, beats, bytes in, bytes out. Ends with stdin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX  8192
#define BODY_KEPT 4096
#define TEXT      96

struct conn {
	struct worker *worker;
	int fd;
	bool is_poll, busy;
	size_t len;   /* of the answer's head, or of what is kept of its body */
	int64_t left; /* of the body; -1: the head is read */
	unsigned status;
	char head[HEAD_MAX], body[BODY_KEPT];
};

struct worker {
	unsigned number;
	struct conn poll, beat;
	uint64_t revision, beats, generation;
	char digest[TEXT], cluster[TEXT], leader[TEXT], witness[TEXT];
	int64_t beat_at_ns;
	bool ready, beat_soon;
};

static struct worker *workers;
static unsigned workers_len, ready_len;
static struct sockaddr_in address;
static const char *login;
static FILE *arrivals;
static int events;
static int64_t push_every_ns = 2000000000;
static uint64_t polls, beats, bytes_in, bytes_out;

static void fail(const char *what)
{
	(void)fprintf(stderr, "many_workers: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The text between `before` and `end`, as far as there is room. */
static bool find(const char *text, const char *before, char end, char into[TEXT])
{
	const char *at = strstr(text, before);
	size_t len = 0;

	if (!at)
		return false;
	at += strlen(before);
	while (at[len] && at[len] != end && len + 1 < TEXT)
		len++;
	memcpy(into, at, len);
	into[len] = '\0';
	return true;
}

static uint64_t find_number(const char *text, const char *before)
{
	char found[TEXT];

	return find(text, before, '\r', found) ? strtoull(found, NULL, 10) : 0;
}

static void connect_to(struct conn *conn)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
	int one = 1;

	conn->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("connect");
	(void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)fcntl(conn->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(events, EPOLL_CTL_ADD, conn->fd, &event) != 0)
		fail("epoll_ctl");
}

static void send_all(struct conn *conn, const char *text, size_t len)
{
	if (write(conn->fd, text, len) != (ssize_t)len)
		fail("write");
	bytes_out += len;
	conn->busy = true;
	conn->len = 0;
	conn->left = -1;
}

static int put_head(const struct worker *worker, char *into, size_t size)
{
	return snprintf(into, size,
		"Host: 127.0.0.1:%u\r\nAuthorization: %s\r\nZot-Worker-Id: %032x\r\nZot-Worker-Name: "
		"worker-%04u\r\n"
		"Zot-Worker-Url: http://worker-%04u:5000\r\n",
		ntohs(address.sin_port), login, worker->number + 1, worker->number, worker->number);
}

static void send_poll(struct worker *worker)
{
	char text[2048], history[2 * TEXT] = "";
	int len;

	if (worker->revision)
		(void)snprintf(history, sizeof(history), "&digest=%s&cluster=%.32s&generation=%" PRIu64,
			worker->digest, worker->cluster, worker->generation);
	len = snprintf(text, sizeof(text), "GET /api/cluster/state?since=%" PRIu64 "%s&wait=%d HTTP/1.1\r\n",
		worker->revision, history, worker->revision ? 25000 : 0);
	len += put_head(worker, text + len, sizeof(text) - (size_t)len);
	len += snprintf(text + len, sizeof(text) - (size_t)len, "Accept-Encoding: gzip\r\n\r\n");
	send_all(&worker->poll, text, (size_t)len);
}

static void send_beat(struct worker *worker)
{
	char text[4096], body[2048];
	int len, body_len;

	body_len = snprintf(body, sizeof(body),
		"{\"worker\":\"worker-%04u\",\"process\":\"%032x\",\"boot\":\"%032x\",\"number\":%" PRIu64
		",\"after\":0,\"seq\":0,\"final\":false,\"all\":true,\"url\":\"http://"
		"worker-%04u:5000\",\"zone\":\"\",\"tenants\":\"\","
		"\"version\":\"0.2.0\",\"state\":\"active\",\"revision\":%" PRIu64
		",\"state_digest\":\"%s\",\"cluster\":\"%s\",\"generation\":%" PRIu64
		",\"state_age_ms\":0,\"secret\":1,\"complaints\":\"\",\"leader\":\"%s\",\"witness\":\"%s\","
		"\"usage\":[],"
		"\"repositories\":[],\"demands\":[],\"quotas\":[],\"stats\":{\"rate_milli\":0,\"requests\":0,"
		"\"open_requests\":0,"
		"\"bytes_in\":0,\"bytes_out\":0,\"rss\":13082624,\"cpu_ms\":10,\"uptime_ms\":28,\"p50_us\":0,"
		"\"p99_us\":0,\"proxied\":0,"
		"\"s3_requests\":0,\"spool_bytes\":0,\"errors\":0,\"uploads\":0,\"chores\":0,\"chore\":\"\","
		"\"chore_ms\":0,"
		"\"chore_failures\":0,\"chore_failed_ms\":0}}",
		worker->number, worker->number + 1, worker->number + 1, ++worker->beats, worker->number,
		worker->revision, worker->digest, worker->cluster, worker->generation, worker->leader,
		worker->witness);
	len = snprintf(text, sizeof(text), "PUT /api/cluster/quotas HTTP/1.1\r\n");
	len += put_head(worker, text + len, sizeof(text) - (size_t)len);
	len += snprintf(text + len, sizeof(text) - (size_t)len,
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", body_len, body);
	worker->beat_soon = false;
	worker->beat_at_ns = now_ns() + push_every_ns;
	send_all(&worker->beat, text, (size_t)len);
}

static void note_ready(struct worker *worker)
{
	if (worker->ready || !worker->revision || !*worker->leader)
		return;
	worker->ready = true;
	if (++ready_len == workers_len)
		(void)puts("ready"), (void)fflush(stdout);
}

static void on_poll(struct worker *worker)
{
	const char *head = worker->poll.head;

	polls++;
	if (worker->poll.status == 200) {
		worker->revision = find_number(head, "\r\nZot-State-Revision: ");
		(void)find(head, "\r\nZot-State-Result: ", '\r', worker->digest);
		(void)find(head, "\r\nZot-Cluster-Id: ", '\r', worker->cluster);
		worker->generation = find_number(head, "\r\nZot-Cluster-Generation: ");
		(void)fprintf(arrivals, "%" PRIu64 " %" PRId64 "\n", worker->revision, now_ns());
		note_ready(worker);
	} else if (worker->poll.status != 304) {
		(void)fprintf(stderr, "poll: %s\n", head);
		exit(1);
	}
	worker->beat_soon |= strstr(head, "\r\nZot-Report: now\r\n") != NULL;
	send_poll(worker);
}

static void on_beat(struct worker *worker)
{
	char every[TEXT];

	beats++;
	if (worker->beat.status != 200) {
		(void)fprintf(stderr, "beat: %s%s\n", worker->beat.head, worker->beat.body);
		exit(1);
	}
	(void)find(worker->beat.body, "\"leader\":\"", '"', worker->leader);
	(void)find(worker->beat.body, "\"witness\":\"", '"', worker->witness);
	if (find(worker->beat.body, "\"push_every_ms\":", ',', every))
		push_every_ns = strtoll(every, NULL, 10) * 1000000;
	note_ready(worker);
}

static void on_answer(struct conn *conn)
{
	conn->busy = false;
	if (conn->is_poll)
		on_poll(conn->worker);
	else
		on_beat(conn->worker);
}

/* The head is there: what follows it is the body's. */
static void on_head(struct conn *conn, char *end)
{
	size_t more = conn->len - (size_t)(end + 4 - conn->head),
	       kept = more < BODY_KEPT - 1 ? more : BODY_KEPT - 1;

	memcpy(conn->body, end + 4, kept);
	end[2] = '\0';
	conn->status = (unsigned)strtoul(conn->head + 9, NULL, 10);
	conn->left = conn->status == 304 ? 0 : (int64_t)find_number(conn->head, "\r\nContent-Length: ");
	conn->left -= (int64_t)more;
	conn->len = kept;
	conn->body[kept] = '\0';
}

static void on_bytes(struct conn *conn)
{
	static char waste[256 * 1024];
	ssize_t got;

	if (conn->left < 0) {
		got = read(conn->fd, conn->head + conn->len, HEAD_MAX - 1 - conn->len);
	} else {
		got = read(conn->fd, waste,
			sizeof(waste) < (size_t)conn->left ? sizeof(waste) : (size_t)conn->left);
	}
	if (got <= 0)
		fail("read");
	bytes_in += (uint64_t)got;
	if (conn->left < 0) {
		conn->len += (size_t)got;
		conn->head[conn->len] = '\0';
		char *end = strstr(conn->head, "\r\n\r\n");
		if (!end)
			return;
		on_head(conn, end);
	} else {
		size_t kept =
			(size_t)got < BODY_KEPT - 1 - conn->len ? (size_t)got : BODY_KEPT - 1 - conn->len;

		memcpy(conn->body + conn->len, waste, kept);
		conn->len += kept;
		conn->body[conn->len] = '\0';
		conn->left -= got;
	}
	if (!conn->left)
		on_answer(conn);
}

static bool on_stdin(void)
{
	char line[64];

	if (read(0, line, sizeof(line)) <= 0)
		return false;
	(void)fflush(arrivals);
	(void)printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", polls, beats, bytes_in, bytes_out);
	(void)fflush(stdout);
	return true;
}

static void beat_due(void)
{
	int64_t now = now_ns();

	for (unsigned i = 0; i < workers_len; i++)
		if (!workers[i].beat.busy && (workers[i].beat_soon || workers[i].beat_at_ns <= now))
			send_beat(&workers[i]);
}

static void start(void)
{
	for (unsigned i = 0; i < workers_len; i++) {
		struct worker *worker = &workers[i];

		worker->number = i;
		worker->poll = (struct conn){ .worker = worker, .is_poll = true };
		worker->beat = (struct conn){ .worker = worker };
		worker->beat_at_ns = now_ns() + push_every_ns * i / workers_len;
		connect_to(&worker->poll);
		connect_to(&worker->beat);
		send_poll(worker);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event in = { .events = EPOLLIN }, some[256];

	if (argc != 5) {
		(void)fputs("usage: many_workers PORT WORKERS LOGIN LOG\n", stderr);
		return 2;
	}
	address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	workers_len = (unsigned)atoi(argv[2]);
	login = argv[3];
	arrivals = fopen(argv[4], "w");
	workers = calloc(workers_len, sizeof(*workers));
	events = epoll_create1(0);
	if (!arrivals || !workers || events < 0 || epoll_ctl(events, EPOLL_CTL_ADD, 0, &in) != 0)
		fail("start");
	start();
	for (;;) {
		int len = epoll_wait(events, some, 256, 5);

		for (int i = 0; i < len; i++) {
			if (some[i].data.ptr)
				on_bytes(some[i].data.ptr);
			else if (!on_stdin())
				return 0;
		}
		beat_due();
	}
}
