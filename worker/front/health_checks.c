/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/health_checks.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/pool.h"
#include "worker/front/front.h"
#include "worker/registry/registry.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

/* The first root; what lies below the others' paths is told in lines of their own. */
static bool check_storage(struct front *front, struct error *err)
{
	const char *path;

	return store_check(store_root_at(front->registry->store, 0, &path), err);
}

static bool check_spool(struct front *front, struct error *err)
{
	return spool_check(front->registry->spool, HEALTH_LEAST_BYTES, err);
}

static bool check_data(struct front *front, struct error *err)
{
	const char *folder = front->data;

	return !folder || file_try_folder(folder, HEALTH_LEAST_BYTES, err);
}

static bool check_cache(struct front *front, struct error *err)
{
	return blob_cache_check(front->registry->cache, err);
}

/* told: it is no reason to be not ready. */
static const struct check {
	const char *name;
	bool (*run)(struct front *front, struct error *err);
	bool told;
} checks[] = { { "storage", check_storage, false }, { "spool", check_spool, false },
	{ "data", check_data, false }, { "cache", check_cache, true } };
#define CHECKS_LEN (sizeof(checks) / sizeof(checks[0]))
/* Behind these each other root of the store. */
#define FOUND_MAX (CHECKS_LEN + STORE_ROOTS_MAX - 1)
#define NAME_SIZE 300

/* What was found. One worker a process. */
static struct {
	struct lock lock;
	bool running;
	size_t at;                    /* running: the check that is asked */
	int64_t checked_ms, begun_ms; /* all of them; any of them */
	struct {
		bool known, ok;
		char text[ERROR_TEXT_MAX];
		char name[NAME_SIZE];
	} found[FOUND_MAX];
	size_t roots; /* other than the first, that were asked */
} state = { .lock = LOCK_INIT };

struct job {
	struct front *front;
	bool all; /* a bucket too */
	void (*done)(void *arg);
	void *arg;
};

/* The log has each change, not each question. */
static void keep_locked(size_t i, bool ok, const struct error *err)
{
	lock_assert(&state.lock);
	if (state.found[i].ok != ok || !state.found[i].known) {
		if (!ok)
			log_warn("health.bad", "check=%s error=%s", log_quote(str_of(state.found[i].name)),
				log_quote(str_of(err->text)));
		else if (state.found[i].known)
			log_info("health.good", "check=%s", log_quote(str_of(state.found[i].name)));
	}
	state.found[i].known = true;
	state.found[i].ok = ok;
	if (!ok)
		memcpy(state.found[i].text, err->text, sizeof(state.found[i].text));
}

static void run_check(struct front *front, size_t i)
{
	const char *path = "";
	struct store *root = NULL;
	struct error err;
	bool ok;

	if (i >= CHECKS_LEN)
		root = store_root_at(front->registry->store, i - CHECKS_LEN + 1, &path);
	else if (checks[i].run == check_cache && !front->registry->cache)
		return;
	lock_take(&state.lock);
	state.at = i;
	(void)snprintf(state.found[i].name, NAME_SIZE, "%s%s", root ? "storage " : checks[i].name, path);
	lock_drop(&state.lock);
	ok = root ? store_check(root, &err) : checks[i].run(front, &err);
	lock_take(&state.lock);
	keep_locked(i, ok, &err);
	lock_drop(&state.lock);
}

static void run_job(void *arg)
{
	struct job *job = arg;

	for (size_t i = 0; i < CHECKS_LEN; i++)
		if (job->all || checks[i].run != check_storage)
			run_check(job->front, i);
	for (size_t i = 1; job->all && i < store_roots_len(job->front->registry->store); i++)
		run_check(job->front, CHECKS_LEN + i - 1);
	lock_take(&state.lock);
	state.roots = store_roots_len(job->front->registry->store) - 1;
	state.running = false;
	if (job->all)
		state.checked_ms = clock_ms();
	lock_drop(&state.lock);
	job->done(job->arg);
	free(job);
}

