/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/repo_sizes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/pool.h"
#include "worker/front/front.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define EVERY_MS    60000
#define PAUSE_TIMES 50

struct size {
	char name[NAME_MAX_LEN + 1];
	uint64_t bytes;
	bool known;
};

struct job {
	struct store *store;
	struct size *at;
	size_t len;
};

/* One worker a process. */
static struct {
	pthread_mutex_t lock;
	bool running;
	int64_t next_ms;
	struct size *at; /* by name */
	size_t len;
} sizes = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct size *)a)->name, ((const struct size *)b)->name);
}

/* In a bucket each question costs money. */
static bool is_cheap(const struct store *store, struct str name)
{
	return store_has_files(store, name);
}

static void run_job(void *arg)
{
	struct job *job = arg;
	int64_t begun = clock_ms(), took;
	struct size *old;

	for (size_t i = 0; i < job->len; i++)
		job->at[i].known =
			is_cheap(job->store, str_of(job->at[i].name)) &&
			store_usage(job->store, str_of(job->at[i].name), NULL, &job->at[i].bytes, NULL);
	qsort(job->at, job->len, sizeof(*job->at), by_name);
	took = clock_ms() - begun;
	(void)pthread_mutex_lock(&sizes.lock);
	old = sizes.at;
	sizes.at = job->at;
	sizes.len = job->len;
	sizes.running = false;
	sizes.next_ms = clock_ms() + (took * PAUSE_TIMES > EVERY_MS ? took * PAUSE_TIMES : EVERY_MS);
	(void)pthread_mutex_unlock(&sizes.lock);
	free(old);
	free(job);
}

static bool begin(void)
{
	bool begins;

	(void)pthread_mutex_lock(&sizes.lock);
	begins = !sizes.running && clock_ms() >= sizes.next_ms;
	if (begins)
		sizes.running = true;
	(void)pthread_mutex_unlock(&sizes.lock);
	return begins;
}

/* Names that no repository can have (what is counted for all others) are refused by the store. */
void repo_sizes_ask(struct front *front, const struct busy *rows, size_t len)
{
	struct job *job;

	if (!begin())
		return;
	job = xnew(struct job);
	*job = (struct job){ front->registry->store, xnew_array(struct size, len + 1), len };
	for (size_t i = 0; i < len; i++)
		memcpy(job->at[i].name, rows[i].name, sizeof(job->at[i].name));
	pool_push(front->registry->pool, run_job, job);
}

bool repo_sizes_find(struct str name, uint64_t *ret_bytes)
{
	struct size wanted = { 0 };
	const struct size *found = NULL;

	if (!str_copy(name, wanted.name, sizeof(wanted.name)))
		return false;
	(void)pthread_mutex_lock(&sizes.lock);
	if (sizes.len)
		found = bsearch(&wanted, sizes.at, sizes.len, sizeof(*sizes.at), by_name);
	if (found && found->known)
		*ret_bytes = found->bytes;
	else
		found = NULL;
	(void)pthread_mutex_unlock(&sizes.lock);
	return found != NULL;
}
