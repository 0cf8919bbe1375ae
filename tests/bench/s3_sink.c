/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_sink - as much of S3 as a push of a blob asks for, as fast as a machine can take bytes, or as slow and as strict as it is told.
 *
 *     s3_sink PORT [check] [no-sums] [forgets-sums] [refuse-unsigned] [mib-per-second=N]
 *
 *   by default        bodies are thrown away in the kernel (MSG_TRUNC): the sink costs next to nothing
 *   check             each body is kept, its crc32c and sha256 are compared with what was announced (400 BadDigest), and an
 *                     object is complete only if its key names its digest
 *   no-sums           of the headers of sums nothing is known: they are not answered
 *   forgets-sums      creating answers that there are sums, parts do not
 *   refuse-unsigned   a body whose hash is not signed: 403
 *   mib-per-second    all bodies together
 *
 *   GET /stats        {"objects": , "bytes": , "parts": , "puts": , "open": , "aborted": , "unsigned": , "signed": , "bad": , "heads": , "creates": }
 *                     unsigned, signed: parts, also those that were refused. heads: of blobs. puts: of blobs too
 *
 * One thread for each of two sockets on the port. Signatures are not looked at.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/crypto.h"

#define THREADS  2
#define HEAD_MAX 16384
#define OBJECTS  4096
#define PARTS    1000

struct body {
	char *bytes; /* of one that is checked */
	size_t len;
};

struct object {
	char key[512];
	bool is_open; /* a multipart upload, whose id is its place */
	unsigned version;
	size_t len;
	struct body parts[PARTS];
	unsigned parts_len;
};

struct conn {
	int fd;
	char head[HEAD_MAX];
	size_t len; /* of the head */
	bool has_head;
	size_t left; /* of the body */
	struct body body;
	size_t size;
	int64_t begun_ns;
};

static struct {
	bool check, no_sums, forgets_sums, refuse_unsigned;
	double bytes_per_ns;
} how;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *objects[OBJECTS];
static unsigned objects_len, versions;
static struct {
	unsigned long long bytes, parts, puts, aborted, unsigned_, signed_, bad, heads, creates;
} stats;
static int64_t free_at_ns; /* of the line, where it is slow */

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const char *header(const struct conn *conn, const char *name, char *into, size_t size)
{
	size_t len = strlen(name);

	for (const char *at = strchr(conn->head, '\n'); at; at = strchr(at + 1, '\n')) {
		if (strncasecmp(at + 1, name, len) || at[1 + len] != ':')
			continue;
		(void)snprintf(into, size, "%.*s", (int)strcspn(at + len + 3, "\r\n"), at + len + 3);
		return into;
	}
	return NULL;
}

/* ---- objects, under the lock ---- */

static struct object *find(const char *key)
{
	for (unsigned i = 0; i < objects_len; i++)
		if (objects[i] && !objects[i]->is_open && !strcmp(objects[i]->key, key))
			return objects[i];
	return NULL;
}

static struct object *add(const char *key, bool is_open)
{
	struct object *object = xnew(struct object);

	CHECK(objects_len < OBJECTS);
	(void)snprintf(object->key, sizeof object->key, "%s", key);
	object->is_open = is_open;
	objects[objects_len++] = object;
	return object;
}

static void drop(unsigned at)
{
	for (unsigned i = 0; i < PARTS; i++)
		free(objects[at]->parts[i].bytes);
	free(objects[at]);
	objects[at] = NULL;
}

/* ".../blobs/sha256/<hex>": the bytes of all parts. */
static bool has_digest(const struct object *object)
{
	const char *wanted = strstr(object->key, "/blobs/sha256/");
	struct hasher *hasher = hasher_new(HASH_SHA256);
	uint8_t raw[HASH_MAX];
	char hex[65];

	for (unsigned i = 0; i < object->parts_len; i++)
		hasher_add(hasher, object->parts[i].bytes, object->parts[i].len);
	hasher_result(hasher, raw);
	hasher_free(hasher);
	str_hex(raw, 32, hex);
	return !wanted || !strcmp(wanted + strlen("/blobs/sha256/"), hex);
}

/* ---- answers ---- */

static void send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (sent <= 0)
			return;
		bytes += sent;
		len -= (size_t)sent;
	}
}