static bool is_recent(int64_t then_ms, int64_t now_ms)
{
	return then_ms && now_ms - then_ms < HEALTH_CHECK_EVERY_MS;
}

/* Must the caller begin a job? */
static bool begin(bool all)
{
	int64_t now = clock_ms();
	bool begins;

	lock_take(&state.lock);
	begins = !state.running && !is_recent(all ? state.checked_ms : state.begun_ms, now);
	if (begins) {
		state.running = true;
		state.begun_ms = now;
	}
	lock_drop(&state.lock);
	return begins;
}

static bool ask(struct front *front, bool all, void (*done)(void *arg), void *arg)
{
	struct job *job;

	if (!begin(all))
		return false;
	job = xnew(struct job);
	*job = (struct job){ front, all, done, arg };
	pool_push(front->registry->pool, run_job, job);
	return true;
}

bool health_checks_are_fresh(struct front *front, void (*done)(void *arg), void *arg)
{
	return !ask(front, true, done, arg);
}

static bool hangs_locked(size_t i)
{
	lock_assert(&state.lock);
	return state.running && state.at == i && clock_ms() - state.begun_ms > HEALTH_CHECK_HANGS_MS;
}

static bool write_locked(size_t i, struct buf *into)
{
	const struct check *check = i < CHECKS_LEN ? &checks[i] : NULL;
	bool told = check && check->told;

	lock_assert(&state.lock);
	if (told && !state.found[i].known && !hangs_locked(i))
		return true;
	buf_format(into, "%s: ", check ? check->name : state.found[i].name);
	if (hangs_locked(i))
		buf_format(into, "has not answered for %" PRId64 " ms\n", clock_ms() - state.begun_ms);
	else if (!state.found[i].known)
		buf_puts(into, "not known yet\n");
	else if (!state.found[i].ok)
		buf_format(into, "%s\n", state.found[i].text);
	else {
		buf_puts(into, "ok\n");
		return true;
	}
	return told;
}

unsigned health_checks_bit(struct str name)
{
	for (size_t i = 0; i < CHECKS_LEN; i++)
		if (str_is(name, checks[i].name))
			return 1u << i;
	return 0;
}

bool health_checks_write(unsigned excluded, struct buf *into)
{
	bool ok = true;

	lock_take(&state.lock);
	for (size_t i = 0; i < CHECKS_LEN; i++)
		ok = (write_locked(i, into) || (excluded & 1u << i)) && ok;
	/* The others go on being served: nobody is to be sent elsewhere for the sake of one. */
	for (size_t i = CHECKS_LEN; i < CHECKS_LEN + state.roots; i++)
		(void)write_locked(i, into);
	lock_drop(&state.lock);
	return ok;
}

static void put_found(struct buf *into)
{
	const char *help = "1: this check of /readyz was well when it was asked last.";
	char label[NAME_SIZE + 16];

	lock_take(&state.lock);
	for (size_t i = 0; i < CHECKS_LEN + state.roots; i++) {
		if (!state.found[i].known && !hangs_locked(i))
			continue;
		(void)snprintf(label, sizeof(label), "check=\"%s\"", state.found[i].name);
		metrics_put(
			into, "zot_check_ok", "gauge", help, label, state.found[i].ok && !hangs_locked(i));
		help = NULL;
	}
	lock_drop(&state.lock);
}

static bool asking_is_cheap(struct store *store)
{
	bool files = true;
	const char *path;

	for (size_t i = 0; i < store_roots_len(store); i++)
		files = store_has_files(store_root_at(store, i, &path), STR_NONE) && files;
	return files;
}

static void nobody_waits(void *arg)
{
	(void)arg;
}

void health_checks_metrics(struct front *front, struct buf *into)
{
	put_found(into);
	(void)ask(front, asking_is_cheap(front->registry->store), nobody_waits, NULL);
}
