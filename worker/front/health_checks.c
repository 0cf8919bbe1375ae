/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/health_checks.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/pool.h"
#include "worker/front/front.h"
#include "worker/registry/registry.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

static bool check_storage(struct front *front, struct error *err)
{
	return store_check(front->registry->store, err);
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

static const struct {
	const char *name;
	bool (*run)(struct front *front, struct error *err);
} checks[] = { { "storage", check_storage }, { "spool", check_spool }, { "data", check_data } };
#define CHECKS_LEN (sizeof(checks) / sizeof(checks[0]))

/* What was found. One worker a process. */
static struct {
	struct lock lock;
	bool known, running;
	size_t at; /* running: the check that is asked */
	int64_t checked_ms, begun_ms;
	struct {
		bool ok;
		char text[ERROR_TEXT_MAX];
	} found[CHECKS_LEN];
} state = { .lock = LOCK_INIT };

struct job {
	struct front *front;
	void (*done)(void *arg);
	void *arg;
};

/* The log has each change, not each question. */
static void keep_locked(size_t i, bool ok, const struct error *err)
{
	lock_assert(&state.lock);
	if (state.found[i].ok != ok || !state.known) {
		if (!ok)
			log_warn("health.bad", "check=%s error=%s", checks[i].name,
				log_quote(str_of(err->text)));
		else if (state.known)
			log_info("health.good", "check=%s", checks[i].name);
	}
	state.found[i].ok = ok;
	if (!ok)
		memcpy(state.found[i].text, err->text, sizeof(state.found[i].text));
}

static void run_job(void *arg)
{
	struct job *job = arg;

	for (size_t i = 0; i < CHECKS_LEN; i++) {
		struct error err;
		bool ok;

		lock_take(&state.lock);
		state.at = i;
		lock_drop(&state.lock);
		ok = checks[i].run(job->front, &err);
		lock_take(&state.lock);
		keep_locked(i, ok, &err);
		lock_drop(&state.lock);
	}
	lock_take(&state.lock);
	state.known = true;
	state.running = false;
	state.checked_ms = clock_ms();
	lock_drop(&state.lock);
	job->done(job->arg);
	free(job);
}

/* Must the caller begin a job? */
static bool begin(void)
{
	int64_t now = clock_ms();
	bool begins;

	lock_take(&state.lock);
	begins = !state.running && !(state.known && now - state.checked_ms < HEALTH_CHECK_EVERY_MS);
	if (begins) {
		state.running = true;
		state.begun_ms = now;
	}
	lock_drop(&state.lock);
	return begins;
}

bool health_checks_are_fresh(struct front *front, void (*done)(void *arg), void *arg)
{
	struct job *job;

	if (!begin())
		return true;
	job = xnew(struct job);
	*job = (struct job){ front, done, arg };
	pool_push(front->registry->pool, run_job, job);
	return false;
}

static bool write_locked(size_t i, int64_t hangs_ms, struct buf *into)
{
	lock_assert(&state.lock);
	buf_format(into, "%s: ", checks[i].name);
	if (hangs_ms > HEALTH_CHECK_HANGS_MS && state.at == i)
		buf_format(into, "has not answered for %" PRId64 " ms\n", hangs_ms);
	else if (!state.known)
		buf_puts(into, "not known yet\n");
	else if (!state.found[i].ok)
		buf_format(into, "%s\n", state.found[i].text);
	else {
		buf_puts(into, "ok\n");
		return true;
	}
	return false;
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
	int64_t hangs_ms;
	bool ok = true;

	lock_take(&state.lock);
	hangs_ms = state.running ? clock_ms() - state.begun_ms : 0;
	for (size_t i = 0; i < CHECKS_LEN; i++)
		ok = (write_locked(i, hangs_ms, into) || (excluded & 1u << i)) && ok;
	lock_drop(&state.lock);
	return ok;
}