static void write_date(char into[64])
{
	time_t now = time(NULL);
	struct tm tm;

	CHECK(gmtime_r(&now, &tm) && strftime(into, 64, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}

static void answer(const struct conn *conn, const char *status, const char *headers, const char *body)
{
	char text[4096], date[64];

	write_date(date);
	int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nDate: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
		status, date, headers, strlen(body), strncmp(conn->head, "HEAD", 4) ? body : "");
	send_all(conn->fd, text, (size_t)len);
}

static void refuse(const struct conn *conn, const char *status, const char *code)
{
	char text[256];

	(void)snprintf(text, sizeof text, "<Error><Code>%s</Code><Message>no</Message></Error>", code);
	answer(conn, status, "Content-Type: application/xml\r\n", text);
}

/* ---- bodies ---- */

static bool is_right(const struct conn *conn)
{
	char sum[64], hash[128];
	uint8_t raw[4];

	if (how.check && !how.no_sums && header(conn, "x-amz-checksum-crc32c", sum, sizeof sum)) {
		uint32_t found = crc32c_add(0, conn->body.bytes, conn->body.len);
		AUTO_FINI(buf) text = buf_limit(64);

		for (unsigned i = 0; i < 4; i++)
			raw[i] = (uint8_t)(found >> 8 * (3 - i));
		buf_base64(&text, raw, sizeof raw);
		if (strcmp(buf_text(&text), sum) != 0)
			return false;
	}
	if (how.check && header(conn, "x-amz-content-sha256", hash, sizeof hash) && strlen(hash) == 64) {
		char found[65];

		hash_sha256_hex(str_from(conn->body.bytes, conn->body.len), found);
		return !strcmp(found, hash);
	}
	return true;
}

static void answer_body(struct conn *conn, const char *key, const char *query)
{
	char headers[256] = "ETag: \"0123456789abcdef0123456789abcdef\"\r\n", sum[64], hash[128];
	const char *part = strstr(query, "partNumber="), *id = strstr(query, "uploadId=");
	bool is_signed = header(conn, "x-amz-content-sha256", hash, sizeof hash) && strlen(hash) == 64;

	stats.signed_ += id && is_signed;
	stats.unsigned_ += id && !is_signed;
	if (how.refuse_unsigned && !is_signed) {
		refuse(conn, "403 Forbidden", "AccessDenied");
		return;
	}
	if (!is_right(conn)) {
		stats.bad++;
		refuse(conn, "400 Bad Request", "BadDigest");
		return;
	}
	stats.bytes += conn->size;
	if (id) {
		unsigned at = (unsigned)strtoul(id + 9, NULL, 10),
			 n = (unsigned)strtoul(part ? part + 11 : "0", NULL, 10);

		if (at >= objects_len || !objects[at] || !objects[at]->is_open || !n || n > PARTS) {
			refuse(conn, "404 Not Found", "NoSuchUpload");
			return;
		}
		free(objects[at]->parts[n - 1].bytes);
		objects[at]->parts[n - 1] = (struct body){ TAKE(conn->body.bytes), conn->size };
		if (n > objects[at]->parts_len)
			objects[at]->parts_len = n;
		stats.parts++;
	} else {
		struct object *object = find(key) ? find(key) : add(key, false);

		free(object->parts[0].bytes);
		object->parts[0] = (struct body){ TAKE(conn->body.bytes), conn->size };
		object->parts_len = 1;
		object->len = conn->size;
		object->version = ++versions;
		(void)snprintf(headers, sizeof headers, "ETag: \"%032u\"\r\n", object->version);
		stats.puts += strstr(key, "/blobs/") != NULL;
	}
	if (!how.no_sums && !how.forgets_sums && header(conn, "x-amz-checksum-crc32c", sum, sizeof sum))
		(void)snprintf(headers + strlen(headers), sizeof headers - strlen(headers),
			"x-amz-checksum-crc32c: %s\r\n", sum);
	answer(conn, "200 OK", headers, "");
}

static void create(const struct conn *conn, const char *key)
{
	char text[512], algorithm[64];

	add(key, true);
	stats.creates++;
	(void)snprintf(text, sizeof text,
		"<InitiateMultipartUploadResult><UploadId>%u</UploadId></InitiateMultipartUploadResult>",
		objects_len - 1);
	answer(conn, "200 OK",
		!how.no_sums && header(conn, "x-amz-checksum-algorithm", algorithm, sizeof algorithm)
			? "x-amz-checksum-algorithm: CRC32C\r\n"
			: "",
		text);
}

static void complete(const struct conn *conn, unsigned at)
{
	struct object *object = at < objects_len ? objects[at] : NULL;

	if (!object || !object->is_open) {
		refuse(conn, "404 Not Found", "NoSuchUpload");
		return;
	}
	for (unsigned i = 0; i < object->parts_len; i++)
		object->len += object->parts[i].len;
	if (how.check && !has_digest(object)) {
		stats.bad++;
		refuse(conn, "400 Bad Request", "InvalidPart");
		return;
	}
	object->is_open = false;
	answer(conn, "200 OK", "",
		"<CompleteMultipartUploadResult><ETag>&quot;0123456789abcdef0123456789abcdef-2&quot;</ETag></"
		"CompleteMultipartUploadResult>");
}

static void tell_stats(const struct conn *conn)
{
	unsigned long long whole = 0, open = 0;
	char text[1024];

	for (unsigned i = 0; i < objects_len; i++) {
		open += objects[i] && objects[i]->is_open;
		whole += objects[i] && !objects[i]->is_open;
	}
	(void)snprintf(text, sizeof text,
		"{\"objects\": %llu, \"bytes\": %llu, \"parts\": %llu, \"puts\": %llu, \"open\": %llu, "
		"\"aborted\": %llu, \"unsigned\": %llu, "
		"\"signed\": %llu, \"bad\": %llu, \"heads\": %llu, \"creates\": %llu}",
		whole, stats.bytes, stats.parts, stats.puts, open, stats.aborted, stats.unsigned_,
		stats.signed_, stats.bad, stats.heads, stats.creates);
	answer(conn, "200 OK", "Content-Type: application/json\r\n", text);
}

static void answer_get(const struct conn *conn, const char *key, bool is_head)
{
	const struct object *object = find(key);
	char headers[256], date[64];

	stats.heads += is_head && strstr(key, "/blobs/");
	if (!strcmp(key, "stats")) {
		tell_stats(conn);
	} else if (!object && is_head && !strchr(key, '/')) {
		answer(conn, "200 OK", "", ""); /* the bucket */
	} else if (!object) {
		refuse(conn, "404 Not Found", "NoSuchKey");
	} else if (is_head) {
		/* As old as this answer. */
		write_date(date);
		int len = snprintf(headers, sizeof headers,
			"HTTP/1.1 200 OK\r\nETag: \"%032u\"\r\nLast-Modified: %s\r\nContent-Length: "
			"%zu\r\n\r\n",
			object->version, date, object->len);
		send_all(conn->fd, headers, (size_t)len);
	} else if (object->parts_len == 1 && object->parts[0].bytes) {
		int len = snprintf(headers, sizeof headers,
			"HTTP/1.1 200 OK\r\nETag: \"%032u\"\r\nContent-Length: %zu\r\n\r\n", object->version,
			object->len);
		send_all(conn->fd, headers, (size_t)len);
		send_all(conn->fd, object->parts[0].bytes, object->len);
	} else {
		refuse(conn, "404 Not Found", "NoSuchKey");
	}
}

static const char EMPTY_LIST[] = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
static const char EMPTY_UPLOADS[] =
	"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";

/* With quotes or without. */
static bool is_version(const struct object *object, const char *etag)
{
	return object && strtoul(etag + strspn(etag, "\"0"), NULL, 10) == object->version;
}

static void act(struct conn *conn)
{
	char method[8], target[4096], *query, *key, match[64];
	const char *id;

	if (sscanf(conn->head, "%7s /%4095s", method, target) != 2)
		return;
	query = target + strcspn(target, "?");
	if (*query)
		*query++ = '\0';
	key = strchr(target, '/');
	key = key && key[1] ? key + 1 : target;
	id = strstr(query, "uploadId=");
	if (!strcmp(method, "PUT") && !id && header(conn, "If-None-Match", match, sizeof match) && find(key))
		refuse(conn, "412 Precondition Failed", "PreconditionFailed");
	else if (!strcmp(method, "PUT") && header(conn, "If-Match", match, sizeof match) &&
		 !is_version(find(key), match))
		refuse(conn, "412 Precondition Failed", "PreconditionFailed");
	else if (!strcmp(method, "PUT"))
		answer_body(conn, key, query);
	else if (!strcmp(method, "POST") && id)
		complete(conn, (unsigned)strtoul(id + 9, NULL, 10));
	else if (!strcmp(method, "POST"))
		create(conn, key);
	else if (!strcmp(method, "DELETE")) {
		unsigned at = id ? (unsigned)strtoul(id + 9, NULL, 10) : OBJECTS;

		for (unsigned i = 0; !id && i < objects_len; i++)
			if (objects[i] && !objects[i]->is_open && !strcmp(objects[i]->key, key))
				at = i;
		if (id && at < objects_len && objects[at])
			stats.aborted++;
		if (at < objects_len && objects[at])
			drop(at);
		answer(conn, "204 No Content", "", "");
	} else if (strstr(query, "list-type="))
		answer(conn, "200 OK", "", EMPTY_LIST);
	else if (strstr(query, "uploads"))
		answer(conn, "200 OK", "", EMPTY_UPLOADS);
	else
		answer_get(conn, key, !strcmp(method, "HEAD"));
}

/* ---- connections ---- */

/* A line that takes so many bytes in its time: this body's turn ends then. */
static void take_time(size_t len)
{
	int64_t until;

	if (how.bytes_per_ns <= 0)
		return;
	(void)pthread_mutex_lock(&lock);
	until = now_ns();
	if (free_at_ns > until)
		until = free_at_ns;
	until += (int64_t)((double)len / how.bytes_per_ns);
	free_at_ns = until;
	(void)pthread_mutex_unlock(&lock);
	while (now_ns() < until) {
		struct timespec rest = { .tv_nsec = 100000 };

		(void)nanosleep(&rest, NULL);
	}
}

static bool is_kept(const struct conn *conn)
{
	return how.check || conn->size <= 65536;
}

static bool read_head(struct conn *conn)
{
	ssize_t got = recv(conn->fd, conn->head + conn->len, HEAD_MAX - 1 - conn->len, MSG_PEEK);
	char *end, length[32];
	size_t before = conn->len;

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	conn->len += (size_t)got;
	conn->head[conn->len] = '\0';
	end = strstr(conn->head, "\r\n\r\n");
	if (end)
		conn->len = (size_t)(end - conn->head) + 4;
	CHECK(recv(conn->fd, conn->head + before, conn->len - before, 0) == (ssize_t)(conn->len - before));
	conn->head[conn->len] = '\0';
	if (!end)
		return conn->len < HEAD_MAX - 1;
	conn->has_head = true;
	conn->size = conn->left =
		header(conn, "Content-Length", length, sizeof length) ? strtoull(length, NULL, 10) : 0;
	conn->body = (struct body){ is_kept(conn) && conn->size ? malloc(conn->size) : NULL, 0 };
	return true;
}

static bool read_body(struct conn *conn)
{
	size_t most = conn->left < 1048576 ? conn->left : 1048576;
	ssize_t got = conn->body.bytes ? recv(conn->fd, conn->body.bytes + conn->body.len, most, 0)
				       : recv(conn->fd, NULL, most, MSG_TRUNC);

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	take_time((size_t)got);
	conn->left -= (size_t)got;
	conn->body.len += (size_t)got;
	return true;
}

/* False: it is over. */
static bool go_on(struct conn *conn)
{
	if (!(conn->has_head ? read_body(conn) : read_head(conn)))
		return false;
	if (!conn->has_head || conn->left)
		return true;
	(void)pthread_mutex_lock(&lock);
	act(conn);
	(void)pthread_mutex_unlock(&lock);
	free(conn->body.bytes);
	conn->body = (struct body){ 0 };
	conn->has_head = false;
	conn->len = 0;
	return true;
}

static void *serve(void *arg)
{
	int one = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(*(uint16_t *)arg),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct epoll_event event = { .events = EPOLLIN };

	CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
	CHECK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
	CHECK(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1024) == 0);
	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) == 0);
	for (;;) {
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		struct conn *conn = event.data.ptr;

		if (conn && !go_on(conn)) {
			(void)close(conn->fd);
			free(conn->body.bytes);
			free(conn);
		} else if (!conn) {
			int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

			if (fd < 0)
				continue;
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			conn = xnew(struct conn);
			conn->fd = fd;
			event = (struct epoll_event){ .events = EPOLLIN, .data.ptr = conn };
			CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	uint16_t port = argc > 1 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0;

	if (!port) {
		(void)fprintf(stderr, "usage: s3_sink PORT [check] [no-sums] [forgets-sums] "
				      "[refuse-unsigned] [mib-per-second=N]\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		how.check |= !strcmp(argv[i], "check");
		how.no_sums |= !strcmp(argv[i], "no-sums");
		how.forgets_sums |= !strcmp(argv[i], "forgets-sums");
		how.refuse_unsigned |= !strcmp(argv[i], "refuse-unsigned");
		if (!strncmp(argv[i], "mib-per-second=", 15))
			how.bytes_per_ns = strtod(argv[i] + 15, NULL) * 1048576 / 1e9;
	}
	for (int i = 1; i < THREADS; i++)
		CHECK(pthread_create(&thread, NULL, serve, &port) == 0);
	(void)serve(&port);
	return 0;
}
