/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/ceiling_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/log.h"
#include "common/pool.h"
#include "worker/cluster/ceilings.h"
#include "worker/cluster/quota.h"

#define SAY_MOST    10
#define SAY_SPAN_MS 60000

struct ceiling_writer {
	struct quotas *quotas;
	struct pool *pool;
	atomic_bool running, again;

	pthread_mutex_t lock; /* the file's */
	struct ceilings *file;
	bool closed;
	struct few said;
};

struct ceiling_writer *ceiling_writer_new(
	struct quotas *quotas, struct pool *pool, const char *path, const char *boot)
{
	struct ceiling_writer *writer = xnew(struct ceiling_writer);

	writer->quotas = quotas;
	writer->pool = pool;
	writer->file = ceilings_new(path, boot);
	pthread_mutex_init(&writer->lock, NULL);
	return writer;
}

void ceiling_writer_free(struct ceiling_writer *writer)
{
	if (!writer)
		return;
	ceilings_free(writer->file);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

static void say(struct ceiling_writer *writer, const struct error *err, bool gone)
{
	if (few_take(&writer->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error("ceilings.write", "error=%s %s", log_quote(str_of(err->text)),
			gone ? "a kill now leaves grants reserved until their day is over"
			     : "calls beyond the ceilings on disk are refused");
}

static void failed(struct ceiling_writer *writer, const struct error *err)
{
	struct error why;
	bool gone = ceilings_remove(writer->file, &why);

	say(writer, err, gone);
	quotas_ceilings_failed(writer->quotas, gone);
}

static void write_once(struct ceiling_writer *writer)
{
	bool all = ceilings_wants_all(writer->file), ok;
	struct ceiling *list;
	size_t len = quotas_ceilings_take(writer->quotas, all, &list);
	struct error err;

	if (len) {
		ok = all ? ceilings_write(writer->file, list, len, &err)
			 : ceilings_append(writer->file, list, len, &err);
		if (ok)
			quotas_ceilings_done(writer->quotas, list, len);
		else
			failed(writer, &err);
	}
	ceiling_list_free(list, len);
}

static void run(void *arg)
{
	struct ceiling_writer *writer = arg;

	do {
		atomic_store(&writer->again, false);
		pthread_mutex_lock(&writer->lock);
		if (!writer->closed)
			write_once(writer);
		pthread_mutex_unlock(&writer->lock);
		atomic_store(&writer->running, false);
	} while (atomic_load(&writer->again) && !atomic_exchange(&writer->running, true));
}

void ceiling_writer_kick(struct ceiling_writer *writer)
{
	atomic_store(&writer->again, true);
	if (!atomic_exchange(&writer->running, true))
		pool_push(writer->pool, run, writer);
}

void ceiling_writer_close(struct ceiling_writer *writer)
{
	struct error err;

	pthread_mutex_lock(&writer->lock);
	writer->closed = true;
	if (!ceilings_remove(writer->file, &err))
		log_warn("ceilings.remove", "error=%s", log_quote(str_of(err.text)));
	pthread_mutex_unlock(&writer->lock);
}
