/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pool.h"

#define QUEUE_MAX ((size_t)1024 * 1024)
#define LINE_MAX_ ((size_t)32 * 1024)

struct audit {
	char *path;
	struct pool *pool;
	counter *lost;
	/* Of the job that writes, and of nobody else: there is one at a time. */
	int fd;
	bool torn; /* the last line ended in its middle */
	pthread_mutex_t lock;
	struct buf queue; /* whole lines */
	bool writing;     /* there is a job */
	bool reopen;
	bool failing; /* told, and not over */
	uint64_t lost_now;
};

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

bool audit_open(
	struct audit **ret_audit, const char *path, struct pool *pool, counter *lost, struct error *err)
{
	int fd = open_file(path);
	struct audit *audit;

	if (fd < 0)
		return error_sys(err, "log.audit: open %s", path);
	audit = xnew(struct audit);
	audit->fd = fd;
	audit->path = check_strdup(path);
	audit->pool = pool;
	audit->lost = lost;
	audit->queue = buf_limit(QUEUE_MAX);
	pthread_mutex_init(&audit->lock, NULL);
	*ret_audit = audit;
	return true;
}

/* Losing lines is told once, and how many they were when it is over. */

static void lose_line(struct audit *audit, const char *why)
{
	bool tell;

	counter_add(audit->lost, 1);
	pthread_mutex_lock(&audit->lock);
	tell = !audit->failing;
	audit->failing = true;
	audit->lost_now++;
	pthread_mutex_unlock(&audit->lock);
	if (tell)
		log_error("audit.failed", "file=%s error=%s changes are not recorded until this is over",
			log_quote(str_of(audit->path)), log_quote(str_of(why)));
}

static void tell_end(struct audit *audit)
{
	uint64_t lost;

	pthread_mutex_lock(&audit->lock);
	lost = audit->lost_now;
	audit->lost_now = 0;
	audit->failing = false;
	pthread_mutex_unlock(&audit->lock);
	if (lost)
		log_warn("audit.resumed", "file=%s lost=%" PRIu64, log_quote(str_of(audit->path)), lost);
}

/* Writing. */

static void reopen(struct audit *audit)
{
	int fd = open_file(audit->path);
	struct error err;

	if (fd < 0) {
		(void)error_sys(&err, "open %s", audit->path);
		log_error("audit.reopen", "error=%s the old file is written on", log_quote(str_of(err.text)));
		return;
	}
	(void)close(audit->fd);
	audit->fd = fd;
	audit->torn = false;
}

static bool write_line(struct audit *audit, struct str line, struct error *err)
{
	ssize_t n;

	if (audit->torn && write(audit->fd, "\n", 1) != 1)
		return error_sys(err, "write");
	audit->torn = false;
	do
		n = write(audit->fd, line.at, line.len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)line.len)
		return true;
	audit->torn = n > 0;
	if (n >= 0)
		return error_set(err, ERROR_FULL, NULL, "the line was cut, the disk is full");
	return error_sys(err, "write");
}

static void write_lines(struct audit *audit, struct str lines)
{
	struct error err;
	struct str rest = lines, line;

	while (str_until(&rest, '\n', &line)) {
		if (write_line(audit, str_from(line.at, line.len + 1), &err))
			tell_end(audit);
		else
			lose_line(audit, err.text);
	}
}

/* Takes what is in the queue; false when there is nothing to do. */
static bool take_queue(struct audit *audit, struct buf *ret_lines, bool *ret_reopen)
{
	pthread_mutex_lock(&audit->lock);
	*ret_lines = audit->queue;
	*ret_reopen = audit->reopen;
	audit->queue = buf_limit(QUEUE_MAX);
	audit->reopen = false;
	audit->writing = ret_lines->len > 0 || *ret_reopen;
	bool some = audit->writing;
	pthread_mutex_unlock(&audit->lock);
	return some;
}

static void run(void *arg)
{
	struct audit *audit = arg;
	struct buf lines;
	bool again;

	while (take_queue(audit, &lines, &again)) {
		if (again)
			reopen(audit);
		write_lines(audit, buf_str(&lines));
		buf_fini(&lines);
	}
	buf_fini(&lines);
}

void audit_free(struct audit *audit)
{
	if (!audit)
		return;
	run(audit);
	(void)close(audit->fd);
	pthread_mutex_destroy(&audit->lock);
	free(audit->path);
	free(audit);
}

/* Queueing. */

static void format_line(const struct audit_event *event, struct buf *into)
{
	struct json_writer w = json_writer(into);
	char time[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_wall_ms(), time);
	json_open_object(&w);
	json_put_text(&w, "time", time);
	json_put_text(&w, "level", "info");
	json_put_text(&w, "message", "HTTP API Audit");
	json_put_text(&w, "clientIP", event->client);
	json_put_text(&w, "subject", event->subject);
	if (*event->apikey)
		json_put_text(&w, "apikey", event->apikey);
	if (*event->peer)
		json_put_text(&w, "peer", event->peer);
	json_put_text(&w, "action", event->action);
	json_put_str(&w, "object", event->object);
	json_put_uint(&w, "status", event->status);
	json_close_object(&w);
	buf_putc(into, '\n');
}

void audit_put(struct audit *audit, const struct audit_event *event)
{
	AUTO_FINI(buf) line = buf_limit(LINE_MAX_);
	bool fits, begin = false;

	if (!audit)
		return;
	format_line(event, &line);
	pthread_mutex_lock(&audit->lock);
	fits = !line.failed && line.len <= QUEUE_MAX - audit->queue.len;
	if (fits) {
		buf_add(&audit->queue, buf_str(&line));
		begin = !audit->writing;
		audit->writing = true;
	}
	pthread_mutex_unlock(&audit->lock);
	if (!fits)
		lose_line(audit, "the disk does not keep up: the queue is full");
	if (begin)
		pool_push(audit->pool, run, audit);
}

void audit_reopen(struct audit *audit)
{
	bool begin;

	if (!audit)
		return;
	pthread_mutex_lock(&audit->lock);
	audit->reopen = true;
	begin = !audit->writing;
	audit->writing = true;
	pthread_mutex_unlock(&audit->lock);
	if (begin)
		pool_push(audit->pool, run, audit);
}
