/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/chores.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"

#define REST_TIMES 9

struct row {
	struct chores *chores;
	struct chore chore;
	/* The loop's. */
	int64_t due_ms;
	bool is_out; /* at the pool */
	/* Under the lock. */
	struct chore_stats stats;
	/* The run's: one at a time. */
	bool failing;
};

struct chores {
	struct loop *loop;
	struct pool *pool;
	chores_load_f *load;
	void *load_arg;
	struct loop_timer timer;
	atomic_bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a run has ended, or did not begin; the stop */
	struct row rows[CHORES_MAX];
	size_t len;
};

struct chore_turn {
	struct chores *chores;
	int64_t slice_us; /* when it began */
	uint64_t begun;   /* requests until then */
};

struct chores *chores_new(struct loop *loop, struct pool *pool, chores_load_f *load, void *load_arg)
{
	struct chores *chores = xnew(struct chores);
	pthread_condattr_t attr;

	chores->loop = loop;
	chores->pool = pool;
	chores->load = load;
	chores->load_arg = load_arg;
	CHECK(!pthread_condattr_init(&attr) && !pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	CHECK(!pthread_mutex_init(&chores->lock, NULL));
	CHECK(!pthread_cond_init(&chores->changed, &attr));
	(void)pthread_condattr_destroy(&attr);
	return chores;
}

void chores_free(struct chores *chores)
{
	if (!chores)
		return;
	for (size_t i = 0; i < chores->len; i++)
		CHECK(!chores->rows[i].is_out);
	(void)pthread_cond_destroy(&chores->changed);
	(void)pthread_mutex_destroy(&chores->lock);
	free(chores);
}

void chores_add(struct chores *chores, const struct chore *chore)
{
	struct row *row = &chores->rows[chores->len++];

	loop_assert(chores->loop);
	CHECK(chores->len <= CHORES_MAX && chore->run && strlen(chore->name) <= CHORE_NAME_MAX);
	*row = (struct row){ .chores = chores, .chore = *chore, .stats.name = chore->name };
}

/* ---- a run ---- */

/* A request came since the last slice, or is under way. */
static bool is_busy(struct chore_turn *turn)
{
	struct chores_load load = turn->chores->load(turn->chores->load_arg);
	bool busy = load.open || load.begun != turn->begun;

	turn->begun = load.begun;
	return busy;
}

static struct timespec in_us(int64_t us)
{
	struct timespec at;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
	at.tv_sec += us / 1000000;
	at.tv_nsec += us % 1000000 * 1000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

/* Until the time is over, or all is to end. */
static void rest(struct chores *chores, int64_t us)
{
	const int64_t most = CHORE_REST_MAX_MS * INT64_C(1000);
	struct timespec until = in_us(us < most ? us : most);
	int failed = 0;

	(void)pthread_mutex_lock(&chores->lock);
	while (!failed && !atomic_load(&chores->stopping))
		failed = pthread_cond_timedwait(&chores->changed, &chores->lock, &until);
	(void)pthread_mutex_unlock(&chores->lock);
	CHECK(!failed || failed == ETIMEDOUT);
}

bool chore_may_go_on(struct chore_turn *turn)
{
	struct chores *chores = turn->chores;

	if (atomic_load_explicit(&chores->stopping, memory_order_relaxed))
		return false;
	if (clock_us() - turn->slice_us < CHORE_SLICE_MS * INT64_C(1000))
		return true;
	if (is_busy(turn))
		rest(chores, (clock_us() - turn->slice_us) * REST_TIMES);
	pool_give_way(chores->pool);
	turn->slice_us = clock_us();
	return !atomic_load_explicit(&chores->stopping, memory_order_relaxed);
}

static bool go_on(void *arg)
{
	return chore_may_go_on(arg);
}

struct pace chore_pace(struct chore_turn *turn)
{
	return (struct pace){ go_on, turn };
}

static void set_state(struct row *row, enum chore_state state)
{
	(void)pthread_mutex_lock(&row->chores->lock);
	row->stats.state = state;
	if (state == CHORE_RUNNING)
		row->stats.began_ms = clock_ms();
	(void)pthread_cond_broadcast(&row->chores->changed);
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static void count_run(struct row *row, int64_t began_us, bool ok)
{
	struct chore_stats *stats = &row->stats;

	(void)pthread_mutex_lock(&row->chores->lock);
	stats->runs++;
	stats->worked_us += (uint64_t)(clock_us() - began_us);
	stats->ended_s = clock_wall_s();
	stats->state = row->chore.every_ms ? CHORE_WAITING : CHORE_OVER;
	if (!ok) {
		stats->failures++;
		stats->failed_ms = clock_ms();
	}
	(void)pthread_cond_broadcast(&row->chores->changed);
	(void)pthread_mutex_unlock(&row->chores->lock);
}

static void tell(struct row *row, bool ok, const struct error *err)
{
	if (ok && row->failing)
		log_info("chore.works", "chore=%s", row->chore.name);
	if (!ok && !row->failing)
		log_warn("chore.failed", "chore=%s error=%s", row->chore.name, log_quote(str_of(err->text)));
	row->failing = !ok;
}

static void run_whole(struct row *row)
{
	struct chore_turn turn = { .chores = row->chores, .slice_us = clock_us() };
	int64_t began_us = turn.slice_us;
	struct error err;
	bool ok;

	set_state(row, CHORE_RUNNING);
	ok = row->chore.run(&turn, row->chore.arg, &err);
	tell(row, ok, &err);
	count_run(row, began_us, ok);
}

static void on_ended(void *arg);

static void run_row(void *arg)
{
	struct row *row = arg;

	if (!atomic_load(&row->chores->stopping))
		run_whole(row);
	else
		set_state(row, CHORE_WAITING);
	loop_post(row->chores->loop, on_ended, row);
}

/* ---- when ---- */

static void on_timer(void *arg);

/* The timer stands at the soonest of those that are not out. */
static void set_timer(struct chores *chores)
{
	int64_t soonest = INT64_MAX, now = clock_ms();

	for (size_t i = 0; i < chores->len; i++)
		if (!chores->rows[i].is_out && chores->rows[i].due_ms < soonest)
			soonest = chores->rows[i].due_ms;
	if (soonest == INT64_MAX || atomic_load(&chores->stopping))
		loop_timer_stop(chores->loop, &chores->timer);
	else
		loop_timer_start(chores->loop, &chores->timer, soonest - now, on_timer, chores);
}

static void on_timer(void *arg)
{
	struct chores *chores = arg;
	int64_t now = clock_ms();

	loop_assert(chores->loop);
	for (size_t i = 0; i < chores->len && !atomic_load(&chores->stopping); i++) {
		struct row *row = &chores->rows[i];

		if (row->is_out || row->due_ms > now)
			continue;
		row->is_out = true;
		set_state(row, CHORE_READY);
		pool_push_background(chores->pool, run_row, row);
	}
	set_timer(chores);
}

static void on_ended(void *arg)
{
	struct row *row = arg;

	loop_assert(row->chores->loop);
	row->is_out = false;
	row->due_ms = row->chore.every_ms ? clock_ms() + row->chore.every_ms : INT64_MAX;
	set_timer(row->chores);
}

void chores_start(struct chores *chores)
{
	loop_assert(chores->loop);
	for (size_t i = 0; i < chores->len; i++)
		chores->rows[i].due_ms = clock_ms() + chores->rows[i].chore.first_ms;
	set_timer(chores);
}

void chores_stop(struct chores *chores)
{
	if (!chores)
		return;
	(void)pthread_mutex_lock(&chores->lock);
	atomic_store(&chores->stopping, true);
	(void)pthread_cond_broadcast(&chores->changed);
	(void)pthread_mutex_unlock(&chores->lock);
}

static bool is_under_way_locked(const struct chores *chores)
{
	for (size_t i = 0; i < chores->len; i++)
		if (chores->rows[i].stats.state == CHORE_READY ||
			chores->rows[i].stats.state == CHORE_RUNNING)
			return true;
	return false;
}

void chores_await_end(struct chores *chores)
{
	if (!chores)
		return;
	CHECK(atomic_load(&chores->stopping));
	(void)pthread_mutex_lock(&chores->lock);
	while (is_under_way_locked(chores))
		(void)pthread_cond_wait(&chores->changed, &chores->lock);
	(void)pthread_mutex_unlock(&chores->lock);
}

size_t chores_stats(struct chores *chores, struct chore_stats into[CHORES_MAX])
{
	(void)pthread_mutex_lock(&chores->lock);
	for (size_t i = 0; i < chores->len; i++)
		into[i] = chores->rows[i].stats;
	(void)pthread_mutex_unlock(&chores->lock);
	return chores->len;
}
